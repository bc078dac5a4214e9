"""Finding tasks: bundled folders, folders given by the user, kinds registered by other packages.

A task is a folder with a `task.yaml`. Its `kind` names the class that understands the data: a
built-in kind, an entry point of the group `recode_eval.task_kinds`, or `FILE.py:CLASS` beside the
`task.yaml`.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, cast

import yaml

from recode_eval.errors import DataError, UsageError
from recode_eval.resources import resource_dir
from recode_eval.tasks.base import Defaults, PromptVariant, Task, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

BUILTIN_KINDS = {"arena": "recode_eval.tasks.arena:ArenaTask"}
ENTRY_POINT_GROUP = "recode_eval.task_kinds"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


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
                raise UsageError(f"{file}: there is already a task named {spec.name}; rename it.")
            specs[spec.name] = spec
    return specs


def create_task(name: str, include_paths: Iterable[Path] = ()) -> Task:
    """Return the task of this name.

    Raises:
        UsageError: there is none; the message has the nearest name.
    """
    specs = find_tasks(include_paths)
    if name not in specs:
        near = difflib.get_close_matches(name, specs, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"Unknown task {name!r}.{hint} Known tasks: {', '.join(sorted(specs))}.")
    spec = specs[name]
    return cast("Task", _kind_class(spec)(spec))


def read_spec(file: Path) -> TaskSpec:
    """Parse and check a `task.yaml`.

    Raises:
        DataError: a key is missing, unknown or of the wrong type.
    """
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"Cannot read {file}: {error}") from error
    try:
        return _spec(raw, file.parent)
    except (KeyError, TypeError, ValueError) as error:
        cause = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{file}: {cause}.") from error


def _spec(raw: Mapping[str, Any], folder: Path) -> TaskSpec:
    known = {
        "name",
        "version",
        "description",
        "kind",
        "environment",
        "data",
        "prompts",
        "default_prompt",
        "preload",
        "tags",
    }
    if not isinstance(raw, dict):
        raise TypeError("a mapping is expected")
    if unknown := sorted(set(raw) - known):
        raise ValueError(f"unknown key {unknown[0]!r}; known keys: {', '.join(sorted(known))}")
    name = str(raw["name"])
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name {name!r} must consist of a-z, 0-9, - and _")
    prompts = {key: _variant(key, value, folder) for key, value in raw["prompts"].items()}
    default = str(raw.get("default_prompt", next(iter(prompts))))
    if default not in prompts:
        raise ValueError(f"default_prompt {default!r} is not one of the prompts")
    return TaskSpec(
        name=name,
        version=int(raw["version"]),
        description=" ".join(str(raw["description"]).split()),
        kind=str(raw["kind"]),
        folder=folder,
        environment=str(raw["environment"]),
        data=dict(raw["data"]),
        prompts=prompts,
        default_prompt=default,
        preload=frozenset(raw.get("preload", ())),
        tags=tuple(raw.get("tags", ())),
    )


def _variant(name: str, raw: Mapping[str, Any], folder: Path) -> PromptVariant:
    path = (folder / str(raw["template"])).resolve()
    if not path.is_file():
        raise ValueError(f"prompt {name!r}: there is no template {path}")
    sampling = dict(raw.get("sampling", {}))
    if "stop" in sampling:
        sampling["stop"] = tuple(sampling["stop"])
    return PromptVariant(name, path, Defaults(**sampling))


def _kind_class(spec: TaskSpec) -> Any:
    if spec.kind in BUILTIN_KINDS:
        module, _, name = BUILTIN_KINDS[spec.kind].partition(":")
        return getattr(importlib.import_module(module), name)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name == spec.kind:
            return entry.load()
    file, _, name = spec.kind.partition(":")
    path = spec.folder / file
    if name and path.suffix == ".py" and path.is_file():
        module_spec = importlib.util.spec_from_file_location(f"recode_task_{spec.name}", path)
        if module_spec is not None and module_spec.loader is not None:
            module_object = importlib.util.module_from_spec(module_spec)
            module_spec.loader.exec_module(module_object)
            if hasattr(module_object, name):
                return getattr(module_object, name)
    kinds = ", ".join([*BUILTIN_KINDS, *(e.name for e in entry_points(group=ENTRY_POINT_GROUP))])
    raise DataError(
        f"Task {spec.name}: unknown kind {spec.kind!r}. Use one of {kinds}, or FILE.py:CLASS."
    )
