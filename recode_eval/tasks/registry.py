"""Finding tasks: bundled folders, folders given by the user, kinds registered by other packages.

A task is a folder with a `task.yaml`. Its `kind` names the class that understands the data: a
built-in kind, an entry point of the group `recode_eval.task_kinds`, or `FILE.py:CLASS` beside the
`task.yaml`.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any, Final, cast

import yaml

from recode_eval.errors import DataError, UsageError
from recode_eval.plugins import Registry, blaming, require, unknown
from recode_eval.resources import resource_dir
from recode_eval.sandbox.requirements import use_locks
from recode_eval.tasks.spec import parse_spec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import ModuleType

    from recode_eval.tasks.base import Task, TaskSpec

KINDS: Final = Registry[Any](
    "task kind",
    "recode_eval.task_kinds",
    {
        "arena": "recode_eval.tasks.arena:ArenaTask",
        "gitchameleon": "recode_eval.tasks.gitchameleon:GitChameleonTask",
        "migration": "recode_eval.tasks.migration:MigrationTask",
        "humaneval": "recode_eval.tasks.humaneval:HumanEvalTask",
        "humaneval-plus": "recode_eval.tasks.humaneval_plus:HumanEvalPlusTask",
        "pairs": "recode_eval.tasks.pairs:PairsTask",
        "rustevo": "recode_eval.tasks.rustevo:RustEvoTask",
    },
)

_OF_A_TASK: Final = ("spec", "conditions", "load", "programs")


def find_tasks(include_paths: Iterable[Path] = ()) -> dict[str, TaskSpec]:
    """Return all tasks by name: the bundled ones, then those under `include_paths`.

    An include path is a task's folder or a folder of task folders.

    Raises:
        UsageError: an include path holds no task, or a name is taken.
        DataError: a task.yaml is malformed.
    """
    specs: dict[str, TaskSpec] = {}
    bundled = resource_dir("tasks")
    for root in [bundled, *include_paths]:
        files = sorted(root.glob("task.yaml")) or sorted(root.glob("*/task.yaml"))
        if not files and root != bundled:
            raise UsageError(f"No task.yaml in {root} or in a folder below it.")
        for file in files:
            spec = read_spec(file)
            if spec.name in specs:
                raise UsageError(f"{file}: another task has the name {spec.name}; rename this one.")
            specs[spec.name] = spec
    return specs


def create_task(name: str, include_paths: Iterable[Path] = ()) -> Task:
    """Return the task of this name.

    Raises:
        UsageError: no task has this name; the message has the nearest one.
        DataError: a task.yaml or the task's own kind is faulty.
    """
    specs = find_tasks(include_paths)
    if name not in specs:
        raise UsageError(unknown("task", name, sorted(specs)))
    spec = specs[name]
    if (locks := spec.folder / "envs").is_dir():
        use_locks(locks)
    kind = _kind_class(spec)
    if spec.kind in KINDS.builtin:
        return cast("Task", kind(spec))
    with blaming(f"Task {name}: its kind {spec.kind}", "fails"):
        task = kind(spec)
    require(f"Task {name}: what its kind {spec.kind} makes", task, _OF_A_TASK)
    return cast("Task", task)


def read_spec(file: Path) -> TaskSpec:
    """Parse and check a `task.yaml`.

    Raises:
        DataError: the file is not YAML, or a key is missing, unknown or of the wrong type.
    """
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise DataError(f"Cannot read {file}: {error}") from error
    try:
        return parse_spec(raw, file.parent)
    except ValueError as error:
        raise DataError(f"{file}: {error}.") from error


def _kind_class(spec: TaskSpec) -> Any:
    if spec.kind in KINDS:
        try:
            return KINDS.get(spec.kind)
        except DataError as error:
            raise DataError(f"Task {spec.name}: {error}") from error
    file, _, name = spec.kind.partition(":")
    path = spec.folder / file
    if name and path.suffix == ".py" and path.is_file():
        found = getattr(_load_module(spec, path), name, None)
        if found is not None:
            return found
        raise DataError(f"Task {spec.name}: {path} defines no {name}.")
    raise DataError(
        f"Task {spec.name}: unknown kind {spec.kind!r}. Use one of {', '.join(KINDS.names())}, or"
        " FILE.py:CLASS."
    )


def _load_module(spec: TaskSpec, path: Path) -> ModuleType:
    name = f"recode_task_{spec.name.replace('-', '_')}"
    module_spec = importlib.util.spec_from_file_location(name, path)
    if module_spec is None or module_spec.loader is None:
        raise DataError(f"Task {spec.name}: {path} cannot be imported.")
    module = importlib.util.module_from_spec(module_spec)
    # Dataclasses and pickle look their module up while it is being executed.
    sys.modules[name] = module
    with blaming(f"Task {spec.name}: {path}", "cannot be imported"):
        module_spec.loader.exec_module(module)
    return module
