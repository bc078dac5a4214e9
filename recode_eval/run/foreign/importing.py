"""From another harness's log to a stored run, which everything here reads as one of its own.

What the log does not say is in the run's `cautions`. A sample's headline score is its verdict where
all of them are right or wrong; other scores are measures.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval import __version__
from recode_eval.errors import DataError
from recode_eval.metrics import UNKNOWN_TO_LOGS
from recode_eval.run.evaluation import RunData
from recode_eval.run.foreign import inspect_log, lm_eval_log
from recode_eval.run.foreign.log import MOST_SAMPLES, ForeignLog, ForeignSample, digest
from recode_eval.run.grading import Unscored
from recode_eval.run.records import CompletionRecord, Key, ScoreRecord
from recode_eval.run.results import UNSAID, compute_results
from recode_eval.run.store import MANIFEST_VERSION, RESULTS, RunStore, run_folder, write_json
from recode_eval.tasks.base import Problem, TaskData, TaskSpec
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONDITION: Final = "graded"
_LARGEST_JSON: Final = 4 << 30
_JSON_LOG: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d[-:]\d\d.*_.*\.json")
"""What inspect_ai names a log in JSON."""
_HEAD: Final = 64 << 10
_ANY_TEMPERATURE: Final = 1.0
"""What stands for a temperature that the log does not say; 0 would mean greedy."""


@dataclass(slots=True)
class _ForeignTask:
    """A task of another harness: its problems are known by their scores alone."""

    spec: TaskSpec
    conditions: tuple[str, ...]

    def load(self, source: str | None, *, skip_bad_rows: bool) -> TaskData:
        """Not here: only the other harness has its rows."""
        raise NotImplementedError

    def programs(self, problem: Problem, code: str) -> Mapping[str, Any]:
        """Not here: the other harness has graded."""
        raise NotImplementedError


def is_log(path: Path) -> bool:
    """Whether a file is named like a log that can be read, and if it is JSON, begins like one.

    Under another name, a JSON file may still be one (`read_log`).
    """
    if path.suffix == ".eval" or lm_eval_log.NAME.fullmatch(path.name):
        return True
    return _JSON_LOG.fullmatch(path.name) is not None and _begins_like_inspect(path)


def _begins_like_inspect(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return b'"version"' in head and b'"eval"' in head


def logs_in(folder: Path) -> list[Path]:
    """Return the logs in a folder and in those right below it, where lm-eval puts a model's."""
    files = (*folder.glob("*"), *folder.glob("*/*"))
    return sorted(file for file in files if is_log(file) and file.is_file())


def read_log(path: Path, source: str) -> ForeignLog | None:
    """Read a log, known to people as `source`; None: the file is a JSON file of another kind.

    Raises:
        DataError: it is damaged, of a version that is not known, or no such log.
    """
    log = _read(path, source)
    return None if log is None else _dated(log, path)


def _read(path: Path, source: str) -> ForeignLog | None:
    if path.suffix == ".eval":
        return inspect_log.read_archive(path, source)
    if lm_eval_log.NAME.fullmatch(path.name):
        return lm_eval_log.read_samples(path, source)
    if path.suffix != ".json" or path.name == RESULTS:
        return None
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise DataError(f"{source} is too large for a log in JSON; write it as .eval.")
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None  # its own reader says what is wrong
    return inspect_log.read_json_log(content, source) if inspect_log.is_inspect(content) else None


def _dated(log: ForeignLog, path: Path) -> ForeignLog:
    """Return a log that has a time, as every run has one; without its own, that of its file."""
    with contextlib.suppress(ValueError, OverflowError):
        time = datetime.fromisoformat(log.created)
        (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)  # is it one anywhere?
        return replace(log, created=time.isoformat(timespec="seconds"))
    try:
        changed = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    except (OSError, OverflowError, ValueError):
        changed = datetime.fromtimestamp(0, UTC)
    told = "the log does not say when it was made: its file's time stands for that"
    return replace(log, created=changed.isoformat(), cautions=[*log.cautions, told])


def import_file(path: Path, source: str, out: Path) -> Path | None:
    """Write a log as a run below `out` and return its folder; None: the file is no log.

    Raises:
        DataError: the log is damaged, of a version that is not known, or has nothing to compare.
        StorageError: the run cannot be written.
    """
    log = read_log(path, source)
    return None if log is None else import_log(log, source, out)


