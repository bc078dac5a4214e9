"""Training logs, read as untrusted input from `train.json` and `train.jsonl` (docs/training.md).

A folder may come from anybody. What is not a log by its format, or holds numbers that no training
logs, is named and left out. Nothing of the trainer is imported: data flow one way.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.comparison.comparability import comparability_key
from recode_eval.comparison.pooling import evidence
from recode_eval.errors import DataError, StorageError, UsageError
from recode_eval.leaderboard.loading import (
    BrokenRun,
    find_runs,
    load_run,
)
from recode_eval.leaderboard.text import digest
from recode_eval.metrics import TaskKind, primary
from recode_eval.metrics import metric as metric_of
from recode_eval.schemas.base import check_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from recode_eval.comparison.pooling import Evidence

REPORT, LOG, EVALUATIONS = "train.json", "train.jsonl", "evaluations"
SCHEMA_VERSION = 1
_LARGEST_REPORT = 4_000_000
_LARGEST_LOG = 256_000_000
_LONGEST_LINE = 200_000
"""Bytes; a line has some thirty numbers, about a kilobyte."""
_LARGEST_VALUE = 1e12
_LARGEST_STEP = 10**9
_MOST_REWARDS, _MOST_TASKS, _MOST_EVALUATIONS = 32, 50, 1_000
_LONGEST_NAME = 100
_DEEPEST = 6

SERIES = ("reward", "frac_reward_zero_std", "completions/mean_length", "kl", "entropy", "loss")
"""What is read of a line, besides the parts of the reward."""
PART = re.compile(r"rewards/([A-Za-z0-9_*.-]{1,60})/mean\Z")

FREE_SETTINGS = frozenset({
    "output", "preset", "logging_steps", "save_steps", "save_total_limit", "eval_steps",
    "eval_tasks", "eval_limit", "eval_n", "eval_temperature", "sandbox", "sandbox_workers",
    "max_barren_batches", "report_to", "completion_samples", "completion_steps", "gate",
    "gate_options", "gate_wait", "push_to_hub", "hub_model_id", "hub_private_repo",
})  # fmt: skip
"""Settings that do not change the weights (docs/training.md, Interruptions)."""

Points = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """The values per problem of an evaluation whose run was verified."""

    evidence: Evidence
    rules: str
    """Digest of everything that must agree for two evaluations to be compared."""


@dataclass(frozen=True, slots=True)
class EvaluatedCheckpoint:
    """One evaluation during a training."""

    step: int
    task: str
    value: float
    """The metric that ranks on the task."""
    metric: str
    proof: Proof | None
    """What the evaluation's own run says, where its folder lies beside the log."""


@dataclass(frozen=True, slots=True)
class Training:
    """One training as its log has it; every text in it may be hostile."""

    folder: Path
    where: str
    report: Mapping[str, Any]
    series: Mapping[str, Points]
    checkpoints: tuple[EvaluatedCheckpoint, ...]
    """In the order of steps."""

    @property
    def key(self) -> str:
        """Names the training in links."""
        return digest([self.where, self.report["config"], self.report["data_hash"]])

    @property
    def config(self) -> Mapping[str, Any]:
        """Its settings."""
        return self.report["config"]  # type: ignore[no-any-return]

    @property
    def algorithm(self) -> str:
        """`sft`, `grpo`, `dapo`, or another name from the log."""
        return str(self.config["algorithm"])

    @property
    def method(self) -> str:
        """What the trainer calls the method; older logs name the algorithm alone."""
        named = self.report.get("method")
        return named if isinstance(named, str) and named.strip() else self.algorithm.upper()

    @property
    def base(self) -> str:
        """The last part of the trained model's path: the rest describes a private machine."""
        return re.split(r"[/\\]", str(self.config["model"]).rstrip("/\\"))[-1] or "unknown"

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return int(self.config["seed"])

    @property
    def rewards(self) -> Mapping[str, float]:
        """The rewards' weights; empty where the method has none."""
        # Older logs do not say it, and had SFT as the only such method.
        rewarded = self.report.get("rewarded", self.algorithm != "sft")
        return self.config["rewards"] if rewarded else {}

    @property
    def deciding(self) -> Mapping[str, Any]:
        """The settings that change the weights, except the seed."""
        return {k: v for k, v in self.config.items() if k not in {*FREE_SETTINGS, "seed"}}

    @property
    def finished(self) -> bool:
        """Whether it finished."""
        return self.report["finished"]  # type: ignore[no-any-return]

    @property
    def last_step(self) -> int:
        """The last step that was logged."""
        steps = [points[-1][0] for points in self.series.values() if points]
        return max([*steps, *(c.step for c in self.checkpoints)], default=0)

    def budget(self, name: str) -> float | None:
        """Return a count of the budgets; None if the training has not finished."""
        value = self.report.get("budgets", {}).get(name)
        return value if isinstance(value, int | float) else None

    @property
    def parts(self) -> list[str]:
        """Names of the rewards that were logged."""
        return sorted(found[1] for name in self.series if (found := PART.match(name)))


