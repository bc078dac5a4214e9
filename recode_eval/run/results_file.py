"""Reading results.json: one reader for the gate, comparisons, exports and the leaderboard.

Whoever compares two runs reads their `results.json` alone: it holds the counts of every problem. A
file may come from anybody, so every figure is checked and recomputed from the counts.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from recode_eval.errors import DataError, UsageError
from recode_eval.metrics import UNKNOWN_TO_LOGS, metric, tested
from recode_eval.models.request_options import labelled
from recode_eval.run.results import metric_values
from recode_eval.run.store import MANIFEST, RESULTS
from recode_eval.schemas.base import check_numbers, decode
from recode_eval.schemas.results import (
    SCHEMA_VERSION,
    ProblemResult,
    Results,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.run.results import MetricValues

_ANEW = "`recode-eval score RUN` rewrites it."
_FREE_FORM = ("identity", "selection", "scoring", "sandbox", "invocations")


@dataclass(frozen=True)
class ResultsFile:
    """One run's results: where they come from, and the counts of every problem."""

    source: str
    results: Results
    scores: Mapping[str, ProblemResult]
    """The problems by id, in the order of the file."""

    @property
    def task(self) -> str:
        """The task's name."""
        return self.results.task.name

    @property
    def model(self) -> str:
        """The model's name, with its request parameters if it has any; hostile text."""
        return labelled(self.results.model.name, self.results.identity["model"])

    @property
    def n(self) -> int:
        """Samples per problem that were asked for."""
        return self.results.sampling.n

    @property
    def unscored_share(self) -> float:
        """Share of the samples that nobody could grade, 0 to 1."""
        return self.results.counts.unscored / self.results.counts.samples

    def per_sample(self, usage: str) -> float | None:
        """Return a total of `usage`, such as `completion_tokens`, as a mean over samples.

        None where the back-end does not say, and without samples.
        """
        total: float | None = getattr(self.results.usage, usage)
        generated = self.results.counts.generated
        return None if total is None or not generated else total / generated

    @property
    def harness(self) -> str:
        """The version of this package that the last command of the run used."""
        return str(self.results.invocations[-1]["recode_eval"])

    @cached_property
    def tested(self) -> bool:
        """Whether the task has tests; without any, similarity is all there is."""
        return tested(self.scores.values())

    @cached_property
    def metrics(self) -> dict[str, MetricValues]:
        """Every metric's value per problem, in the order of `scores`."""
        found = metric_values(list(self.scores.values()), self.ks | {1})
        unknown = {name for name in UNKNOWN_TO_LOGS if name not in self.results.metrics}
        return {name: values for name, values in found.items() if name not in unknown}

    @property
    def ks(self) -> set[int]:
        """The k of pass@k that the run reports."""
        found = (metric(name).k for name in self.results.metrics)
        return {k for k in found if k is not None}

    def values(self, metric: str) -> dict[str, float | None]:
        """Return a metric by problem id; empty if the task does not have it."""
        found = self.metrics.get(metric)
        return {} if found is None else dict(zip(self.scores, found.values, strict=True))


def load_runs(paths: Iterable[Path]) -> list[ResultsFile]:
    """Read the runs of some places.

    A place is a results.json, a run's folder, a folder above runs, a pack, or a results.json or a
    pack on the hub (see `hub.fetch`).

    Raises:
        DataError: there are no results, or they are damaged.
        UsageError: two runs have the same task, so the choice is ambiguous; or the hub does not
            have the file.
        InfrastructureError: the hub cannot be reached.
    """
    runs: dict[str, ResultsFile] = {}
    for place in paths:
        for run in _runs_at(place):
            if run.task in runs:
                raise UsageError(
                    f"Two runs of the task {run.task}: {runs[run.task].source} and {run.source}. "
                    "Name one of them."
                )
            runs[run.task] = run
    return list(runs.values())


def load_every_run(paths: Iterable[Path]) -> list[ResultsFile]:
    """Read the runs of some places as `load_runs` does, also several of one task or model."""
    return [run for place in paths for run in _runs_at(place, several=True)]


def _runs_at(place: Path, *, several: bool = False) -> list[ResultsFile]:
    """Read the runs of a place; with `several`, a folder may hold those of several models."""
    from recode_eval.run import hub

    name = str(place)
    if not name.startswith(hub.PREFIX):
        if place.is_file():
            return [_read_file(place, name)]
        if place.is_dir() and (logs := _logs_at(place)):
            return [_read_file(log, str(log)) for log in logs]
        return [read_run(file) for file in _results_files(place, several=several)]
    return [_read_file(hub.fetch(name), name)]


def _logs_at(place: Path) -> list[Path]:
    """Return another harness's logs in a folder that has no runs of this one."""
    from recode_eval.run.foreign.importing import logs_in

    own = (place / RESULTS, *place.glob(f"*/{RESULTS}"), *place.glob(f"*/*/{RESULTS}"))
    return [] if any(file.exists() for file in own) else logs_in(place)


