"""One registry pattern for everything that another package may add.

A registry knows its built-in members as `module:attribute` strings and finds more under an entry
point group. Nothing is imported before it is asked for. `docs/plugins.md` lists the groups.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from recode_eval.errors import DataError, RecodeError, UsageError, is_disk_trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from importlib.metadata import EntryPoint

T = TypeVar("T")
_LISTED = 30
_LISTED_LETTERS = 400
"""Known names that a message lists, and their letters; a task has hundreds of problems."""


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

    def __init__(
        self, kind: str, group: str, builtin: Mapping[str, str], needs: Sequence[str] = ()
    ) -> None:
        """Take what a member is called in messages, the entry point group, and our own members.

        `builtin` maps a name to `module:attribute`, or to `module` alone. Another package cannot
        replace these. `group` is where other packages name theirs. `needs` are attributes that a
        member of theirs must have, or, if members are called, what it returns (see `call`).
        """
        self.kind = kind
        self.group = group
        self.builtin = builtin
        self.needs = needs

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
            DataError: another package's member cannot be imported, or lacks something.
        """
        found = self._load(name)
        if name not in self.builtin:
            require(self._whose(name), found, self.needs)
        return cast("T", found)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a member, which is a class or a function, and return what it returns.

        Raises:
            UsageError: there is none of this name; the message has the nearest one.
            DataError: another package's member cannot be imported or called, or what it returns
                lacks something.
            RecodeError: those of the member itself.
        """
        found = self._load(name)
        if name in self.builtin:
            return found(*arguments)
        with blaming(self._whose(name), "fails"):
            made = found(*arguments)
        require(f"What the {self.kind} {name} of another package makes", made, self.needs)
        return made

    def _load(self, name: str) -> Any:
        if name in self.builtin:
            module, _, attribute = self.builtin[name].partition(":")
            found = importlib.import_module(module)
            return getattr(found, attribute) if attribute else found
        entry = self._entry(name)
        if entry is None:
            raise UsageError(unknown(self.kind, name, self.names()))
        with blaming(self._whose(name), "cannot be imported"):
            return entry.load()

    def _entry(self, name: str) -> EntryPoint | None:
        return next((entry for entry in _entry_points(self.group) if entry.name == name), None)

    def _whose(self, name: str) -> str:
        entry = self._entry(name)
        return f"The {self.kind} {name} of another package ({entry.value if entry else '?'})"


@contextlib.contextmanager
def blaming(whose: str, what: str) -> Iterator[None]:
    """Turn whatever another package's code raises into a `DataError`: it is no bug of ours.

    Errors of this package and a full disk pass; so does Ctrl-C. A module that exits is faulty too.
    """
    try:
        yield
    except RecodeError:
        raise
    except (Exception, SystemExit) as error:
        if is_disk_trouble(error):
            raise
        raise DataError(f"{whose} {what} ({type(error).__name__}: {error}).") from error


def require(whose: str, thing: object, needs: Iterable[str]) -> None:
    """Raise `DataError` if another package's object lacks one of these attributes.

    >>> require("The format x", object(), ["build"])
    Traceback (most recent call last):
    ...
    recode_eval.errors.DataError: The format x is of the type object and lacks build.
    """
    if lacking := [name for name in needs if not hasattr(thing, name)]:
        kind = type(thing).__name__
        raise DataError(f"{whose} is of the type {kind} and lacks {', '.join(lacking)}.")


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the message for a name that does not exist, with the nearest one that does.

    >>> unknown("metric", "pas@1", ["pass@1", "es"])
    "Unknown metric 'pas@1'. Did you mean pass@1? Known: pass@1, es."
    """
    known = list(known)
    shown = known[:_LISTED]
    while len(shown) > 1 and sum(map(len, shown)) > _LISTED_LETTERS:
        shown.pop()
    more = f", and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
    return (
        f"Unknown {kind} {str(name)!r}.{did_you_mean(name, known)} Known: {', '.join(shown)}{more}."
    )


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
