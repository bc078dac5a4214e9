"""Where settings come from, and which source wins.

`KEY=VALUE` texts win over the YAML file, the file over the preset, the preset over the defaults of
the algorithm.

Every function takes `known`, the settings and their types, and raises `UsageError`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from recode_eval.errors import UsageError
from recode_eval.plugins import did_you_mean
from recode_train.algorithms import ALGORITHMS
from recode_train.setting_types import (
    DEFAULT_REWARDS,
    Names,
    Tools,
    TrackerNames,
    choices,
    expected,
    is_numeric,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def _defaults(algorithm: str, preset: object) -> dict[str, Any]:
    """Return the settings that an algorithm and a preset bring."""
    from recode_train.presets import preset_settings

    settings = {"output": f"train-runs/{algorithm}", **ALGORITHMS.get(algorithm).defaults}
    if preset is not None:
        settings |= preset_settings(str(preset), algorithm)
    return settings


def resolve(given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a constructor's call, in their types."""
    algorithm = str(given.get("algorithm", ""))
    settings = {**_defaults(algorithm, given.get("preset")), **given}
    if not settings.get("model"):
        raise UsageError("No model given; set model=... (--model PATH).")
    return {name: _convert(name, value, known[name]) for name, value in settings.items()}


def merge_sources(
    algorithm: str,
    known: Mapping[str, Any],
    *,
    preset: str | None,
    file: Path | None,
    overrides: Iterable[str],
) -> dict[str, Any]:
    """Return what the sources state, the later ones over the earlier, and the preset's name."""
    sources = [] if file is None else [(str(file), _read_yaml(file))]
    sources += [(f"--set {text}", _parse_override(text)) for text in overrides]
    for _, stated in sources if preset is None else ():
        preset = stated.get("preset", preset)
    merged = _defaults(algorithm, preset)
    for where, stated in sources:
        _merge(merged, stated, where, known)
    return {**merged, "preset": preset}


def plain(value: Any) -> Any:
    """Return a setting's value as JSON and YAML have it."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def as_yaml(value: Any) -> str:
    """Return a setting's value as `--set` takes it.

    >>> as_yaml(None), as_yaml("adamw_torch"), as_yaml(("run", "read"))
    ('null', 'adamw_torch', '["run", "read"]')
    """
    return value if isinstance(value, str) else json.dumps(plain(value))


def _convert(name: str, value: Any, wanted: Any) -> Any:
    """Return the value in the setting's type; raises `UsageError` where it does not fit."""
    if wanted in {Names, Tools, TrackerNames} and isinstance(value, str):
        value = tuple(text for part in value.split(",") if (text := part.strip()))
    if name == "rewards" and isinstance(value, Mapping):
        # `null` takes a reward out that a preset or an algorithm brings.
        value = {key: weight for key, weight in value.items() if weight is not None}
    try:
        made = msgspec.convert(value, wanted, strict=not is_numeric(wanted))
    except (msgspec.ValidationError, OverflowError):
        near = did_you_mean(str(value), choices(wanted)) if choices(wanted) else ""
        raise UsageError(f"{name} must be {expected(wanted)}, not {value!r}.{near}") from None
    return MappingProxyType(made) if isinstance(made, dict) else made


def _merge(
    into: dict[str, Any], settings: Mapping[str, Any], where: str, known: Mapping[str, Any]
) -> None:
    """Put `settings` over those in `into`; single rewards over the rewards."""
    for key, value in settings.items():
        name, dot, part = str(key).partition(".")
        if name not in known:
            raise UsageError(
                f"{where}: unknown setting {name!r}.{did_you_mean(name, known)} "
                "`recode-train presets --settings` lists them all."
            )
        if not dot:
            into[name] = value
        elif name in {"rewards", "trainer_args"}:
            default = DEFAULT_REWARDS if name == "rewards" else {}
            into[name] = {**into.get(name, default), part: value}
        else:
            raise UsageError(f"{where}: {name} has no parts; write {name}=VALUE.")


def _parse_override(text: str) -> dict[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise UsageError(f"--set {text}: write KEY=VALUE, for example --set max_steps=200.")
    return {key.strip(): _yaml(value, f"--set {text}")}


def _read_yaml(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or error
        raise UsageError(f"Cannot read the settings file {file}: {cause}.") from error
    content = _yaml(text, str(file))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{file}: expected `setting: value` lines, found a {_kind(content)}.")
    return content


def _yaml(text: str, where: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{where}: not readable as YAML ({reason}).") from error


def _kind(value: object) -> str:
    return {dict: "mapping", list: "list", str: "text", bool: "truth value"}.get(
        type(value), type(value).__name__
    )