def import_log(log: ForeignLog, source: str, out: Path) -> Path:
    """Write a log as a run below `out` and return its folder.

    Raises:
        DataError: it has no score, or a sample twice.
        StorageError: the run cannot be written.
    """
    by_key = _by_key(log, source)
    _check_size(log, source)
    verdicts = all(
        sample.scores[log.headline] in {0.0, 1.0}
        for sample in log.samples
        if log.headline in sample.scores
    )
    # One order for one log, whatever the order of its files.
    ids = sorted({sample.key for sample in log.samples})
    clusters = _clusters(log)
    cautions = _cautions(log, verdicts=verdicts, clustered=len(clusters) == len(ids))
    task = _ForeignTask(_spec(log), (_CONDITION,) if verdicts else ())
    problems = tuple(Problem(key, clusters.get(key, key), {}, {}, {}, None) for key in ids)
    data = TaskData(problems, log.dataset, digest([log.tool, log.dataset]))
    identity = _identity(log, data)
    folder = run_folder(out, log.model, log.task, identity)
    manifest = _manifest(log, identity, data, len(problems))
    completions: dict[Key, CompletionRecord] = {}
    scores: dict[Key, ScoreRecord] = {}
    unscored: list[Unscored] = []
    with RunStore(folder) as store:
        for key, sample in by_key.items():
            completions[key] = record = _completion(key, sample, manifest["prompt"]["hash"])
            store.add_completion(record)
            if log.headline not in sample.scores:
                unscored.append(Unscored(*key, sample.error[:300] or "it has no such score"))
                continue
            scores[key] = _score(record, sample, log, manifest, verdicts=verdicts)
            store.add_score(scores[key])
        store.write_prompt("The prompts are those of the log.\n")
        store.write_manifest(manifest)
    missing = ((key, i) for key in ids for i in range(log.epochs) if (key, i) not in by_key)
    unscored += [Unscored(*key, "it is not in the log") for key in missing]
    run = RunData(
        folder, task, data, problems, log.epochs, completions, scores, tuple(unscored), manifest
    )
    results = compute_results(run)
    for name in UNKNOWN_TO_LOGS:
        results["metrics"].pop(name, None)
    # The log's own time: the same log gives the same run.
    write_json(folder / RESULTS, {**results, "created": log.created, "cautions": cautions})
    return folder


def _by_key(log: ForeignLog, source: str) -> dict[Key, ForeignSample]:
    if not log.headline:
        told = "; ".join(log.cautions)
        raise DataError(
            f"{source} has no score between 0 and 1 for all its samples (right or wrong, or a "
            f"share): there is nothing to compare{f' ({told})' if told else ''}."
        )
    found: dict[Key, ForeignSample] = {}
    for sample in log.samples:
        key = sample.key, sample.epoch
        if key in found:
            raise DataError(
                f"{source} has the sample {sample.id!r} twice (epoch {sample.epoch + 1})."
            )
        found[key] = sample
    return found


def _check_size(log: ForeignLog, source: str) -> None:
    """Raise `DataError` for more epochs than a log could hold: each that lacks is accounted for."""
    ids = len({sample.key for sample in log.samples})
    if ids * log.epochs > MOST_SAMPLES:
        raise DataError(
            f"{source} is damaged: {log.epochs} epochs of {ids} samples are too many to be one log."
        )


def _clusters(log: ForeignLog) -> dict[str, str]:
    return {s.key: s.cluster for s in log.samples if s.cluster is not None}


def _cautions(log: ForeignLog, *, verdicts: bool, clustered: bool) -> list[str]:
    """Return what a reader of the figures must know, each a line that any terminal may show."""
    told = [
        f"graded by {log.tool} {log.version} ({log.headline}), which nothing here has checked",
        *log.cautions,
    ]
    if not clustered:
        told.append(
            "samples name no cluster (a field `cluster` of their metadata): each counts as "
            "independent, and intervals are too narrow where they are not"
        )
    if not verdicts:
        told.append(
            f"{log.headline} is not always right or wrong: it is compared as a mean, not as pass@1"
        )
    unknown = [
        name
        for name in ("temperature", "top_p", "max_tokens", "seed")
        if getattr(log, name) is None
    ]
    if unknown:
        told.append(f"{UNSAID}{', '.join(unknown)}")
    errors = Counter(sample.error for sample in log.samples if log.headline not in sample.scores)
    if errors:
        most = errors.most_common(1)[0][0][:100]
        told.append(f"{errors.total()} samples have no score and do not count ({most})")
    return [one_line(text) for text in told]


