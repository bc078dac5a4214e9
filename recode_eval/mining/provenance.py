"""Joining notes and changes: each change gets its best entry, and each entry its public APIs.

An entry that breaks something public and that no change took becomes a change of its own.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import TYPE_CHECKING

from recode_eval.mining.candidates import QUOTE_CHARACTERS, Evidence, Note
from recode_eval.mining.differences import INSTEAD, Change
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recode_eval.mining.notes import Entry
    from recode_eval.mining.surface import Surface

_ENOUGH = 3.0
"""Points that a change needs with an entry: a full name, or a last name and the kind."""
_MOST_OWNERS = 8
"""Functions that may share an argument's name for a note about it to be about them."""
_MOST_UNSEEN = 400
"""Names that only notes know and that a probe looks for."""
_GENERAL = {"name", "value", "type", "data", "key", "keys", "values", "items", "item", "index",
            "get",
            "self", "None", "True", "False", "str", "int", "float", "bool", "list", "dict", "tuple",
            "set", "object", "Exception", "ValueError", "TypeError", "KeyError", "AttributeError",
            "ImportError", "RuntimeError", "DeprecationWarning", "FutureWarning", "Python", "PyPy",
            "github", "com", "python", "float64", "nan", "numpy", "ndarray", "array"}  # fmt: skip


class PublicNames:
    """Looks a word of a note up among the public names of both releases."""

    def __init__(self, old: Surface, new: Surface, public: Iterable[str]) -> None:
        self._old, self._new = old, new
        self._by_tail: dict[str, list[str]] = {}
        self._tops = {name.partition(".")[0] for name in (*old.modules, *new.modules)}
        for name in public:
            self._by_tail.setdefault(name.rpartition(".")[2], []).append(name)
        self._by_argument: dict[str, list[str]] = {}
        homes: set[tuple[str, str]] = set()
        for names in self._by_tail.values():
            names.sort(key=lambda name: (name.count("."), len(name), name))
        for name in sorted(public, key=lambda name: (name.count("."), len(name), name)):
            item = old.item(name)
            for one in (item.parameters or ()) if item else ():
                if item and (item.home, one.name) not in homes:
                    homes.add((item.home, one.name))
                    self._by_argument.setdefault(one.name, []).append(name)

    def find(self, word: str) -> str | None:
        """Return the shortest public name that ends with the word; None: there is none."""
        word = word.rstrip(".")
        if word in _GENERAL or len(word) < 3:
            return None
        tail = word.rpartition(".")[2]
        inner = word.partition(".")[2] if word.partition(".")[0] in self._tops else ""
        names = self._by_tail.get(tail, ())
        for wanted in filter(None, (word, inner)):
            for name in names:
                if name == wanted or name.endswith(f".{wanted}"):
                    return name
        return self._of_variable(word, names)

    def _of_variable(self, word: str, names: Sequence[str]) -> str | None:
        """Find a member by what notes call an instance: `response.url`, `df.append`, `.url`."""
        owner, _, tail = word.rpartition(".")
        owner = owner.rpartition(".")[2].replace("_", "").lower()
        if not owner or tail in _GENERAL:
            return None
        for name in names:
            of = name.split(".")[-2].lower() if "." in name else ""
            if of == owner:
                return name
        classes = [n for n in names if n.count(".") > 1 and n.split(".")[-2][:1].isupper()]
        return classes[0] if len(classes) == 1 else None

    def guess(self, word: str) -> str | None:
        """Return the full name of a word whose owner is known and which no reader saw.

        A module may serve names that it does not list (`__getattr__`); a probe will tell.
        """
        owner, _, tail = word.strip(".").rpartition(".")
        private = tail.startswith("_") and not tail.endswith("__")
        if not owner or not tail.isidentifier() or private or word in self._tops:
            return None
        home = owner if owner in self._old.modules else self.find(owner)
        if home is None or not (home in self._old.modules or self._is_class(home)):
            return None
        return f"{home}.{tail}"

    def _is_class(self, name: str) -> bool:
        item = self._old.item(name)
        return item is not None and item.kind == "class"

    def owners(self, argument: str) -> list[str]:
        """Return the functions with an argument of this name, if they are few."""
        owners = self._by_argument.get(argument, [])
        plain = argument in _GENERAL or len(argument) < 4
        return [] if plain or len(owners) > _MOST_OWNERS else owners

    def is_argument(self, word: str, name: str) -> bool:
        """Whether a bare word that is some class's attribute is an argument's name as well."""
        item = self._old.item(name) or self._new.item(name)
        attribute = item is not None and item.kind in {"attribute", "property"} and "." in name
        return "." not in word and attribute and word in self._by_argument

    def named_in(self, text: str) -> list[str]:
        """Return APIs that plain words spell: `the progress bar` is `progressbar`."""
        words = re.findall(r"[A-Za-z]+", text.lower())
        pairs = [*itertools.pairwise(words)]
        joined = [glue.join(pair) for pair in pairs for glue in ("", "_")]
        found = [self.find(word) for word in joined if len(word) >= 9]
        for word in re.findall(r"\b[A-Z]\w{2,}", text):
            name = self.find(word)
            if name is not None and self._is_class(name) and name.endswith(f".{word}"):
                found.append(name)
        return list(dict.fromkeys(name for name in found if name is not None))[:2]

    def is_new(self, name: str) -> bool:
        """Whether the new release has the name."""
        return self._new.item(name) is not None

    def is_module(self, word: str) -> bool:
        """Whether the word is the library's own top name."""
        return word in self._tops


