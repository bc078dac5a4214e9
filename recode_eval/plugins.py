"""One registry pattern for everything that another package may add.

A registry knows its built-in members as `module:attribute` strings and finds more under an entry
point group. Nothing is imported before it is asked for. `docs/plugins.md` lists the groups.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from recode_eval.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class Registry(Generic[T]):
    """The members of one kind, by name.

    >>> formats = Registry[object]("export format", "recode_eval.exports", {"csv": "csv:reader"})
    >>> formats.get("csv").__name__
    'reader'
    >>> formats.get("cvs")
    Traceback (most recent call last):
    ...
    recode_eval.errors.UsageError: Unknown export format 'cvs'. Did you mean csv? Known: csv.
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        """Take what a member is called in messages, the entry point group, and our own members.

        `builtin` maps a name to `module:attribute`, or to `module` alone. Another package cannot
        replace these. `group` is where other packages name theirs.
        """
        self.kind = kind
        self.group = group
        self.builtin = builtin

    def names(self) -> tuple[str, ...]:
        """Return all names: the built-in ones in their order, then those of other packages."""
        others = (entry.name for entry in _entry_points(self.group))
        return tuple(dict.fromkeys([*self.builtin, *others]))

    def __contains__(self, name: object) -> bool:
        """Whether there is a member of this name; imports nothing."""
        return name in self.builtin or name in self.names()

    def get(self, name: str) -> T:
        """Import and return a member.

        Raises:
            UsageError: no member has this name; the message has the nearest one.
            DataError: another package's member cannot be imported.
        """
        if name in self.builtin:
            module, _, attribute = self.builtin[name].partition(":")
            found: Any = importlib.import_module(module)
            return cast("T", getattr(found, attribute) if attribute else found)
        for entry in _entry_points(self.group):
            if entry.name != name:
                continue
            try:
                return cast("T", entry.load())
            except Exception as error:
                raise DataError(
                    f"The {self.kind} {name} of another package ({entry.value}) cannot be imported "
                    f"({type(error).__name__}: {error})."
                ) from error
        raise UsageError(unknown(self.kind, name, self.names()))


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the message for a name that does not exist, with the nearest one that does.

    >>> unknown("metric", "pas@1", ["pass@1", "es"])
    "Unknown metric 'pas@1'. Did you mean pass@1? Known: pass@1, es."
    """
    known = list(known)
    return f"Unknown {kind} {str(name)!r}.{did_you_mean(name, known)} Known: {', '.join(known)}."


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a question with the nearest of the known names, or nothing.

    >>> did_you_mean("docer", ["docker", "landlock"])
    ' Did you mean docker?'
    """
    near = nearest(name, known)
    return "" if near is None else f" Did you mean {near}?"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that is most like another one, if any is like it at all."""
    import difflib

    return next(iter(difflib.get_close_matches(str(name), list(known), n=1)), None)


def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    # `--help` has no use for this module, which takes a third of its time to import.
    from importlib.metadata import entry_points

    return tuple(entry_points(group=group))
