"""How much faster ES*/EM* are than with a Levenshtein distance in plain Python.

Both sides do all the work of a score (normalize, parse, distance) on the same pairs of programs,
so the ratio is what a training run gains; the distance alone is shown beside it. As in training,
a group of different candidates is compared with each reference. Run it with
`python benchmarks/similarity.py`; `--json` prints the figures for machines.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rapidfuzz.distance import Levenshtein

from recode_eval.languages.python.syntax import parses
from recode_eval.scoring import normalize, similarity_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LENGTHS = (200, 1_000, 4_000)
GROUP = 8


@dataclass(frozen=True)
class Measurement:
    """Median CPU seconds per pair of programs of about `length` characters."""

    length: int
    pairs: int
    plain_pairs: int
    score_s: float
    plain_score_s: float
    distance_s: float
    plain_distance_s: float

    @property
    def ratio(self) -> float:
        """How many times faster the whole score is."""
        return self.plain_score_s / self.score_s

    @property
    def distance_ratio(self) -> float:
        """How many times faster the distance alone is."""
        return self.plain_distance_s / self.distance_s


def plain_levenshtein(first: str, second: str) -> int:
    """Return the edit distance with two rows of the textbook's table: the usual plain version."""
    previous = list(range(len(second) + 1))
    for i, ours in enumerate(first, start=1):
        current = [i]
        for j, theirs in enumerate(second, start=1):
            substituted = previous[j - 1] + (ours != theirs)
            current.append(min(previous[j] + 1, current[-1] + 1, substituted))
        previous = current
    return previous[-1]


def plain_score(candidate: str, reference: str) -> tuple[float, float]:
    """Return (ES*, EM*) with the plain distance."""
    ours, theirs = normalize(candidate), normalize(reference)
    longest = max(len(ours), len(theirs))
    similarity = 1 - plain_levenshtein(ours, theirs) / longest if longest else 1.0
    if not parses(candidate):
        return -2.0, -2.0
    return 3.5 * similarity - 1.5, 2.0 if ours == theirs else -1.5


def program_group(length: int, candidates: int, rng: random.Random) -> list[tuple[str, str]]:
    """Return pairs of a candidate and one reference program of `length` characters.

    Each candidate differs from the reference in some 10 % of the lines.
    """
    names = ["values", "frame", "index", "axis", "result", "window", "total"]
    functions = ["np.sum", "pd.concat", "np.take", "sorted", "max", "torch.clamp"]

    def line() -> str:
        target, source, function = rng.choice(names), rng.choice(names), rng.choice(functions)
        comment = f"  # the {rng.choice(names)} of step {rng.randrange(100)}"
        call = f"{function}({source}, {rng.randrange(10)})"
        return f"    {target} = {call}" + (comment if rng.random() < 0.2 else "")

    reference = ["def solve(values):"]
    while sum(len(text) + 1 for text in reference) < length:
        reference.append(line())
    changed = [
        [reference[0], *(line() if rng.random() < 0.1 else text for text in reference[1:])]
        for _ in range(candidates)
    ]
    return [("\n".join(lines), "\n".join(reference)) for lines in changed]


def measure(length: int, *, groups: int = 5, plain_pairs: int = 10, seed: int = 0) -> Measurement:
    """Time `groups` groups of programs of `length` characters; `plain_pairs` of them both ways."""
    rng = random.Random(seed)
    pairs = [pair for _ in range(groups) for pair in program_group(length, GROUP, rng)]
    # Spread over the groups.
    sampled = pairs[:: max(1, len(pairs) // plain_pairs)][:plain_pairs]
    for pair in sampled[:1]:
        if abs(similarity_scores(*pair).es_star - plain_score(*pair)[0]) > 1e-9:
            raise AssertionError("the two ways of scoring do not agree")
    normalized = [(normalize(first), normalize(second)) for first, second in pairs]
    plain_normalised = [(normalize(first), normalize(second)) for first, second in sampled]
    return Measurement(
        length=length,
        pairs=len(pairs),
        plain_pairs=len(sampled),
        score_s=_median_seconds(similarity_scores, pairs),
        plain_score_s=_median_seconds(plain_score, sampled),
        distance_s=_median_seconds(Levenshtein.distance, normalized, repeat=100),
        plain_distance_s=_median_seconds(plain_levenshtein, plain_normalised),
    )


def _median_seconds(
    function: Callable[[str, str], object], pairs: Sequence[tuple[str, str]], repeat: int = 1
) -> float:
    seconds = []
    for first, second in pairs:
        # CPU time: other programs on the machine do not count.
        began = time.process_time()
        for _ in range(repeat):
            function(first, second)
        seconds.append((time.process_time() - began) / repeat)
    return statistics.median(seconds)


def run() -> list[Measurement]:
    """Measure all lengths; few plain distances of 4,000 characters, since each takes seconds."""
    return [measure(length, plain_pairs=max(3, 2_000 // length)) for length in LENGTHS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    measurements = run()
    if arguments.json:
        extra = [{"ratio": m.ratio, "distance_ratio": m.distance_ratio} for m in measurements]
        rows = [asdict(m) | e for m, e in zip(measurements, extra, strict=True)]
        print(json.dumps(rows, indent=2))
        return 0
    print("characters  pairs  ES*/EM* ms   plain ms    ratio | distance ms   plain ms    ratio")
    for m in measurements:
        print(
            f"{m.length:10,d} {m.pairs:6d} {1e3 * m.score_s:11.3f} {1e3 * m.plain_score_s:10.1f}"
            f" {m.ratio:8,.0f} | {1e3 * m.distance_s:11.4f} {1e3 * m.plain_distance_s:10.1f}"
            f" {m.distance_ratio:8,.0f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
