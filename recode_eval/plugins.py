"""One registry pattern for everything that another package may add.

A registry knows its built-in members as `module:attribute` strings and finds more under an entry
point group. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from recode_eval.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

T = TypeVar("T")


@dataclass(frozen=True)
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

    kind: str
    """What a member is called in messages."""
    group: str
    """The entry point group in which other packages name theirs."""
    builtin: Mapping[str, str] = field(default_factory=dict)
    """Name to `module:attribute`, or to `module` alone. A third party cannot replace these."""

    def names(self) -> tuple[str, ...]:
        """Return all names: the built-in ones in their order, then those of other packages."""
        others = (entry.name for entry in entry_points(group=self.group))
        return tuple(dict.fromkeys([*self.builtin, *others]))

    def __contains__(self, name: object) -> bool:
        """Whether there is a member of this name; imports nothing."""
        return name in self.names()

    def get(self, name: str) -> T:
        """Import and return a member.

        Raises:
            UsageError: there is none of this name; the message has the nearest one.
            DataError: another package's member cannot be imported.
        """
        if name in self.builtin:
            module, _, attribute = self.builtin[name].partition(":")
            found: Any = importlib.import_module(module)
            return cast("T", getattr(found, attribute) if attribute else found)
        for entry in entry_points(group=self.group, name=name):
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
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""