def _read_file(file: Path, name: str) -> ResultsFile:
    """Read a results.json, a pack or another harness's log, which people know as `name`."""
    from recode_eval.run.archive import SUFFIX, unpack
    from recode_eval.run.foreign.importing import import_file

    with tempfile.TemporaryDirectory(prefix="recode-eval-") as temporary:
        results = file
        try:
            if (imported := import_file(file, name, Path(temporary))) is not None:
                results = imported / RESULTS
            if name.endswith(SUFFIX):
                unpack(file, Path(temporary) / "run", names=(RESULTS,))
                results = Path(temporary) / "run" / RESULTS
            return replace(read_run(results), source=name)
        except DataError as error:
            text = str(error).replace(str(results), name).replace(str(file), name)
            raise DataError(text) from error


def _by_model(place: Path, *, several: bool) -> list[Path]:
    """Return the runs in a folder given with `--out`; unless `several`, all are of one model."""
    below = sorted(place.glob(f"*/*/{RESULTS}"))
    models = sorted({file.parent.parent.name for file in below})
    if len(models) > 1 and not several:
        raise DataError(
            f"{place} holds runs of {len(models)} models; name one: {place / models[0]}, "
            f"{place / models[1]}{', ...' if len(models) > 2 else ''}."
        )
    return below


def _results_files(place: Path, *, several: bool) -> Sequence[Path]:
    if not place.exists():
        raise DataError(f"There is no run at {place}: no such folder or file.")
    if (place / RESULTS).exists():
        return [place / RESULTS]
    found = sorted(place.glob(f"*/{RESULTS}")) or _by_model(place, several=several)
    if not found:
        raise DataError(
            f"Neither {place} nor a folder in it has a {RESULTS}, or a log that inspect_ai or "
            "lm-eval named. If the run was interrupted, repeat its command."
        )
    return found


def read_run(file: Path) -> ResultsFile:
    """Read one results.json.

    Raises:
        DataError: the file is not there, or damaged; the message names the file, the place in it,
            and what is wrong there.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        if (file.parent / MANIFEST).is_file():
            raise DataError(
                f"{file.parent} has no results yet: the run is going on, or it was interrupted, "
                "and its command finishes it."
            ) from None
        raise DataError(
            f"There is no {file.name} in {file.parent}: this is not a run folder, or the run was "
            "interrupted. Check the path, or repeat the run's command."
        ) from None
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror}.") from error
    return parse_results(data, str(file))


def parse_results(data: bytes, name: str) -> ResultsFile:
    """Return the content of a results.json that people know as `name`; see `read_run`."""
    try:
        results = decode(data, Results, name)
        for part in _FREE_FORM:
            check_numbers(getattr(results, part), name)
        check_numbers(results.model.details, name)
        run = ResultsFile(name, results, {problem.id: problem for problem in results.problems})
        _check(run)
    except DataError as error:
        version = _schema_version(data)
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{name} has schema version {version!r}; this program knows {SCHEMA_VERSION}. "
                "Grade the run again with this version: recode-eval score RUN"
            ) from error
        raise DataError(f"{error} {_ANEW}") from error
    return run


class _Versioned(msgspec.Struct):
    schema_version: object = SCHEMA_VERSION


def _schema_version(data: bytes) -> object:
    """Return the version that a file declares; raise the usual error if it is not a JSON object."""
    try:
        return msgspec.json.decode(data, type=_Versioned).schema_version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return SCHEMA_VERSION


def _check(run: ResultsFile) -> None:
    """Check what a schema cannot say; raises `DataError`."""

    def damaged(text: str) -> DataError:
        return DataError(f"{run.source} is damaged: {text}.")

    results = run.results
    counts = results.counts
    if not results.problems:
        raise damaged("it has no problems")
    if len(run.scores) != len(results.problems):
        raise damaged("the ids of its problems are not unique")
    docs = results.prompt.docs
    if results.identity.get("docs") != (docs and {"arm": docs.arm, "hash": docs.hash}):
        raise damaged("`prompt.docs` and `identity.docs` are not about the same documentation")
    if not counts.samples or counts.unscored > counts.samples:
        raise damaged(f"counts: {counts.unscored} of {counts.samples} samples are unscored")
    # Not `run.metrics`, which keeps the values: a leaderboard reads hundreds of runs.
    for name, found in metric_values(results.problems, (1,)).items():
        low, high = found.bounds
        for problem, value in zip(results.problems, found.values, strict=True):
            if value is not None and not low <= value <= high:
                raise damaged(
                    f"{name} of the problem {problem.id!r} is {value:g}, out of {low:g} to {high:g}"
                )
