"""Handwritten facts for the leaderboard: results of papers, and facts about models."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import yaml

from recode_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_SIZE_IN_NAME = re.compile(r"(?<![A-Za-z0-9.])(\d{1,4}(?:\.\d{1,2})?)[bB](?![A-Za-z0-9])")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts that a model's name does not show; None if unknown."""

    base: str | None = None
    method: str | None = None
    """How it was trained from its base: untrained, SFT, GRPO, DAPO, ..."""
    size_b: float | None = None
    """Parameters, in billions."""
    released: str | None = None
    """ISO date."""
    cutoff: str | None = None
    """The last day of what it was trained on (ISO), as its makers say."""
    training: Path | None = None
    """The folder with the log of the training that made it."""


@dataclass(frozen=True, slots=True)
class ReportedRow:
    """A result from another publication: shown, marked and never ranked."""

    model: str
    base: str
    method: str
    size_b: float | None
    task: str
    metrics: Mapping[str, float]
    """Shares, from 0 to 1."""
    source: str
    url: str
    note: str


class FactBook:
    """Facts about models by patterns of their names; the first that matches counts."""

    def __init__(self, entries: Sequence[tuple[str, ModelFacts]]) -> None:
        self._entries = tuple(entries)

    def find(self, name: str) -> ModelFacts:
        """Return known facts about a model; a size in its name counts where no entry has one."""
        facts = next(
            (facts for pattern, facts in self._entries if fnmatch.fnmatchcase(name, pattern)),
            ModelFacts(),
        )
        named = _SIZE_IN_NAME.findall(name)
        if facts.size_b is None and len(named) == 1:
            return replace(facts, size_b=float(named[0]))
        return facts


def read_facts(paths: Sequence[Path]) -> FactBook:
    """Read files with a list `models`; raises `DataError` naming the entry."""
    entries: list[tuple[str, ModelFacts]] = []
    for path in paths:
        entries += read_entries(path, "models", lambda raw, p=path: _facts(raw, p.parent))  # type: ignore[misc]
    return FactBook(entries)


def read_reported(folder: Path) -> list[ReportedRow]:
    """Read every `*.yaml` of a folder; raises `DataError` naming the row."""
    rows: list[ReportedRow] = []
    for path in sorted(folder.glob("*.yaml")):
        content = _mapping(_load(path), str(path))
        source, url = _text(content, "source"), _text(content, "url")
        if not url.startswith("https://"):
            raise DataError(f"{path}: `url` must begin with https://.")
        note = _text(content, "note")
        rows += read_entries(path, "rows", lambda raw, s=source, u=url, n=note: _row(raw, s, u, n))  # type: ignore[misc]
    return rows


def _row(raw: Mapping[str, Any], source: str, url: str, note: str) -> ReportedRow:
    metrics = {}
    for name, value in _mapping(raw.get("metrics"), "metrics").items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise ValueError(f"metrics/{name} must be a number from 0 to 100")
        metrics[str(name)] = value / 100
    return ReportedRow(
        _text(raw, "model"), _text(raw, "base"), _text(raw, "method"), _size(raw),
        _text(raw, "task"), metrics, source, url, note,
    )  # fmt: skip


def _facts(raw: Mapping[str, Any], folder: Path) -> tuple[str, ModelFacts]:
    base, method = (_text(raw, key) if key in raw else None for key in ("base", "method"))
    facts = ModelFacts(
        base,
        method,
        _size(raw),
        _day(raw, "released"),
        _day(raw, "cutoff"),
        (folder / _text(raw, "training")).resolve() if "training" in raw else None,
    )
    return _text(raw, "match"), facts


def _day(raw: Mapping[str, Any], key: str) -> str | None:
    day = raw.get(key)
    if day is None:
        return None
    if type(day) is not date:
        raise ValueError(f"`{key}` must be a date such as 2024-09-18")
    return day.isoformat()


def _size(raw: Mapping[str, Any]) -> float | None:
    size = raw.get("size_b")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size < 100_000:
        raise ValueError("`size_b` must be a number of billions of parameters")
    return float(size)


def read_entries(path: Path, key: str, parse: Callable[[Mapping[str, Any]], Any]) -> list[Any]:
    """Return the parsed entries of a file's list `key`; raises `DataError` naming the entry."""
    items = _mapping(_load(path), str(path)).get(key)
    if not isinstance(items, list):
        raise DataError(f"{path}: `{key}` must be a list.")
    parsed = []
    for number, item in enumerate(items, 1):
        try:
            parsed.append(parse(_mapping(item, f"entry {number}")))
        except ValueError as error:
            raise DataError(f"{path}, {key}, entry {number}: {error}.") from error
    return parsed


def _load(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise DataError(f"Cannot read {path}: {error}") from error


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: a mapping is expected.")
    return value


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"`{key}` must be text")
    return value.strip()
