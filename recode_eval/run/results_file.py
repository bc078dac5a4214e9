"""Stored runs as evidence: finding their results, reading them with suspicion, pairing them.

Whoever compares two runs reads their `results.json` alone: it holds the counts of every problem. A
file may come from anybody, so every figure is checked and recomputed from the counts.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError, UsageError
from recode_eval.run.results import SCHEMA_VERSION, metric_values, stored_score
from recode_eval.run.store import RESULTS, read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.run.results import MetricValues, ProblemScore

SAMPLING = ("temperature", "top_p", "max_tokens", "stop")
"""The sampling parameters that must agree; seeds may differ, and n is checked by itself."""
_PASS_AT = re.compile(r"pass@([1-9][0-9]{0,8})$")


@dataclass(frozen=True)
class StoredRun:
    """One run's results: where they come from, and the score of every problem."""

    source: str
    results: Mapping[str, Any]
    scores: Mapping[str, ProblemScore]

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self.results["task"]["name"])

    @property
    def model(self) -> str:
        """The model's name; hostile text."""
        return str(self.results["model"]["name"])

    @property
    def n(self) -> int:
        """Samples per problem that were asked for."""
        return int(self.results["sampling"]["n"])

    @property
    def unscored_share(self) -> float:
        """Share of the samples that nobody could judge, 0 to 1."""
        counts = self.results["counts"]
        return float(counts["unscored"] / counts["samples"])

    @property
    def harness(self) -> str:
        """The version of this package that the last command of the run used."""
        return str(self.results["invocations"][-1]["recode_eval"])

    @cached_property
    def metrics(self) -> dict[str, MetricValues]:
        """Every metric's value per problem, in the order of `scores`."""
        return metric_values(list(self.scores.values()), self.ks | {1})

    @property
    def ks(self) -> set[int]:
        """The k of pass@k that the run reports."""
        return {
            int(found[1]) for name in self.results["metrics"] if (found := _PASS_AT.search(name))
        }

    def values(self, metric: str) -> dict[str, float | None]:
        """Return a metric by problem id; empty if the task does not have it."""
        found = self.metrics.get(metric)
        return {} if found is None else dict(zip(self.scores, found.values, strict=True))


def load_runs(paths: Iterable[Path]) -> list[StoredRun]:
    """Read the runs of some places.

    A place is a results.json, a run's folder, a folder above runs, a pack, or a results.json or a
    pack on the hub (see `hub.fetch`).

    Raises:
        DataError: there are no results, or they are damaged.
        UsageError: one task twice, so that nobody could say which run is meant; or the hub does not
            have the file.
        InfrastructureError: the hub cannot be reached.
    """
    runs: dict[str, StoredRun] = {}
    for place in paths:
        for run in _runs_at(place):
            if run.task in runs:
                raise UsageError(
                    f"Two runs of the task {run.task}: {runs[run.task].source} and {run.source}. "
                    "Name one of them."
                )
            runs[run.task] = run
    return list(runs.values())


def _runs_at(place: Path) -> list[StoredRun]:
    from recode_eval.run import hub

    name = str(place)
    if not name.startswith(hub.PREFIX):
        if place.is_file():
            return [_read_file(place, name)]
        return [read_run(file) for file in _results_files(place)]
    return [_read_file(hub.fetch(name), name)]


def _read_file(file: Path, name: str) -> StoredRun:
    """Read a results.json or a pack, which people know as `name`."""
    from recode_eval.run.archive import SUFFIX, unpack

    with tempfile.TemporaryDirectory(prefix="recode-eval-") as temporary:
        results = file
        try:
            if name.endswith(SUFFIX):
                unpack(file, Path(temporary) / "run", names=(RESULTS,))
                results = Path(temporary) / "run" / RESULTS
            return replace(read_run(results), source=name)
        except DataError as error:
            text = str(error).replace(str(results), name).replace(str(file), name)
            raise DataError(text) from error


def _results_files(place: Path) -> Sequence[Path]:
    if not place.exists():
        raise DataError(
            f"There is no run at {place}: neither a folder nor a results.json nor a pack."
        )
    if (place / RESULTS).exists():
        return [place / RESULTS]
    found = sorted(place.glob(f"*/{RESULTS}"))
    if not found:
        raise DataError(
            f"{place} holds no {RESULTS}, nor does a folder in it. If the run was interrupted, "
            "give its command again."
        )
    return found


