"""Reading runs for the leaderboard, and refusing those whose files do not agree.

A run is shown only if its results follow the schema and the counts of every problem are those of
its stored samples; anything else is a `DataError` that names the cause. Samples are not kept in
memory: an index says where their lines are.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.conversations.journal import FILE as TURNS
from recode_eval.conversations.journal import placed_lines
from recode_eval.errors import DataError, StorageError, UsageError
from recode_eval.leaderboard.failure_classes import Failures, failure_class
from recode_eval.leaderboard.lines import LineIndex, changed, parse
from recode_eval.leaderboard.processes import forked, no_collection
from recode_eval.leaderboard.text import digest, slug
from recode_eval.metrics import TaskKind, metric, primary
from recode_eval.run.records import CompletionRecord, ScoreRecord
from recode_eval.run.results import with_current_intervals
from recode_eval.run.results_file import read_run
from recode_eval.run.store import (
    COMPLETIONS,
    MANIFEST,
    RESULTS,
    SCORES,
    identity_hash,
    read_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recode_eval.run.results_file import ResultsFile
    from recode_eval.schemas.results import Counts, ProblemResult, Results, StoredEstimate

TALK = "conversation"
"""Where `RunEntry.raw_samples` puts the lines of a sample's conversation in its completion."""
_BUFFER = 1 << 20
_WORTH_A_POOL = 32_000_000
"""Bytes of runs from which on they are read by several processes."""


