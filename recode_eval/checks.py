"""Checks of what a caller configures: each refuses a value with its name, its rule and the value.

`named_fields_only` makes a dataclass answer an unknown or a missing option as a `UsageError`; the
functions check single values. A value of the wrong type is a `UsageError` too: whoever writes a
script is a user like whoever types a command. Numbers of numpy are numbers.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterable
from dataclasses import MISSING, fields
from datetime import date
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from recode_eval.errors import UsageError
from recode_eval.plugins import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

LONGEST_NAME = 255
"""Bytes of a file's name; Linux's limit on every usual file system."""


def named_fields_only(cls: type[T]) -> type[T]:
    """Let a dataclass answer an unknown or missing keyword with `UsageError`."""
    return completed_by(lambda given: given)(cls)


def completed_by(
    complete: Callable[[dict[str, Any]], dict[str, Any]],
) -> Callable[[type[T]], type[T]]:
    """Do the same for a dataclass of which `complete` fills in what was not given, or refuses it.

    `complete` gets known options only; it returns all that the constructor takes.
    """
    return functools.partial(_checked, complete)


def _checked(complete: Callable[[dict[str, Any]], dict[str, Any]], cls: type[T]) -> type[T]:
    construct = cls.__init__
    members = fields(cls)  # type: ignore[arg-type]
    known = [item.name for item in members]
    in_place = sum(item.init and not item.kw_only for item in members)
    needed = [
        item.name for item in members if item.default is MISSING and item.default_factory is MISSING
    ]

    @functools.wraps(construct)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in known:
                raise UsageError(unknown(f"option of {cls.__name__}", name, known))
        if len(args) > in_place:
            raise UsageError(f"{cls.__name__} takes its options by name: {known[0]}=...")
        args = tuple(map(plain, args))
        kwargs = complete({name: plain(value) for name, value in kwargs.items()})
        missing = [name for name in needed[len(args) :] if name not in kwargs]
        if missing:
            raise UsageError(f"{cls.__name__} needs the option {missing[0]}.")
        construct(self, *args, **kwargs)

    cls.__init__ = checked  # type: ignore[method-assign]
    return cls


def plain(value: Any) -> Any:
    """Return a number of another library as Python's own, which JSON has; anything else as it is.

    >>> import numpy
    >>> plain(numpy.int64(3)), plain(numpy.float32(0.5)), plain(numpy.True_), plain("3")
    (3, 0.5, True, '3')
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if type(value).__module__ == "numpy" and type(value).__name__.startswith("bool"):
        return bool(value)
    return value


def at_least_one(name: str, value: Any) -> None:
    """Raise `UsageError` unless the value is None or a whole number of at least 1."""
    if value is not None:
        whole(name, value, 1)


def a_day(name: str, value: Any) -> None:
    """Raise `UsageError` unless the value is None or a day as text, `2026-01-31`.

    >>> a_day("since", "2026-1-31")
    Traceback (most recent call last):
    ...
    recode_eval.errors.UsageError: since must be a day such as 2026-01-31, not '2026-1-31'.
    """
    if value is None:
        return
    try:
        if isinstance(value, str) and date.fromisoformat(value).isoformat() == value:
            return
    except ValueError:
        pass
    raise UsageError(f"{name} must be a day such as 2026-01-31, not {value!r}.")


def whole(name: str, value: Any, low: int) -> None:
    """Raise `UsageError` unless the value is a whole number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise UsageError(f"{name} must be a whole number of at least {low}, not {value!r}.")


def within(name: str, value: Any, low: float, high: float, *, above: bool = False) -> None:
    """Raise `UsageError` unless the value is None or a number from `low` to `high`."""
    if value is None:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # Comparing first: a whole number beyond every float has no `isfinite`.
    inside = number and low <= value <= high and math.isfinite(value)
    if not inside or (above and value == low):
        start = f"above {low:g}" if above else f"at least {low:g}"
        raise UsageError(f"{name} must be a number {start} and at most {high:,g}, not {value!r}.")


def one_of(name: str, value: Any, known: Sequence[str]) -> None:
    """Raise `UsageError` with the nearest name unless the value is one of the known ones."""
    if value not in known:
        raise UsageError(unknown(name, value, known))


def of_type(name: str, value: Any, kind: type | tuple[type, ...], what: str) -> None:
    """Raise `UsageError` unless the value is of a type; `what` names it for people."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UsageError(f"{name} must be {what}, not {value!r}.")


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Return a list of texts as a tuple; raises `UsageError` for anything else."""
    return tuple(_items(name, value, str, "a list of texts"))


def paths(name: str, value: Any) -> tuple[Path, ...]:
    """Return a list of paths as a tuple; raises `UsageError` for anything else."""
    return tuple(path(name, item) for item in _items(name, value, (str, Path), "a list of paths"))


def numbers(name: str, value: Any) -> tuple[int, ...]:
    """Return a list of whole numbers of at least 1 as a tuple; raises `UsageError`."""
    found = tuple(map(plain, _items(name, value, Integral, "a list of whole numbers")))
    for item in found:
        at_least_one(name, item)
    return found


def path(name: str, value: Any) -> Path:
    """Return a path, with `~` as the home it stands for; raises `UsageError` for what is none.

    >>> path("out", "~/runs") == Path.home() / "runs"
    True
    """
    if not isinstance(value, str | Path) or not str(value):
        raise UsageError(f"{name} must be a path, not {value!r}.")
    try:
        found = Path(value).expanduser()
        encoded = os.fsencode(found)
    except (RuntimeError, UnicodeError) as error:  # ~NOBODY; half a surrogate pair
        raise UsageError(f"{name} must be a path, and {value!r} is not one: {error}.") from None
    if b"\0" in encoded or max(map(len, encoded.split(b"/"))) > LONGEST_NAME:
        raise UsageError(f"{name} must be a path, and no file can be called {str(value)[:80]!r}.")
    return found


def _items(name: str, value: Any, kinds: Any, what: str) -> list[Any]:
    if isinstance(value, str | bytes | Path) or not isinstance(value, Iterable):
        raise UsageError(f"{name} must be {what}, not {value!r}.")
    items = list(value)
    for item in items:
        if not isinstance(item, kinds):
            raise UsageError(f"{name} must be {what}, and {item!r} is not one.")
    return items