def read_run(file: Path) -> StoredRun:
    """Read one results.json; raises `DataError` naming the file and what is wrong in it."""
    results = read_json(file)
    version = results.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{file} has schema version {version!r}; this program knows {SCHEMA_VERSION}. Judge "
            "the run again with this version: recode-eval score RUN"
        )
    try:
        scores = [stored_score(problem) for problem in results["problems"]]
        run = StoredRun(str(file), results, {score.problem.id: score for score in scores})
        _check(run, len(scores))
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        ZeroDivisionError,
    ) as error:
        raise DataError(
            f"{file} is damaged ({type(error).__name__}: {error}). `recode-eval score RUN` writes "
            "it anew."
        ) from error
    return run


_SHAPE: dict[tuple[str, ...], tuple[type, ...]] = {
    ("run",): (str,),
    ("identity", "model"): (dict,),
    ("model", "name"): (str,),
    ("task", "name"): (str,),
    ("task", "version"): (int,),
    ("task", "data_hash"): (str,),
    ("prompt", "hash"): (str,),
    ("prompt", "update_note"): (bool,),
    ("scoring", "hash"): (str,),
    ("sampling", "n"): (int,),
    ("sampling", "seed"): (int,),
    ("sampling", "temperature"): (int, float),
    ("sampling", "top_p"): (int, float),
    ("sampling", "max_tokens"): (int,),
    ("sampling", "stop"): (list,),
    ("counts", "samples"): (int,),
    ("counts", "unscored"): (int,),
    ("metrics",): (dict,),
    ("sandbox",): (dict, type(None)),
    ("invocations",): (list,),
}
"""Of all that is read later, save the problems: found here, damage has a clear message."""


