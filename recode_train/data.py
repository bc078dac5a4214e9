"""Load training pairs through the tasks of recode_eval, never those that models are tested on.

Two schemas are known: that of the task `migration` (with tests, and both releases named) and that
of ReCode's training pairs (`recode-train-data`: text only).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, UsageError
from recode_eval.languages import PYTHON
from recode_eval.tasks.base import BadRow, content_hash
from recode_eval.terminal import plural

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from recode_eval.tasks.base import Problem, Task, TaskData, TaskSpec
    from recode_train.config import TrainConfig

MIGRATION: Final = "migration-train"
_HELD_OUT: Final = ("test", "validation")
MIGRATION_JS: Final = "migration-js-train"
TEXT_PAIRS: Final = "recode-train-data"
TEST_TASKS: Final = {MIGRATION: "migration", MIGRATION_JS: "migration-js", TEXT_PAIRS: "migration"}
"""For each source, the task with which it must share no program."""
_OF_LANGUAGE: Final = {"javascript": "migration-js", "typescript": "migration-js"}
"""For tasks of others, by their language; `migration` for the rest."""
_NAMES: Final = {
    "migration": MIGRATION,
    MIGRATION: MIGRATION,
    "migration-js": MIGRATION_JS,
    MIGRATION_JS: MIGRATION_JS,
    TEXT_PAIRS: TEXT_PAIRS,
}
_TASK_FILE: Final = "task.yaml"
_SUFFIXES: Final = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".parquet")
_MIGRATION_FIELDS: Final = frozenset({"tests", "old_version", "apis", "split"})
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """Old code and update note, and the new code to learn."""

    id: str
    cluster: str
    """Pairs of one cluster share an update."""
    task: str
    """`migration-train`, `recode-train-data`, or the name of a file."""
    problem: Problem
    language: str = PYTHON
    """The language of its programs; see `recode_eval.languages`."""


@dataclass(frozen=True, slots=True)
class PairSet:
    """The pairs of a run, with their provenance."""

    pairs: tuple[Pair, ...]
    source: str
    """Where the rows come from, for people."""
    content_hash: str
    """SHA-256 over the rows' content, as `recode-eval` records it for the same rows."""
    task_object: Task
    """The task of the problems, which knows their programs and measures."""
    left_out: tuple[str, ...] = ()
    """Rows left out because of `skip_bad_rows`, each with the reason."""


def load_pairs_of(config: TrainConfig) -> PairSet:
    """Load the pairs that a training asks for; raises what `load_pairs` raises."""
    return load_pairs(
        config.data,
        limit=config.limit,
        skip_bad_rows=config.skip_bad_rows,
        only=None if config.pairs is None else read_ids(Path(config.pairs)),
    )


