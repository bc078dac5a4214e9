"""Print the tables of docs/study.md from the results of a study.

    python -m benchmarks.study.report FOLDER

Only here are results on the test names looked at. Intervals are those of
`recode_train.comparing.starts`: problems and starts are random, seeds are averaged in each start.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.study.design import ARMS, BASE, TUNING_START
from benchmarks.study.jobs import CHOICE
from recode_eval.comparison.differences import holm
from recode_eval.comparison.report import markdown_table
from recode_eval.comparison.sentences import p_text
from recode_eval.scoring.pass_at_k import pass_at_k
from recode_train.comparing.starts import OverStarts, over_starts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Result = dict[str, Any]
Results = dict[str, dict[int, list[Result]]]
"""Arm -> start -> its results, seed by seed."""
_KS: Final = (1, 4, 16)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    print("\n".join(tables(parser.parse_args(words).folder)))
    return 0


def tables(folder: Path) -> list[str]:
    """Return the tables as Markdown."""
    results, stopped = read(folder)
    parts = [_title(results, stopped), *_rates(folder)]
    if BASE not in results:
        return [*parts, "No start has been measured yet."]
    return [
        *parts,
        *_main(results),
        *_starts(results),
        *_pairs(results),
        *_costs(results),
        *_curves(results),
    ]


def read(folder: Path) -> tuple[Results, list[str]]:
    """Return the compared results, and the names of the trainings that ended early."""
    found: Results = defaultdict(lambda: defaultdict(list))
    stopped = []
    for file in sorted((folder / "results").glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        job = content["job"]
        if job["start"] == TUNING_START:
            continue
        if "stopped" in content:
            stopped.append(file.stem)
        else:
            found[job["arm"]][job["start"]].append(content)
    return found, stopped


def _title(results: Results, stopped: Sequence[str]) -> str:
    counts = {arm: sum(map(len, starts.values())) for arm, starts in results.items()}
    starts = len(results.get(BASE, {}))
    done = ", ".join(f"{arm} {count}" for arm, count in counts.items() if arm != BASE)
    early = f" Ended early: {', '.join(stopped)}." if stopped else ""
    return f"{starts} starts; trainings: {done or 'none'}.{early}"


def _rates(folder: Path) -> Iterator[str]:
    file = folder / CHOICE
    if not file.exists():
        return
    content = json.loads(file.read_text(encoding="utf-8"))
    rates = list(next(iter(content.values()))["tried"])
    rows = []
    for arm, item in content.items():
        cells = []
        for rate in rates:
            value = item["tried"][rate]
            text = "ended early" if value is None else f"{100 * value:.1f}"
            cells.append(f"**{text}**" if float(rate) == item["chosen"] else text)
        rows.append([arm, *cells])
    yield "\n### Learning rates\n"
    yield "Sampled pass@1 on validation names, one training each, of a start of their own.\n"
    yield markdown_table(["arm", *rates], rows)


def sampled(k: int) -> Callable[[Result], dict[str, float]]:
    """Return the measure pass@k of the sampled answers to test names."""

    def measure(result: Result) -> dict[str, float]:
        test = result["final"]["test"]
        values = {key: pass_at_k(test["n"], count, k) for key, count in test["passed"].items()}
        return {key: value for key, value in values.items() if value is not None}

    return measure


def part(name: str) -> Callable[[Result], dict[str, float]]:
    """Return the measure: the share of passing answers of a part of the evaluation."""

    def measure(result: Result) -> dict[str, float]:
        found = result["final"][name]
        return {key: count / found["n"] for key, count in found["passed"].items()}

    return measure


def by_start(
    results: Results, arm: str, measure: Callable[[Result], dict[str, float]]
) -> dict[int, dict[str, float]]:
    """Return the measure by start and problem, a mean over seeds."""
    found = {}
    for start, runs in results[arm].items():
        values = [measure(run) for run in runs]
        found[start] = {
            key: math.fsum(value[key] for value in values) / len(values) for key in values[0]
        }
    return found


def contrast(
    results: Results, arm: str, reference: str, measure: Callable[[Result], dict[str, float]]
) -> OverStarts | None:
    """Return arm minus reference over the starts that both have; None where there is none."""
    new, old = by_start(results, arm, measure), by_start(results, reference, measure)
    shared = sorted(set(new) & set(old))
    pairs = [{key: new[start][key] - old[start][key] for key in new[start]} for start in shared]
    return over_starts(pairs) if pairs and pairs[0] else None


def _mean(values: dict[int, dict[str, float]]) -> str:
    every = [value for start in values.values() for value in start.values()]
    return f"{100 * math.fsum(every) / len(every):.1f}" if every else "-"


def _main(results: Results) -> Iterator[str]:
    yield "\n### What the arms reach\n"
    yield (
        "Test names; percent. Sampled at temperature 1; untaught: five kinds of change that no "
        "start was taught. Copies: sampled answers whose program is the old one.\n"
    )
    rows = []
    for arm in _arms(results):
        copied = [run["final"]["test"]["copied"] for runs in results[arm].values() for run in runs]
        cells = [_mean(by_start(results, arm, sampled(k))) for k in _KS]
        cells += [_mean(by_start(results, arm, part(name))) for name in ("greedy", "untaught")]
        count = sum(map(len, results[arm].values()))
        rows.append([arm, str(count), *cells, f"{100 * sum(copied) / len(copied):.1f}"])
    names = [f"pass@{k}" for k in _KS]
    yield markdown_table(["arm", "models", *names, "greedy", "untaught", "copies"], rows)


def _starts(results: Results) -> Iterator[str]:
    """Yield the primary metric start by start: how far the starts differ, and the seeds of each."""
    starts = sorted(results[BASE])
    rows = []
    for arm in _arms(results):
        cells = []
        for start in starts:
            found = [measured(run) for run in results[arm].get(start, ())]
            spread = f" ({min(found):.1f}-{max(found):.1f})" if len(found) > 1 else ""
            cells.append(f"{math.fsum(found) / len(found):.1f}{spread}" if found else "-")
        rows.append([arm, *cells])
    yield "\n### Start by start\n"
    yield "Sampled pass@1 on test names: the mean of the seeds, the lowest and the highest.\n"
    yield markdown_table(["arm", *(f"start {start}" for start in starts)], rows)


def measured(result: Result) -> float:
    """Return a model's sampled pass@1 in percent."""
    values = sampled(1)(result).values()
    return 100 * math.fsum(values) / len(values)