def _check(run: StoredRun, problems: int) -> None:
    for path, types in _SHAPE.items():
        value: Any = run.results
        for key in path:
            value = value[key]
        if type(value) not in types:
            raise TypeError(f"{'.'.join(path)} is of type {type(value).__name__}")
    if type(run.results["invocations"][-1]["recode_eval"]) is not str:
        raise TypeError("invocations.recode_eval is no version")
    if len(run.scores) != problems or not problems:
        raise ValueError("its problems' ids are not unique, or there are none")
    counts = run.results["counts"]
    if not 0 <= counts["unscored"] <= counts["samples"] or not counts["samples"] or run.n < 1:
        raise ValueError("its counts do not add up")
    for metric in run.metrics.values():
        low, high = metric.bounds
        if not all(value is None or low <= value <= high for value in metric.values):
            raise ValueError("a value is out of its range")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why two runs are not alike; `text` is for people."""

    what: str
    """`task`, `data`, `problems`, `prompt`, `sampling`, `n`, `harness`, `scoring`, `unscored` or
    `faulty`."""
    text: str


def mismatches(a: StoredRun, b: StoredRun, max_unscored: float = 0.01) -> list[Mismatch]:
    """Return all that keeps the difference of two runs from being the models' alone.

    `max_unscored` is the share of samples that may be without a verdict in either run.
    """
    found = [*_of_setup(a, b), *_of_judging(a, b)]
    for run, role in ((a, "the baseline"), (b, "the candidate")):
        if run.unscored_share > max_unscored:
            found.append(
                Mismatch(
                    "unscored",
                    f"{run.unscored_share:.1%} of the samples of {role} are unscored (at most "
                    f"{max_unscored:.1%}); the run's own command tries them again",
                )
            )
    common = a.scores.keys() & b.scores.keys()
    faulty = sum((a.scores[key].faulty is None) != (b.scores[key].faulty is None) for key in common)
    if faulty > max_unscored * len(common):
        text = f"{faulty} problems could be set up in one run only: their sandboxes differ"
        found.append(Mismatch("faulty", text))
    return found


def _of_setup(a: StoredRun, b: StoredRun) -> list[Mismatch]:
    """What the models were asked, and how often."""
    first, second = a.results, b.results
    found = []

    def differ(what: str, name: str, one: object, other: object) -> None:
        if one != other:
            found.append(Mismatch(what, f"{name} differs: {_short(one)} and {_short(other)}"))

    differ("task", "the task", a.task, b.task)
    differ("task", "the task's version", first["task"]["version"], second["task"]["version"])
    differ("data", "the data's hash", first["task"]["data_hash"], second["task"]["data_hash"])
    if alone := a.scores.keys() ^ b.scores.keys():
        found.append(Mismatch("problems", f"{len(alone)} problems are in one of the runs only"))
    differ("prompt", "the prompt's hash", first["prompt"]["hash"], second["prompt"]["hash"])
    differ(
        "prompt",
        "whether the update is shown",
        first["prompt"]["update_note"],
        second["prompt"]["update_note"],
    )
    for key in SAMPLING:
        differ("sampling", key, first["sampling"][key], second["sampling"][key])
    differ("n", "n (samples per problem)", a.n, b.n)
    return found


def _of_judging(a: StoredRun, b: StoredRun) -> list[Mismatch]:
    """How the answers were judged."""
    if a.harness.split(".")[0] != b.harness.split(".")[0]:
        text = f"the harness differs in its major version: {a.harness} and {b.harness}"
        return [Mismatch("harness", text)]
    if a.results["task"]["data_hash"] != b.results["task"]["data_hash"]:
        return []  # The hash of how it was judged covers the data.
    if a.results["scoring"]["hash"] != b.results["scoring"]["hash"]:
        text = "the limits or the rules of judging differ; judge one run again: recode-eval score"
        return [Mismatch("scoring", text)]
    return []


def remarks(a: StoredRun, b: StoredRun) -> list[str]:
    """Return what does not forbid a comparison, but may explain a difference."""
    first, second = a.results["sandbox"] or {}, b.results["sandbox"] or {}
    found = [
        f"the sandbox's {key} differs"
        for key in ("tier", "python", "libraries")
        if first.get(key) != second.get(key)
    ]
    lost = sum(
        (a.scores[key].n == 0) != (b.scores[key].n == 0)
        for key in a.scores.keys() & b.scores.keys()
    )
    if lost:
        found.append(f"{lost} problems have a score in one of the runs only, and do not count")
    return found


def _short(value: object) -> str:
    text = str(value)
    return text[:12] if re.fullmatch(r"[0-9a-f]{64}", text) else text


def pooled(first: StoredRun, second: StoredRun) -> StoredRun:
    """Return one run with the samples of two: the same model, asked again with another seed.

    Raises `UsageError` if anything but the seed and the number of samples differs, or the seed does
    not: the same seed gives the same samples, which are no new evidence.
    """
    here = f"{second.source} is no rerun of {first.source}"
    one, two = first.results, second.results
    if one["identity"]["model"] != two["identity"]["model"]:
        raise UsageError(f"{here}: it is another model, or it was loaded in another way.")
    found = [x.text for x in mismatches(first, second, 1.0) if x.what != "n"]
    if found:
        raise UsageError(f"{here}: {'; '.join(found)}.")
    if one["sampling"]["seed"] == two["sampling"]["seed"]:
        raise UsageError(f"{here}: it has the same seed. Give the run's command another --seed.")
    counts = {key: one["counts"][key] + two["counts"][key] for key in ("samples", "unscored")}
    results = {
        **one,
        "sampling": {**one["sampling"], "n": first.n + second.n},
        "counts": {**one["counts"], **counts},
        "metrics": {**one["metrics"], **two["metrics"]},
    }
    scores = {key: _pooled(score, second.scores[key]) for key, score in first.scores.items()}
    return StoredRun(f"{first.source} + {second.source}", results, scores)


def _pooled(a: ProblemScore, b: ProblemScore) -> ProblemScore:
    """Add the counts, and weigh the means by the samples they are of; faulty once is faulty."""
    if a.faulty is not None or b.faulty is not None:
        return b if a.faulty is None else a

    def mean(one: float | None, two: float | None) -> float | None:
        if one is None or two is None:
            return two if one is None else one
        return (a.n * one + b.n * two) / (a.n + b.n)

    def total(one: int | None, two: int | None) -> int | None:
        return None if one is None or two is None else one + two

    def means(one: Mapping[str, float], two: Mapping[str, float]) -> dict[str, float]:
        found = {key: mean(one.get(key), two.get(key)) for key in {**one, **two}}
        return {key: value for key, value in found.items() if value is not None}

    groups = {**a.passed_groups, **b.passed_groups}
    return replace(
        a,
        n=a.n + b.n,
        passed=total(a.passed, b.passed),
        passed_groups={
            key: a.passed_groups.get(key, 0) + b.passed_groups.get(key, 0) for key in groups
        },
        passed_without=total(a.passed_without, b.passed_without),
        needed=total(a.needed, b.needed),
        test_rate=mean(a.test_rate, b.test_rate),
        no_code=a.no_code + b.no_code,
        similarity=means(a.similarity, b.similarity),
        measures=means(a.measures, b.measures),
    )