def attach(
    changes: Sequence[Change], entries: Sequence[Entry], names: PublicNames
) -> dict[int, list[Change]]:
    """Give each change its best entry; return entry number -> the changes that it is about."""
    taken: dict[int, list[Change]] = {}
    index: dict[str, list[int]] = {}
    for number, entry in enumerate(entries):
        for word in entry.words:
            for part in {word, word.rpartition(".")[2]}:
                index.setdefault(part, []).append(number)
        for word in set(re.findall(r"[A-Za-z_]\w{2,}", entry.text)):
            index.setdefault(f"~{word}", []).append(number)
    for change in changes:
        tails = {name.rpartition(".")[2] for name in change.names}
        tails |= {name.split(".")[-2] for name in change.names if name.count(".") > 1}
        numbers = {n for tail in tails for n in (*index.get(tail, ()), *index.get(f"~{tail}", ()))}
        scored = [(points(change, entries[n]), -n) for n in numbers]
        score, number = max(scored, default=(0.0, 0))
        if score >= _ENOUGH:
            change.note = note_of(entries[-number])
            _rename(change, entries[-number], names)
            taken.setdefault(-number, []).append(change)
    return taken


def _rename(change: Change, entry: Entry, names: PublicNames) -> None:
    """Take the new name of what went from the entry's own words: `renamed to result_callback`."""
    if change.kind != "removed" or change.parameter:
        return
    for match in INSTEAD.finditer(entry.text.replace("`", "")):
        scope, last = change.api.rpartition(".")[0], match["name"].rpartition(".")[2]
        for wanted in (f"{scope}.{last}", names.find(match["name"]) or ""):
            if wanted and wanted != change.api and names.is_new(wanted):
                change.new_api = wanted
                change.kind = "renamed" if wanted.startswith(f"{scope}.") else "moved"
                return


