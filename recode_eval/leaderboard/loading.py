"""Reading runs for the leaderboard, and refusing those whose files do not agree.

A run is shown only if its results follow the schema and the counts of every problem are those of
its stored samples; anything else is a `DataError` that names the cause. Samples are not kept in
memory: an index says where their lines are.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.conversations.journal import FILE as TURNS
from recode_eval.errors import DataError, StorageError, UsageError
from recode_eval.leaderboard.lines import changed
from recode_eval.leaderboard.processes import forked, no_collection
from recode_eval.leaderboard.publishing import public_identity
from recode_eval.leaderboard.run_index import RunIndex, read_index
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

    from recode_eval.leaderboard.failure_classes import Failures
    from recode_eval.leaderboard.index_cache import IndexCache
    from recode_eval.run.results_file import ResultsFile
    from recode_eval.schemas.results import Counts, ProblemResult, Results, StoredEstimate

TALK = "conversation"
"""Where `RunEntry.raw_samples` puts the lines of a sample's conversation in its completion."""
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


@dataclass(frozen=True)
class RunEntry:
    """A verified run; a site reads `key` and `model_name` once for each of its problems."""

    folder: Path
    where: str
    """The folder as people know it: relative to what was given on the command line."""
    stored: ResultsFile
    index: RunIndex = field(repr=False)
    suspicious_passed: int | None = None
    """Scored samples that pass and whose code was flagged; None without tests."""
    public_run: str = ""
    """The hash that the run has when it is submitted."""
    grading: str = ""
    """Tells this grading from others of the same completions; empty where there is one only."""

    @property
    def failures(self) -> Failures:
        """Why its samples fail."""
        return self.index.failures

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

    @cached_property
    def key(self) -> str:
        """The run's hash, and its grading where a site has several of it; names it in links."""
        return f"{self.results.run}-{self.grading}" if self.grading else self.results.run

    @property
    def unsplit(self) -> int | None:
        """Scored samples that ran in one process with their tests; None if nothing was split."""
        split = self.results.split
        return None if split is None else split.unsplit

    @cached_property
    def inputs(self) -> str:
        """What its answers on a page follow from, as one line."""
        tier = (self.results.sandbox or {}).get("tier")
        rules = self.results.scoring["hash"]
        return json.dumps([self.key, self.index.content, rules, tier, self.stored.n])

    @property
    def bare_name(self) -> str:
        """The model's name, as the user gave it."""
        return self.results.model.name

    @cached_property
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
        completions = self.index.completions.read(self.folder / COMPLETIONS, position)
        scores = self.index.scores.read(self.folder / SCORES, position)
        try:
            graded = {score["sample"]: score for score in scores}
            if self.index.turns is not None:
                lines = self.index.turns.read(self.folder / TURNS, position)
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


def load_runs(
    roots: Sequence[Path], jobs: int = 1, cache: IndexCache | None = None
) -> tuple[list[RunEntry], list[BrokenRun]]:
    """Read every run below `roots`; return untrustworthy ones and copies as broken.

    A copy has the same identity and the same grading: the same answers under other rules are
    another result, on another board. So has a submission (`submissions.submit`) of the run. Runs
    come in an order that does not depend on where their folders lie. `jobs` processes share the
    work where there is much of it, and `cache` spares what did not change since an earlier call.

    Raises:
        UsageError: see `find_runs`.
    """
    entries: dict[tuple[str, str], RunEntry] = {}
    seen: dict[tuple[str, str, str], RunEntry] = {}
    broken: list[BrokenRun] = []
    if cache is not None:
        cache.prune()
    for entry in _loaded(find_runs(roots), jobs, cache):
        if isinstance(entry, BrokenRun):
            broken.append(entry)
            continue
        key = entry.results.run, str(entry.results.scoring["hash"])
        # A submission is its run's copy, though its identity names no folder any more.
        copied = entry.public_run, key[1], entry.index.content
        other = entries.get(key) or seen.get(copied) or entry
        seen.setdefault(copied, other)
        if other is entry:
            entries[key] = entry
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


def _loaded(
    found: Sequence[tuple[Path, str]], jobs: int, cache: IndexCache | None
) -> Iterator[RunEntry | BrokenRun]:
    load = partial(_load, cache=cache)
    # What is kept is read here: to hand it over between processes takes longer.
    unread = [item for item in found if cache is None or not cache.holds(item[0])]
    if min(jobs, len(unread)) < 2 or sum(map(_size, unread)) < _WORTH_A_POOL:
        yield from map(load, found)
        return
    with forked(min(jobs, len(unread))) as pool:
        read = pool.map(load, unread)
        waiting = set(unread)
        for item in found:
            yield next(read) if item in waiting else load(item)


def _size(found: tuple[Path, str]) -> int:
    paths = (found[0] / name for name in (COMPLETIONS, SCORES))
    return sum(path.stat().st_size for path in paths if path.is_file())


def _load(found: tuple[Path, str], cache: IndexCache | None) -> RunEntry | BrokenRun:
    folder, where = found
    if (folder / MANIFEST).is_file() and not (folder / RESULTS).exists():
        reason = "no results yet: the run is going on, or its command finishes it"
        return BrokenRun(where, reason, unfinished=True)
    try:
        with no_collection():
            return load_run(folder, where, cache)
    except (DataError, StorageError) as error:
        return BrokenRun(where, str(error).replace(str(folder), where))


def load_run(folder: Path, where: str, cache: IndexCache | None = None) -> RunEntry:
    """Read and verify one run; its lines are not read again where `cache` has their index.

    Raises:
        DataError: a file is missing, damaged, or does not agree with another one.
        StorageError: a file cannot be read.
    """
    for name in (RESULTS, MANIFEST, COMPLETIONS, SCORES, TURNS):
        path = folder / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            # A submitted folder could link to any place, or to an endless file.
            raise DataError(f"{name} is not a plain file.")
    signature = cache.signature(folder) if cache else []
    stored = read_run(folder / RESULTS)
    results = stored.results
    _check_identity(results, read_json(folder / MANIFEST))
    index = cache.get(folder, signature) if cache else None
    if index is None:
        talks = "conversation" in results.identity
        index = read_index(folder, results, stored.n, conversation=talks)
        if cache:
            cache.put(folder, signature, index)
    _check_counts(results, index.counted)
    flagged = [
        c[2] for p, c in zip(results.problems, index.counted, strict=True) if p.faulty is None
    ]
    stored = replace(stored, results=with_current_intervals(results))
    suspicious = sum(flagged) if stored.tested else None
    public_run = identity_hash(public_identity(results.identity))
    return RunEntry(folder, where, stored, index, suspicious, public_run)


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