def _spec(log: ForeignLog) -> TaskSpec:
    return TaskSpec(
        name=log.task,
        version=log.task_version,
        description=f"A task of {log.tool}.",
        kind="foreign",
        folder=Path(),
        environment="",
        data={},
        prompts={},
        default_prompt="",
    )


def _identity(log: ForeignLog, data: TaskData) -> dict[str, Any]:
    return {
        "task": log.task,
        "task_version": log.task_version,
        "data": data.content_hash,
        "prompt": digest(log.prompt),
        "update_note": False,
        "sampling": _sampling(log),
        "model": {"backend": log.tool, **log.model_identity},
    }


def _sampling(log: ForeignLog) -> dict[str, Any]:
    return {
        "temperature": _ANY_TEMPERATURE if log.temperature is None else log.temperature,
        "top_p": 1.0 if log.top_p is None else log.top_p,
        "max_tokens": log.max_tokens or 0,
        "stop": [],
        "seed": _seed(log),
    }


def _seed(log: ForeignLog) -> int:
    """Return the seed; where the log names none, a number that stands for the evaluation.

    The seed is what tells repeats of one model from copies of one run.
    """
    return int(digest(log.created)[:7], 16) if log.seed is None else log.seed


def _manifest(
    log: ForeignLog, identity: dict[str, Any], data: TaskData, problems: int
) -> dict[str, Any]:
    grading = digest([log.tool, log.grading, log.headline])[:16]
    sampling = _sampling(log)
    return {
        "schema_version": MANIFEST_VERSION,
        "identity": identity,
        "model": {"name": log.model, "backend": log.tool, "details": {}},
        "task": {
            "name": log.task, "version": log.task_version, "source": log.dataset,
            "data_hash": data.content_hash, "language": "unknown", "bad_rows": [],
        },
        "prompt": {
            "name": log.tool, "source": log.tool, "hash": identity["prompt"], "update_note": False,
        },
        "sampling": {"n": log.epochs, **sampling},
        "selection": {"problems": problems, "n": log.epochs, "limit": None, "patterns": []},
        "scoring": {"hash": grading, "limits": {}, "isolation": log.tool},
        "sandbox": {
            "tier": log.tool, "guarantees": [], "isolation": log.tool, "python": "",
            "libraries": {}, "image": None, "image_digest": None,
        },
        "settings": {},
        "created": log.created,
        "invocations": [
            {
                "started": log.created, "command": [log.tool], "recode_eval": __version__,
                "python": "", "platform": "", "packages": {log.tool: log.version},
            }
        ],
    }  # fmt: skip


def _completion(key: Key, sample: ForeignSample, prompt: str) -> CompletionRecord:
    return CompletionRecord(
        problem_id=key[0],
        sample=key[1],
        seed=0,
        prompt_hash=prompt,
        text=sample.text,
        finish_reason=sample.finish,
        prompt_tokens=sample.prompt_tokens,
        completion_tokens=sample.completion_tokens,
        seconds=sample.seconds if sample.seconds is None or sample.seconds >= 0 else None,
        reasoning_tokens=sample.reasoning_tokens,
    )


def _score(
    record: CompletionRecord,
    sample: ForeignSample,
    log: ForeignLog,
    manifest: Mapping[str, Any],
    *,
    verdicts: bool,
) -> ScoreRecord:
    passed = sample.scores[log.headline] == 1
    status = "passed" if passed else "failed"
    others = {_slug(k): v for k, v in sample.scores.items() if k != log.headline or not verdicts}
    return ScoreRecord(
        problem_id=record.problem_id,
        sample=record.sample,
        prompt_hash=record.prompt_hash,
        completion=record.digest,
        scoring=manifest["scoring"]["hash"],
        tier=log.tool,
        extraction="raw",
        extraction_detail="",
        code=record.text,
        similarity={},
        conditions={
            _CONDITION: {
                "passed": passed,
                "tests": [[log.headline, status, "" if passed else sample.detail[:2000]]],
                "output": "",
                "cpu_s": 0.0,
            }
        }
        if verdicts
        else {},
        measures=others,
    )


def _slug(name: str) -> str:
    """Return a scorer's name as a metric's: `a/includes` is `score_a_includes`."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in name.lower()).strip("_")
    return f"score_{plain}"[:80]