def points(change: Change, entry: Entry) -> float:
    """How well an entry fits a change; 3 and more is a match."""
    words = {word.strip(".") for word in entry.words}
    tails = {word.rpartition(".")[2] for word in words}
    best = 0.0
    for name in change.names[:8]:
        parts = name.split(".")
        if (
            name in words
            or (len(parts) > 2 and ".".join(parts[-2:]) in words)
            or (len(parts) > 2 and parts[-1] in tails and parts[-2] in tails)
        ):
            best = max(best, 3.0)
        elif parts[-1] in tails and len(parts[-1]) > 2:
            if len(parts) > 2 and parts[-2][0].isupper():  # another class's member, perhaps
                best = max(
                    best,
                    1.5
                    if f".{parts[-1]}" not in "".join(f".{w}" for w in words if "." in w)
                    else 0.5,
                )
            else:
                best = max(best, 2.5)
        elif (change.parameter and parts[-2:] and parts[-1] in entry.text) or (
            change.parameter and len(parts) > 1 and parts[-2] in tails
        ):
            best = max(best, 1.5)
    if best == 0.0:
        return 0.0
    if change.parameter:
        named = re.search(rf"\b{re.escape(change.parameter.strip('*'))}\b", entry.text) is not None
        best += 2.0 if named else -1.5
    if entry.kind == change.kind or entry.kind.partition("-")[0] == change.kind.partition("-")[0]:
        best += 1.0
    if change.new_api and change.new_api.rpartition(".")[2] in tails - {
        change.api.rpartition(".")[2]
    }:
        best += 0.5
    if change.suspected and not entry.breaking:
        return 0.0
    return best + (0.5 if entry.breaking else -0.5)


def note_of(entry: Entry) -> Note:
    """Return the quote of an entry."""
    return Note(
        release=entry.release,
        heading=one_line(entry.heading, 120),
        text=one_line(entry.text, QUOTE_CHARACTERS),
        file=one_line(entry.file, 200),
    )


def from_notes(
    entries: Sequence[Entry],
    changes: Sequence[Change],
    taken: dict[int, list[Change]],
    names: PublicNames,
    old: Surface,
    new: Surface,
) -> tuple[list[Change], Counter[str]]:
    """Return a change for each breaking entry that no change is about, and the losses by reason."""
    found: dict[tuple[str, str], Change] = {}
    unseen: dict[str, Entry] = {}
    lost: Counter[str] = Counter()
    went = {n for c in changes if c.kind in {"removed", "renamed", "moved"} for n in c.names}
    for number, entry in enumerate(entries):
        if not entry.breaking:
            lost["an entry that breaks nothing by its words"] += 1
            continue
        for word in entry.words[:40]:
            if "." in word and names.find(word) is None and (guessed := names.guess(word)):
                unseen.setdefault(guessed, entry)
        if number in taken:
            continue
        public = _resolved(entry, names)
        about = [name for name in public if name not in went]
        # What was there comes before what came; a bare module says little of what changed.
        about.sort(key=lambda name: (old.item(name) is None, "." not in name))
        if not public:
            lost["an entry that no public API was found for"] += 1
        elif not about:
            lost["an entry about what another change covers"] += 1
        elif old.item(about[0]) is None and about[0] not in old.modules:
            lost["an entry about what the old release does not have"] += 1
        else:
            _add(found, entry, about, old, new)
    more = []
    for name, entry in list(unseen.items())[:_MOST_UNSEEN]:
        change = Change("removed", [name], None, None, note=note_of(entry), suspected=True)
        change.unseen = True
        more.append(change)
    return [*found.values(), *more], lost


def _resolved(entry: Entry, names: PublicNames) -> list[str]:
    """Return the public names that an entry is about, in its order."""
    found = dict.fromkeys(
        name
        for word in entry.words[:24]
        if (name := names.find(word)) is not None and not names.is_argument(word, name)
    )
    found |= dict.fromkeys(owner for word in entry.words[:12] for owner in names.owners(word))
    return list(found) or names.named_in(entry.text)


def _add(
    found: dict[tuple[str, str], Change],
    entry: Entry,
    about: Sequence[str],
    old: Surface,
    new: Surface,
) -> None:
    """Add the change that an entry speaks of, or its names to the one that is known already."""
    subject, kind = about[0], entry.kind
    if kind == "removed" and subject in new.names and old.item(subject) is not None:
        kind = "behaviour-changed"
    change = found.setdefault(
        (kind, subject), Change(kind, [subject], old.item(subject), new.item(subject))
    )
    change.names += [name for name in about if name not in change.names]
    if change.note is None:
        change.note = note_of(entry)
        change.new_api = subject if new.item(subject) is not None else ""
        change.evidence.append(Evidence("note", "", one_line(entry.text, QUOTE_CHARACTERS)))
