"""From the content of a `task.yaml` to a `TaskSpec`: every key is checked, since others write them.

YAML turns `yes` into a truth value and `stop: x` into text where a list is meant; what is silently
converted here would be a puzzle later.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from recode_eval.languages import LANGUAGES, PYTHON
from recode_eval.plugins import unknown
from recode_eval.tasks.base import Defaults, PromptVariant, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_REQUIRED = {
    "name": str,
    "version": int,
    "description": str,
    "kind": str,
    "environment": str,
    "data": dict,
    "prompts": dict,
}
_HOTTEST = 100
_OPTIONAL = {"default_prompt": str, "language": str, "preload": list, "tags": list}
_SAMPLING = {"n": int, "temperature": float, "top_p": float, "max_tokens": int, "stop": list}
_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    dict: "a mapping",
    list: "a list of texts",
}


def parse_spec(raw: object, folder: Path) -> TaskSpec:
    """Return the checked content of a task.yaml that lies in `folder`.

    What `data` holds is the kind's business. Raises `ValueError` naming the key that is missing,
    unknown, or not of the type it must have.
    """
    content = _checked(raw, "the file", _REQUIRED, _OPTIONAL)
    name = content["name"]
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name {name!r} must consist of a-z, 0-9, - and _")
    prompts = {str(key): _variant(key, value, folder) for key, value in content["prompts"].items()}
    default = content.get("default_prompt", next(iter(prompts), None))
    if default not in prompts:
        raise ValueError(f"default_prompt {default!r} is not one of the prompts")
    return TaskSpec(
        name=name,
        version=content["version"],
        description=" ".join(content["description"].split()),
        kind=content["kind"],
        folder=folder,
        environment=content["environment"],
        data=content["data"],
        prompts=prompts,
        default_prompt=default,
        preload=frozenset(content.get("preload", ())),
        language=_language(content.get("language", PYTHON)),
        tags=tuple(content.get("tags", ())),
    )


def _language(name: str) -> str:
    if name not in LANGUAGES:
        raise ValueError(unknown("language", name, LANGUAGES.names()).rstrip("."))
    return name


def _variant(name: object, raw: object, folder: Path) -> PromptVariant:
    if not isinstance(name, str):
        raise ValueError(f"the prompt's name {name!r} must be text: put it in quotes")  # noqa: TRY004
    where = f"prompt {name!r}"
    content = _checked(raw, where, {"template": str}, {"sampling": dict})
    path = (folder / content["template"]).resolve()
    if not path.is_file():
        raise ValueError(f"{where}: there is no template {path}")
    sampling = _checked(content.get("sampling", {}), f"{where}, sampling", {}, _SAMPLING)
    if "stop" in sampling:
        sampling["stop"] = tuple(sampling["stop"])
    defaults = Defaults(**sampling)
    if not (
        defaults.n >= 1
        and defaults.max_tokens >= 1
        and 0 < defaults.top_p <= 1
        and 0 <= defaults.temperature <= _HOTTEST
    ):
        raise ValueError(
            f"{where}, sampling: n and max_tokens must be at least 1, top_p above 0 and at most 1, "
            f"temperature between 0 and {_HOTTEST}"
        )
    return PromptVariant(name, path, defaults)


def _checked(
    raw: object, where: str, required: Mapping[str, type], optional: Mapping[str, type]
) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError(f"{where}: a mapping is expected")  # noqa: TRY004
    known = {**required, **optional}
    for key, value in raw.items():
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r}; known: {', '.join(sorted(known))}")
        if not _is(value, known[key]):
            raise ValueError(f"{where}: {key} must be {_WORDS[known[key]]}, not {value!r}")
    for key in required:
        if key not in raw:
            raise ValueError(f"{where}: the key {key!r} is missing")
    return dict(raw)


def _is(value: object, kind: type) -> bool:
    if kind is list:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind in {int, float}:
        return isinstance(value, int if kind is int else int | float) and not isinstance(
            value, bool
        )
    return isinstance(value, kind)