def read_ids(file: Path) -> frozenset[str]:
    """Read a JSON list of ids; raises `DataError`."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"Cannot read {file}, the ids of the pairs: {error}.") from error
    if not isinstance(content, list) or not all(isinstance(item, str) for item in content):
        raise DataError(f"{file} is no JSON list of ids of pairs.")
    return frozenset(content)


def load_pairs(
    source: str,
    *,
    limit: int | None = None,
    skip_bad_rows: bool = False,
    only: Collection[str] | None = None,
) -> PairSet:
    """Return the training pairs of `source`, the first `limit` of them, and of these `only` some.

    `source` is `migration` or `migration-js` (the bundled pairs of the split for training, in
    Python and in JavaScript), `recode-train-data` (from the hub), `NAME=FILE`, a FILE in the
    schema of `migration` or `recode-train-data`, or `FOLDER[=FILE]`, a task of one's own.

    Raises:
        UsageError: there is no such source, or it is one that models are evaluated on.
        DataError: a row is malformed or belongs to the test split (unless `skip_bad_rows`), no
            row is left, or one of `only` is not there.
        InfrastructureError: the hub cannot be reached.

    >>> pairs = load_pairs("migration", limit=3)
    >>> len(pairs.pairs), pairs.pairs[0].task
    (3, 'migration-train')
    """
    from recode_eval.tasks.registry import create_task

    task_name, file, own = _resolve(source)
    task = create_task(task_name, () if own is None else (own,))
    data = task.load(None if file is None else str(file), skip_bad_rows=skip_bad_rows)
    bad = list(data.bad_rows)
    problems = data.problems
    language = task.spec.language
    if file is not None or own is not None or task_name == TEXT_PAIRS:
        tested = _tested(problems, _test_task(task.spec), language)
        if tested and not skip_bad_rows:
            shown = "; ".join(str(row) for row in tested[:_SHOWN])
            more = f"; and {len(tested) - _SHOWN} more" if len(tested) > _SHOWN else ""
            raise DataError(
                f"{data.source} holds {plural(len(tested), 'row')} of the test data: {shown}"
                f"{more}. "
                "Training on them would make every score worthless: remove them, or leave them "
                "out with --skip-bad-rows."
            )
        bad += tested
        named = {row.where for row in tested}
        problems = tuple(problem for problem in problems if problem.id not in named)
    if not problems:
        raise DataError(f"{data.source} has no usable training pair.")
    chosen = problems[:limit] if only is None else _only(problems[:limit], only, data.source)
    label = task_name if file is None else file.name
    return PairSet(
        pairs=tuple(Pair(p.id, p.cluster, label, p, language) for p in chosen),
        source=data.source if file is None else str(file),
        content_hash=_hash(chosen, data),
        task_object=task,
        left_out=tuple(str(row) for row in bad),
    )


def _only(problems: tuple[Problem, ...], ids: Collection[str], source: str) -> tuple[Problem, ...]:
    chosen = tuple(problem for problem in problems if problem.id in ids)
    if len(chosen) < len(ids):
        absent = min(set(ids) - {problem.id for problem in chosen})
        raise DataError(
            f"{source} has no pair {absent}, which the list of pairs names; the list is for other "
            "data, or for another limit."
        )
    if not chosen:
        raise DataError("The list of pairs is empty.")
    return chosen


def _hash(chosen: tuple[Problem, ...], data: TaskData) -> str:
    if len(chosen) == len(data.problems):
        return data.content_hash
    return content_hash((p.id, asdict(p.payload)) for p in chosen)


def _resolve(source: str) -> tuple[str, Path | None, Path | None]:
    """Return the task that understands the source, its file if it has one, and its own folder."""
    from recode_eval.tasks.data import data_path
    from recode_eval.tasks.registry import read_spec

    if source in _NAMES:
        return _NAMES[source], None, None
    name, separator, rest = source.partition("=")
    folder = data_path(name)
    if separator and not rest and (name in _NAMES or (folder / _TASK_FILE).is_file()):
        raise UsageError(f"--data {source}: write {name}=FILE.")
    if separator and name in _NAMES:
        return _NAMES[name], data_path(rest), None
    if (folder / _TASK_FILE).is_file():
        return read_spec(folder / _TASK_FILE).name, data_path(rest) if separator else None, folder
    path = data_path(source)
    if path.is_file() or (not separator and path.name.lower().endswith(_SUFFIXES)):
        return _task_of_file(path), path, None
    raise _no_source(source)


def _no_source(source: str) -> UsageError:
    from recode_eval.plugins import did_you_mean
    from recode_eval.tasks.registry import find_tasks

    if source.partition("=")[0] in find_tasks():
        return UsageError(
            f"--data {source}: this task is for testing, not for training. Train on migration, "
            "migration-js, recode-train-data or a file."
        )
    return UsageError(
        f"--data {source}: no training data has this name, and no such file "
        f"exists.{did_you_mean(source, _NAMES)} Use migration, migration-js, "
        "recode-train-data, recode-train-data=FILE, a .jsonl, .jsonl.gz or .parquet file, or a "
        "task's folder."
    )


def _task_of_file(path: Path) -> str:
    """Tell the schema by the fields of the first rows; loading reports bad rows."""
    from recode_eval.tasks.data import read_file

    rows = (row for _, row in read_file(path) if not isinstance(row, BadRow))
    for row in islice(rows, _SHOWN):
        if _MIGRATION_FIELDS & row.keys():
            return MIGRATION
    return TEXT_PAIRS


def _tested(problems: Iterable[Problem], task: str, language: str) -> list[BadRow]:
    """Return the problems that are held out: those that say so, and those with a test's code."""
    from recode_eval.scoring import normalize

    known = _tested_codes(task)
    found = []
    for problem in problems:
        split = _split(problem.payload)
        if split in _HELD_OUT:
            found.append(BadRow(problem.id, f"its split is {split}"))
            continue
        same = next(
            (
                known[n]
                for c in problem.solutions.values()
                if (n := normalize(c, language).strip()) in known
            ),
            None,
        )
        if same is not None:
            found.append(BadRow(problem.id, f"its code equals that of the test problem {same}"))
    return found


def tested_codes(pairs: PairSet) -> Mapping[str, str]:
    """Return the normalized programs that training must not see, and whose they are."""
    return _tested_codes(_test_task(pairs.task_object.spec))


def _test_task(spec: TaskSpec) -> str:
    """Return the bundled test task of a task for training."""
    return TEST_TASKS.get(spec.name, _OF_LANGUAGE.get(spec.language, "migration"))


@cache
def _tested_codes(name: str) -> Mapping[str, str]:
    """Return the normalized programs of a bundled test task, and whose they are."""
    from recode_eval.scoring import normalize
    from recode_eval.tasks.registry import create_task

    task = create_task(name)
    language = task.spec.language
    return {
        normalize(code, language).strip(): problem.id
        for problem in task.load(None, skip_bad_rows=True).problems
        for code in problem.solutions.values()
    }


def _split(payload: Any) -> str | None:
    return getattr(payload, "split", None)