def read_trainings(
    places: Sequence[Path], beside: Sequence[Path] = ()
) -> tuple[list[Training], list[BrokenRun]]:
    """Return the trainings at and below `places` and `beside`, by name, and those left out.

    Raises:
        UsageError: one of `places` is no folder, or none is there. (`beside` may hold none.)
    """
    for place in places:
        if not place.is_dir():
            raise UsageError(f"--training {place} is not a folder.")
    found = _folders([*places, *beside])
    if places and not found:
        raise UsageError(
            f"No training in {', '.join(map(str, places))}: no folder there has both {REPORT} and "
            f"{LOG}, as `recode-train ... --out FOLDER` writes them."
        )
    trainings: list[Training] = []
    broken: list[BrokenRun] = []
    for folder, where in found:
        try:
            trainings.append(_read(folder, where, broken))
        except (DataError, StorageError) as error:
            broken.append(BrokenRun(where, str(error).replace(str(folder), where)))
    return trainings, broken


def _folders(roots: Iterable[Path]) -> list[tuple[Path, str]]:
    found: dict[Path, str] = {}
    for root in roots:
        for place, folders, files in os.walk(root):
            folders.sort()
            if REPORT in files and LOG in files:
                folder = Path(place)
                where = folder.relative_to(root).as_posix()
                found.setdefault(folder.resolve(), folder.name if where == "." else where)
    return sorted(found.items(), key=lambda item: (item[1], item[0]))


def _read(folder: Path, where: str, broken: list[BrokenRun]) -> Training:
    report = _report(folder)
    series: dict[str, list[tuple[int, float]]] = defaultdict(list)
    evaluated: dict[tuple[int, str], tuple[str, float]] = {}
    for number, line in _lines(folder):
        try:
            _take(line, series, evaluated)
        except ValueError as error:
            raise DataError(f"{LOG}, line {number}: {error}.") from error
    runs = _evaluations(folder, where, broken)
    checkpoints = [
        EvaluatedCheckpoint(
            step, task, value, metric, _proof(runs.get((step, task)), metric, value)
        )
        for (step, task), (metric, value) in sorted(evaluated.items())
    ]
    points = {name: tuple(sorted(dict(found).items())) for name, found in sorted(series.items())}
    return Training(folder, where, report, points, tuple(checkpoints))


def _plain(path: Path, largest: int) -> None:
    if path.is_symlink() or not path.is_file():
        # A submitted folder could link to any place, or to an endless file.
        raise DataError(f"{path.name} is not a plain file.")
    if path.stat().st_size > largest:
        raise DataError(f"{path.name} is too large ({largest / 1e6:,.0f} MB at most).")


def _report(folder: Path) -> dict[str, Any]:
    path = folder / REPORT
    try:
        _plain(path, _LARGEST_REPORT)
        content = _parsed(path.read_bytes())
    except OSError as error:
        raise StorageError(f"{REPORT} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{REPORT} is not JSON ({str(error)[:100]}).") from error
    check_numbers(content, REPORT)
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"{REPORT} is not of schema version {SCHEMA_VERSION}.")
    _check_report(content)
    return content


_SHAPE: tuple[tuple[tuple[str, ...], type], ...] = (
    (("config",), dict),
    (("config", "algorithm"), str),
    (("config", "model"), str),
    (("config", "seed"), int),
    (("model",), dict),
    (("data_hash",), str),
    (("finished",), bool),
)


def _check_report(content: Mapping[str, Any]) -> None:
    for path, kind in _SHAPE:
        value: Any = content
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if type(value) is not kind:
            raise DataError(f"{REPORT}: {'/'.join(path)} is missing or has the wrong type.")
    rewards = content["config"].setdefault("rewards", {})
    if not isinstance(rewards, dict) or len(rewards) > _MOST_REWARDS:
        raise DataError(f"{REPORT}: config/rewards is not a table of weights.")
    if any(isinstance(w, bool) or not isinstance(w, int | float) for w in rewards.values()):
        raise DataError(f"{REPORT}: a weight in config/rewards is not a number.")
    if not _is_flat(content["config"], _DEEPEST) or not _is_flat(content["model"], _DEEPEST):
        raise DataError(f"{REPORT}: config or model is nested deeper than any setting.")
    if not isinstance(content.get("budgets", {}), dict):
        raise DataError(f"{REPORT}: budgets has the wrong type.")