def _pairs(results: Results) -> Iterator[str]:
    """Yield the differences in the primary metric, sampled pass@1."""
    arms = _arms(results)
    wanted = [(BASE, arm) for arm in arms if arm != BASE]
    wanted += [
        (one, other)
        for place, one in enumerate(arms)
        for other in arms[place + 1 :]
        if BASE not in {one, other}
    ]
    found = [
        (one, other, item)
        for one, other in wanted
        if (item := contrast(results, other, one, sampled(1))) is not None
    ]
    adjusted = holm([item.p for _, _, item in found])
    rows = []
    for (one, other, item), p in zip(found, adjusted, strict=True):
        share = "-" if item.starts_share is None else f"{100 * item.starts_share:.0f} %"
        verdict = "-" if p is None else "different" if p < 0.05 else "not distinguishable"
        rows.append([f"{other} - {one}", _interval(item), p_text(p), verdict, share])
    yield "\n### Differences in sampled pass@1 (primary)\n"
    yield "Points with 95 % intervals; p after Holm's procedure over all rows.\n"
    yield markdown_table(["arms", "difference", "p", "", "of it starts and seeds"], rows)


def _interval(item: OverStarts) -> str:
    if item.low is None or item.high is None:
        return f"{100 * item.value:+.1f}"
    return f"{100 * item.value:+.1f} [{100 * item.low:+.1f}, {100 * item.high:+.1f}]"


def _costs(results: Results) -> Iterator[str]:
    names = {
        "tokens_generated": "tokens generated",
        "tokens_trained": "tokens trained on",
        "groups_sampled": "prompts sampled",
        "cpu_seconds": "CPU s",
    }
    rows = []
    for arm in _arms(results):
        if arm == BASE:
            continue
        runs = [run for starts in results[arm].values() for run in starts]
        cells = [f"{sum(run['budgets'][name] for run in runs) / len(runs):,.0f}" for name in names]
        rates = ", ".join(sorted({f"{run['learning_rate']:g}" for run in runs}))
        kept = f"{sum(run['kept'] for run in runs) / len(runs):,.0f}"
        rows.append([arm, kept, *cells, rates])
    yield "\n### What a training costs\n"
    yield "Means; without the part of the arm that it starts from.\n"
    yield markdown_table(["arm", "pairs or answers", *names.values(), "learning rate"], rows)


def _curves(results: Results) -> Iterator[str]:
    """Yield the sampled pass rate on validation names after so many updates, and at what cost."""
    base = [run["points"][0]["validation"] for runs in results[BASE].values() for run in runs]
    yield "\n### Curves\n"
    yield (
        f"Sampled pass@1 on validation names (the starts: {100 * sum(base) / len(base):.1f}), with "
        "tokens (generated and trained on) and CPU seconds so far.\n"
    )
    rows = []
    for arm in _arms(results):
        points: dict[int, list[Result]] = defaultdict(list)
        for runs in results[arm].values() if arm != BASE else ():
            for run in runs:
                for point in run["points"]:
                    points[point["updates"]].append(point)
        for updates, found in sorted(points.items()):
            count = len(found)
            tokens = sum(p["tokens_generated"] + p["tokens_trained"] for p in found) / count
            seconds = sum(p["cpu_seconds"] for p in found) / count
            value = 100 * sum(p["validation"] for p in found) / count
            rows.append([arm, str(updates), f"{value:.1f}", f"{tokens:,.0f}", f"{seconds:.0f}"])
    yield markdown_table(["arm", "updates", "pass@1", "tokens", "CPU s"], rows)


def _arms(results: Results) -> list[str]:
    return [name for name in (BASE, *(arm.name for arm in ARMS)) if name in results]


if __name__ == "__main__":
    sys.exit(main())