@dataclass(frozen=True, slots=True)
class BrokenRun:
    """An excluded run, and the reason."""

    where: str
    reason: str
    told: str = ""
    """The same line for whoever builds the site, with full paths; a page shows none of them."""
    unfinished: bool = False
    """Whether nothing is wrong with the run but that it has no results yet."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the model wrote and how it was graded; `score` is None where it could not be."""

    completion: CompletionRecord
    score: ScoreRecord | None


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A verified run."""

    folder: Path
    where: str
    """The folder as people know it: relative to what was given on the command line."""
    stored: ResultsFile
    completion_lines: LineIndex = field(repr=False)
    score_lines: LineIndex = field(repr=False)
    suspicious_passed: int | None = None
    """Scored samples that pass and whose code was flagged; None without tests."""
    grading: str = ""
    """Tells this grading from others of the same completions; empty where there is one only."""
    failures: Failures = field(default_factory=Failures, repr=False)
    """Why its samples fail."""
    turn_lines: LineIndex | None = field(default=None, repr=False)
    """Of the journal of conversations; None where samples are single answers."""

    @property
    def results(self) -> Results:
        """The content of results.json."""
        return self.stored.results

    @property
    def problems(self) -> Sequence[ProblemResult]:
        """The counts of every problem."""
        return self.results.problems

    @property
    def tested(self) -> bool:
        """Whether the task has tests; without any, similarity is all there is."""
        return self.stored.tested

    @property
    def key(self) -> str:
        """The run's hash, and its grading where a site has several of it; names it in links."""
        return f"{self.results.run}-{self.grading}" if self.grading else self.results.run

    @property
    def unsplit(self) -> int | None:
        """Scored samples that ran in one process with their tests; None if nothing was split."""
        split = self.results.split
        return None if split is None else split.unsplit

    @property
    def bare_name(self) -> str:
        """The model's name, as the user gave it."""
        return self.results.model.name

    @property
    def model_name(self) -> str:
        """The model's name with its request parameters, if it has any."""
        return self.stored.model

    @property
    def model_slug(self) -> str:
        """File name of the model's page: one per name and identity, whatever it is called."""
        name = self.model_name
        return slug(name).rsplit("-", 1)[0] + "-" + digest([name, self.identity["model"]])

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that determines the model and its prompts."""
        return self.results.identity

    @property
    def task(self) -> str:
        """The task's name."""
        return self.results.task.name

    @property
    def counts(self) -> Counts:
        """Numbers of samples and problems."""
        return self.results.counts

    @property
    def unscored_share(self) -> float:
        """Share of the samples that could not be graded, 0 to 1."""
        return self.stored.unscored_share

    @property
    def primary(self) -> str:
        """The metric that ranks (`metrics.primary`)."""
        return primary(TaskKind.TESTED if self.tested else TaskKind.UNTESTED)

    @property
    def rates(self) -> list[float | None]:
        """The metric that ranks, of every problem in order; None where nothing was scored."""
        value = metric(self.primary).value
        return [value(problem) for problem in self.problems]

    def metric(self, name: str) -> StoredEstimate | None:
        """Return an estimate (`value`, `low`, `high`, ...), or None if it does not exist."""
        return self.results.metrics.get(name)

    def samples(self, problem_id: str) -> list[Sample]:
        """Read the samples of a problem from the run's files; raises `StorageError`."""
        position = next((i for i, p in enumerate(self.problems) if p.id == problem_id), None)
        if position is None:
            return []
        try:
            return [
                Sample(
                    CompletionRecord.from_json(completion),
                    None if score is None else ScoreRecord.from_json(score),
                )
                for completion, score in self.raw_samples(position)
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise changed(self.folder, error) from error

    def raw_samples(self, position: int) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        """Return the samples of the problem at `position` as their records' JSON, in order.

        Much faster than `samples`. Raises `StorageError`.
        """
        completions = self.completion_lines.read(self.folder / COMPLETIONS, position)
        scores = self.score_lines.read(self.folder / SCORES, position)
        try:
            graded = {score["sample"]: score for score in scores}
            if self.turn_lines is not None:
                lines = self.turn_lines.read(self.folder / TURNS, position)
                for record in completions:
                    own = record["sample"], record["prompt_hash"]
                    record[TALK] = [x for x in lines if (x["sample"], x["prompt_hash"]) == own]
            return [(record, graded.get(record["sample"])) for record in completions]
        except (KeyError, TypeError) as error:
            raise changed(self.folder, error) from error


def find_runs(roots: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return the run folders at and below `roots`, with the names they are shown by, in order.

    Raises:
        UsageError: a root is no folder, or none of them holds a run.
    """
    found: dict[Path, str] = {}
    for root in roots:
        if not root.is_dir():
            raise UsageError(f"{root} is not a folder. Name the folder given as --out.")
        for place, folders, files in os.walk(root):
            folders.sort()
            if MANIFEST in files or RESULTS in files:
                folder = Path(place)
                where = folder.relative_to(root).as_posix()
                found.setdefault(folder.resolve(), folder.name if where == "." else where)
    if not found:
        raise UsageError(
            f"No run in {', '.join(map(str, roots))}: no folder there has a {MANIFEST}. "
            "`recode-eval --model ... --tasks ... --out FOLDER` makes one."
        )
    return sorted(found.items(), key=lambda item: (item[1], item[0]))


def load_runs(roots: Sequence[Path], jobs: int = 1) -> tuple[list[RunEntry], list[BrokenRun]]:
    """Read every run below `roots`; return untrustworthy ones and copies as broken.

    A copy has the same identity and the same grading: the same answers under other rules are
    another result, on another board. Runs come in an order that does not depend on where their
    folders lie. `jobs` processes share the work where there is much of it.

    Raises:
        UsageError: see `find_runs`.
    """
    entries: dict[tuple[str, str], RunEntry] = {}
    broken: list[BrokenRun] = []
    for entry in _loaded(find_runs(roots), jobs):
        if isinstance(entry, BrokenRun):
            broken.append(entry)
            continue
        key = entry.results.run, str(entry.results.scoring["hash"])
        other = entries.setdefault(key, entry)
        if other is not entry:
            reason = "a copy of the run {}, graded by the same rules"
            told = f"{entry.folder}: {reason.format(other.folder)}"
            broken.append(BrokenRun(entry.where, reason.format(other.where), told))
    gradings = Counter(run for run, _ in entries)
    named = [
        replace(entry, grading=digest(scoring)) if gradings[run] > 1 else entry
        for (run, scoring), entry in entries.items()
    ]
    return sorted(named, key=lambda e: (e.task, e.model_name, e.key)), broken


def _loaded(found: Sequence[tuple[Path, str]], jobs: int) -> Iterator[RunEntry | BrokenRun]:
    if min(jobs, len(found)) < 2 or sum(map(_size, found)) < _WORTH_A_POOL:
        yield from map(_load, found)
        return
    with forked(min(jobs, len(found))) as pool:
        yield from pool.map(_load, found)


def _size(found: tuple[Path, str]) -> int:
    paths = (found[0] / name for name in (COMPLETIONS, SCORES))
    return sum(path.stat().st_size for path in paths if path.is_file())


def _load(found: tuple[Path, str]) -> RunEntry | BrokenRun:
    folder, where = found
    if (folder / MANIFEST).is_file() and not (folder / RESULTS).exists():
        reason = "no results yet: the run is going on, or its command finishes it"
        return BrokenRun(where, reason, unfinished=True)
    try:
        with no_collection():
            return load_run(folder, where)
    except (DataError, StorageError) as error:
        return BrokenRun(where, str(error).replace(str(folder), where))


def load_run(folder: Path, where: str) -> RunEntry:
    """Read and verify one run.

    Raises:
        DataError: a file is missing, damaged, or does not agree with another one.
        StorageError: a file cannot be read.
    """
    for name in (RESULTS, MANIFEST, COMPLETIONS, SCORES, TURNS):
        path = folder / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            # A submitted folder could link to any place, or to an endless file.
            raise DataError(f"{name} is not a plain file.")
    stored = read_run(folder / RESULTS)
    results = stored.results
    _check_identity(results, read_json(folder / MANIFEST))
    positions = {problem.id: index for index, problem in enumerate(results.problems)}
    completions, digests = _index_completions(folder, positions, stored.n)
    failures = Failures()
    scores, counted = _index_scores(folder, results, positions, digests, failures)
    _check_counts(results, counted)
    flagged = [c[2] for p, c in zip(results.problems, counted, strict=True) if p.faulty is None]
    stored = replace(stored, results=with_current_intervals(results))
    return RunEntry(
        folder,
        where,
        stored,
        completions,
        scores,
        sum(flagged) if stored.tested else None,
        failures=failures,
        turn_lines=_index_turns(folder, positions) if "conversation" in results.identity else None,
    )


def _check_identity(results: Results, manifest: Mapping[str, Any]) -> None:
    identity = results.identity
    if identity_hash(identity) != results.run:
        raise DataError(f"{RESULTS}: the hash `run` does not match `identity`.")
    if manifest.get("identity") != identity:
        raise DataError(f"{MANIFEST} and {RESULTS} belong to different runs.")
    task, prompt = results.task, results.prompt
    stated = {
        "task": task.name, "task_version": task.version, "data": task.data_hash,
        "prompt": prompt.hash, "update_note": prompt.update_note,
        "sampling": {key: value for key, value in results.sampling.items() if key != "n"},
    }  # fmt: skip
    for name, value in stated.items():
        if identity[name] != value:
            raise DataError(f"{RESULTS}: `{name}` does not match `identity`.")


def _index_completions(
    folder: Path, positions: Mapping[str, int], n: int
) -> tuple[LineIndex, dict[tuple[int, int], str]]:
    """Return where the samples' lines are, and the digest of each; the first record counts.

    Samples go by the position of their problem and their own number.
    """
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    digests: dict[tuple[int, int], str] = {}
    for start, end, record in _records(folder / COMPLETIONS, CompletionRecord):
        key = positions.get(record.problem_id, -1), record.sample
        if key[0] >= 0 and 0 <= record.sample < n and key not in digests:
            digests[key] = record.digest
            spans[key] = start, end
    return LineIndex.of(spans, len(positions)), digests


def _index_turns(folder: Path, positions: Mapping[str, int]) -> LineIndex:
    """Return where the lines of each problem's conversations are, in the order of the journal."""
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    for number, (start, end, line) in enumerate(placed_lines(folder / TURNS)):
        position = positions.get(line.problem_id, -1)
        if position >= 0:
            spans[position, number] = start, end
    return LineIndex.of(spans, len(positions))


def _index_scores(
    folder: Path,
    results: Results,
    positions: Mapping[str, int],
    digests: Mapping[tuple[int, int], str],
    failures: Failures,
) -> tuple[LineIndex, list[list[int]]]:
    """Return where the valid scores' lines are, and three counts per problem; fill `failures`.

    These are the scores that count, those of them that pass, and those that pass with flags. The
    last record of a sample counts.
    """
    scoring, tier = results.scoring["hash"], (results.sandbox or {}).get("tier")
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    verdicts: dict[tuple[int, int], tuple[bool, bool, bool, str]] = {}
    for start, end, record in _records(folder / SCORES, ScoreRecord):
        key = positions.get(record.problem_id, -1), record.sample
        if (
            record.completion == digests.get(key)
            and record.scoring == scoring
            and record.tier == tier
        ):
            first = next(iter(record.conditions), "")
            spans[key] = start, end
            verdicts[key] = (
                record.setup_error is None,
                record.passed(first),
                bool(record.flags),
                failure_class(record),
            )
    counted = [[0, 0, 0] for _ in positions]
    for (position, sample), (counts, passed, flagged, why) in verdicts.items():
        if counts:
            failures.add(position, sample, why)
        counted[position][0] += counts
        counted[position][1] += counts and passed
        counted[position][2] += counts and passed and flagged
    return LineIndex.of(spans, len(positions)), counted


def _check_counts(results: Results, counted: Sequence[Sequence[int]]) -> None:
    problems = results.problems
    for problem, (n, passed, _) in zip(problems, counted, strict=True):
        if problem.faulty is not None:
            continue
        if n != problem.n or (problem.passed is not None and passed != problem.passed):
            raise DataError(
                f"{RESULTS} says {problem.passed} of {problem.n} samples of {problem.id!r} pass, "
                f"but {SCORES} has {passed} of {n}. `recode-eval score RUN` counts again."
            )
    if sum(p.n for p in problems) != results.counts.scored:
        raise DataError(f"{RESULTS}: `counts` does not match `problems`.")


def _records(path: Path, kind: type[Any]) -> Iterator[tuple[int, int, Any]]:
    """Yield a file's records with start and end of their lines; a torn last line is left out."""
    start = 0
    try:
        with path.open("rb", buffering=_BUFFER) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
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