def _is_flat(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_flat(item, levels - 1) for item in inner)


def _lines(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines of the log by number; a torn last line is left out."""
    path = folder / LOG
    try:
        _plain(path, _LARGEST_LOG)
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if not line.endswith(b"\n"):
                    if len(line) == _LONGEST_LINE:
                        raise DataError(f"{LOG}, line {number} is too long.")
                    return
                try:
                    content = _parsed(line)
                except (ValueError, RecursionError) as error:
                    raise DataError(
                        f"{LOG}, line {number} is not JSON ({str(error)[:100]})."
                    ) from error
                if not isinstance(content, dict):
                    raise DataError(f"{LOG}, line {number} is not an object.")
                yield number, content
    except OSError as error:
        raise StorageError(f"{LOG} cannot be read: {error.strerror}.") from error


def _parsed(text: bytes) -> Any:
    """Parse JSON without the numbers that JSON does not have; raises `ValueError`."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not a JSON number")

    return json.loads(text, parse_constant=refuse)


def _take(
    line: Mapping[str, Any],
    series: dict[str, list[tuple[int, float]]],
    evaluated: dict[tuple[int, str], tuple[str, float]],
) -> None:
    """Add a line's values; raises `ValueError` for values that no training writes."""
    step = line.get("step")
    if type(step) is not int or not 0 <= step <= _LARGEST_STEP:
        raise ValueError("`step` is not a step number")
    for name, value in line.items():
        if name not in SERIES and not PART.match(name):
            continue
        if value is None:
            continue  # What was not finite is logged as null.
        series[name].append((step, _number(value, name)))
    if len(series) > len(SERIES) + _MOST_REWARDS:
        raise ValueError("too many rewards")
    evaluation = line.get("evaluation", {})
    if not isinstance(evaluation, dict) or len(evaluation) > _MOST_TASKS:
        raise ValueError("`evaluation` is not a table of tasks")
    for task, figures in evaluation.items():
        if not isinstance(figures, dict) or len(task) > _LONGEST_NAME:
            raise ValueError("an entry of `evaluation` is not a table of figures")
        metric = next((name for name in _ranking() if figures.get(name) is not None), None)
        if metric is None:
            continue
        value = _number(figures[metric], metric)
        low, high = metric_of(metric).bounds
        if not low <= value <= high:
            raise ValueError(f"{metric} of {task[:40]!r} is out of its range")
        evaluated[step, task] = metric, value
    if len(evaluated) > _MOST_EVALUATIONS:
        raise ValueError("too many evaluations")


def _ranking() -> tuple[str, ...]:
    """Return the metrics that rank, that of tasks with tests first."""
    return tuple(primary(kind) for kind in TaskKind)


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is no number")  # noqa: TRY004
    if (isinstance(value, float) and not math.isfinite(value)) or abs(value) > _LARGEST_VALUE:
        raise ValueError(f"{name} is not finite or far too large")
    return float(value)


def _evaluations(folder: Path, where: str, broken: list[BrokenRun]) -> dict[tuple[int, str], Proof]:
    """Return what the evaluations' runs say, by step and task; the log's paths are not used.

    The trainer names the step in the identity of the model that it evaluates.
    """
    found: dict[tuple[int, str], Proof] = {}
    place = folder / EVALUATIONS
    if place.is_symlink() or not place.is_dir():
        return found
    try:
        folders = find_runs([place])[:_MOST_EVALUATIONS]
    except UsageError:
        return found  # There is none, as in a training that was not evaluated.
    for path, below in folders:
        name = f"{where}/{EVALUATIONS}/{below}"
        try:
            run = load_run(path, name)
            proof = Proof(
                evidence(run.problems, _ranking()), digest(comparability_key(run.results, digest))
            )
        except (DataError, StorageError) as error:
            broken.append(BrokenRun(name, str(error).replace(str(path), name)))
            continue
        step = run.identity["model"].get("step")
        if type(step) is int:
            found.setdefault((step, run.task), proof)
    return found


def _proof(found: Proof | None, metric: str, value: float) -> Proof | None:
    """Return the proof if it agrees with the log; otherwise it belongs to another training."""
    known = None if found is None else found.evidence.estimate(metric)
    if known is None or abs(known["value"] - value) > 1e-9:
        return None
    return found
