"""Where a run's samples are in its files, and what each came to: one pass over the lines.

Samples are not kept in memory: pages read those of one problem again by this index.
"""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from recode_eval.conversations.journal import FILE as TURNS
from recode_eval.conversations.journal import placed_lines
from recode_eval.errors import DataError, StorageError
from recode_eval.leaderboard.failure_classes import (
    CLASSES,
    NOT_EXECUTED,
    PASSED,
    UNSCORED,
    Failures,
    failure_class,
)
from recode_eval.leaderboard.lines import LineIndex, parse
from recode_eval.run.records import CompletionRecord, ScoreRecord
from recode_eval.run.store import COMPLETIONS, SCORES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from recode_eval.schemas.results import Results

WORDS: Final = (UNSCORED, NOT_EXECUTED, PASSED, *CLASSES)
"""What a sample can have come to; an index stores the place in this list."""
_BUFFER = 1 << 20

_Key = tuple[int, int]
"""Position of a problem, and number of a sample."""


@dataclass(frozen=True, slots=True)
class RunIndex:
    """Everything that the lines of a run's files say, except the samples' texts."""

    completions: LineIndex
    scores: LineIndex
    turns: LineIndex | None
    """Of the journal of conversations; None where samples are single answers."""
    samples: array[int]
    """Number of the sample of each line of `completions`."""
    words: bytes
    """What each of them came to: places in `WORDS`."""
    prompts: tuple[str, ...]
    """Per problem the hash of its first sample's prompt; empty without samples."""
    counted: tuple[tuple[int, int, int], ...]
    """Per problem the samples that count, those that pass, and of these the flagged ones."""
    content: str
    """SHA-256 of the bytes read; the texts of equal indices are equal."""
    failures: Failures = field(default_factory=Failures)
    """Why samples fail."""

    def verdicts(self, position: int) -> list[tuple[int, str]]:
        """Return number and word of the samples of the problem at `position`, in order."""
        lines = range(self.completions.first[position], self.completions.first[position + 1])
        return [(self.samples[line], WORDS[self.words[line]]) for line in lines]


def read_index(folder: Path, results: Results, n: int, *, conversation: bool) -> RunIndex:
    """Read the lines of a run's files; `n` samples of each problem were asked for.

    The first completion of a sample counts, and the last of its scores that were given to this
    completion by the run's own rules.

    Raises:
        DataError: a file is missing or damaged.
        StorageError: a file cannot be read.
    """
    content = hashlib.sha256()
    positions = {problem.id: index for index, problem in enumerate(results.problems)}
    spans, digests, prompts = _completions(folder, positions, n, content)
    order = sorted(spans)
    scores, verdicts = _scores(folder, results, positions, digests, content)
    counted = [[0, 0, 0] for _ in positions]
    failures = Failures()
    for (position, sample), (counts, passed, flagged, _, why) in verdicts.items():
        if counts:
            failures.add(position, sample, why)
        counted[position][0] += counts
        counted[position][1] += counts and passed
        counted[position][2] += counts and passed and flagged
    turns = _turns(folder, positions, content) if conversation else None
    return RunIndex(
        LineIndex.of(spans, len(positions)),
        scores,
        turns,
        array("q", [sample for _, sample in order]),
        bytes(verdicts[key][3] if key in verdicts else 0 for key in order),
        tuple(prompts.get(position, (0, ""))[1] for position in range(len(positions))),
        tuple((a, b, c) for a, b, c in counted),
        content.hexdigest(),
        failures,
    )


def _completions(
    folder: Path, positions: Mapping[str, int], n: int, content: hashlib._Hash
) -> tuple[dict[_Key, tuple[int, int]], dict[_Key, str], dict[int, tuple[int, str]]]:
    """Return where the samples' lines are, the digest of each, and per problem the first prompt.

    The first record of a sample counts.
    """
    spans: dict[_Key, tuple[int, int]] = {}
    digests: dict[_Key, str] = {}
    prompts: dict[int, tuple[int, str]] = {}
    for start, end, record in _records(folder / COMPLETIONS, CompletionRecord, content):
        key = positions.get(record.problem_id, -1), record.sample
        if key[0] >= 0 and 0 <= record.sample < n and key not in digests:
            digests[key] = record.digest
            spans[key] = start, end
            if key[0] not in prompts or record.sample < prompts[key[0]][0]:
                prompts[key[0]] = record.sample, record.prompt_hash
    return spans, digests, prompts


def _turns(folder: Path, positions: Mapping[str, int], content: hashlib._Hash) -> LineIndex:
    """Return where the lines of each problem's conversations are, in the order of the journal."""
    spans: dict[_Key, tuple[int, int]] = {}
    for number, (start, end, line) in enumerate(placed_lines(folder / TURNS)):
        position = positions.get(line.problem_id, -1)
        if position >= 0:
            spans[position, number] = start, end
    if (folder / TURNS).is_file():
        content.update((folder / TURNS).read_bytes())
    return LineIndex.of(spans, len(positions))


def _scores(
    folder: Path,
    results: Results,
    positions: Mapping[str, int],
    digests: Mapping[_Key, str],
    content: hashlib._Hash,
) -> tuple[LineIndex, dict[_Key, tuple[bool, bool, bool, int, str]]]:
    """Return where the valid scores' lines are, and the verdict of each; the last record counts.

    A verdict says whether the sample counts, passes, and has flags, its place in `WORDS`, and its
    class.
    """
    scoring, tier = results.scoring["hash"], (results.sandbox or {}).get("tier")
    places = {word: place for place, word in enumerate(WORDS)}
    spans: dict[_Key, tuple[int, int]] = {}
    verdicts: dict[_Key, tuple[bool, bool, bool, int, str]] = {}
    for start, end, record in _records(folder / SCORES, ScoreRecord, content):
        key = positions.get(record.problem_id, -1), record.sample
        if (
            record.completion == digests.get(key)
            and record.scoring == scoring
            and record.tier == tier
        ):
            first = next(iter(record.conditions), "")
            why = failure_class(record)
            executed = record.code is None or record.conditions
            spans[key] = start, end
            verdicts[key] = (
                record.setup_error is None,
                record.passed(first),
                bool(record.flags),
                places[why if executed else NOT_EXECUTED],
                why,
            )
    return LineIndex.of(spans, len(positions)), verdicts


def _records(path: Path, kind: type[Any], content: hashlib._Hash) -> Iterator[tuple[int, int, Any]]:
    """Yield a file's records with start and end of their lines; a torn last line is left out.

    The lines go into the hash `content`, too.
    """
    start = 0
    try:
        with path.open("rb", buffering=_BUFFER) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                content.update(line)
                end = start + len(line)
                try:
                    yield start, end, kind.from_json(parse(line))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise DataError(f"{path.name}, line {number} is damaged ({error}).") from error
                start = end
    except FileNotFoundError:
        raise DataError(f"There is no {path.name}.") from None
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror}") from error
