"""Both surfaces -> the changes between them, whoever may use them; screening comes after.

Things are compared by what they are (their home), not by each of their names: a class that is
public under five names changes once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from rapidfuzz import fuzz

from recode_eval.mining.candidates import Evidence, Note
from recode_eval.mining.surface import Item, Parameter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recode_eval.mining.surface import Surface

_SIMILAR = 78.0
"""Percent from which a name that came is taken for one that went; see `_likeness`."""
INSTEAD = re.compile(
    r"(?:use|renamed to|replaced (?:by|with)|moved to|in favou?r of|switch to)\s+"
    r"(?:the\s+)?[`'\":]*(?:[a-z]+:`~?)?(?P<name>[A-Za-z_][\w.]*)",
    re.IGNORECASE,
)
_SENTINEL = re.compile(
    r"<[^>]*>|no_default|_?NoValue|lib\.no_default|_?[A-Z]*UNSET|MISSING|NOTHING"
)
_VARIADIC = {"variadic", "keywords"}
_NOBODY = Parameter("", "", None)


@dataclass(slots=True)
class Change:
    """One change, with what is known of it so far."""

    kind: str
    names: list[str]
    """Old public names, the best first; of something that came, its new names."""
    old: Item | None
    new: Item | None
    new_api: str = ""
    parameter: str = ""
    """The argument that it is about."""
    new_parameter: str = ""
    deprecation: str = ""
    evidence: list[Evidence] = field(default_factory=list)
    note: Note | None = None
    executed: bool = False
    suspected: bool = False
    """Only the code differs: it counts once a probe or a note shows a change."""
    unseen: bool = False
    """Known from notes alone: it counts only if a probe finds it in the old release."""

    @property
    def api(self) -> str:
        """The name to call it by."""
        return self.names[0]


def differences(old: Surface, new: Surface) -> list[Change]:
    """Return every change from the old surface to the new one."""
    changes: dict[tuple[str, str, str], Change] = {}
    by_home = _by_home(old)
    arrived = _arrived(old, new)
    for home, names in by_home.items():
        item = old.items.get(home)
        if item is None:
            continue
        left = [name for name in names if name not in new.names]
        stayed = [name for name in names if name in new.names]
        if left:
            _note(changes, _gone(item, left, stayed, new, arrived), home)
        partner = new.item(stayed[0]) if stayed else None
        if partner is not None:
            for change in compared(item, partner, stayed):
                _note(changes, change, home)
            for change in _members(old, new, item, partner, stayed):
                _note(changes, change, change.old.home if change.old else home)
    for name, warning in new.warnings.items():
        if name not in old.warnings and (name in old.names or name in old.modules):
            change = Change("newly-deprecated", [name], old.item(name), new.item(name))
            change.deprecation = warning
            change.evidence.append(Evidence("runtime", "no warning", warning))
            _note(changes, change, name)
    for module in sorted(old.modules - new.modules):
        if module.rpartition(".")[0] in new.modules and module not in old.names:
            change = Change("removed", [module], None, None)
            change.evidence.append(Evidence("runtime", "module", "no such module"))
            _note(changes, change, module)
    return list(changes.values())


def _by_home(surface: Surface) -> dict[str, list[str]]:
    homes: dict[str, list[str]] = {}
    for name, home in surface.names.items():
        homes.setdefault(home, []).append(name)
    for names in homes.values():
        names.sort(key=lambda name: (name.count("."), len(name), name))
    return homes


def _note(changes: dict[tuple[str, str, str], Change], change: Change | None, home: str) -> None:
    """Add a change, or the names under which it was met again."""
    if change is None:
        return
    key = (change.kind, home, change.parameter)
    known = changes.setdefault(key, change)
    if known is not change:
        known.names.extend(name for name in change.names if name not in known.names)


def _arrived(old: Surface, new: Surface) -> dict[str, list[str]]:
    """Scope -> names in it that the old release does not have."""
    scopes: dict[str, list[str]] = {}
    for name in new.names:
        if name not in old.names:
            scopes.setdefault(name.rpartition(".")[0], []).append(name)
    return scopes


def _gone(
    item: Item,
    left: Sequence[str],
    stayed: Sequence[str],
    new: Surface,
    arrived: dict[str, list[str]],
) -> Change:
    """Describe names that went: moved, renamed or removed."""
    change = Change("removed", list(left), item, None)
    change.deprecation = item.deprecated
    where = "no such name"
    if stayed:
        change.kind, change.new_api, change.new = "moved", stayed[0], new.item(stayed[0])
        where = f"only {stayed[0]}"
    else:
        last = left[0].rpartition(".")[2]
        elsewhere = sorted(
            (name for names in arrived.values() for name in names if name.endswith(f".{last}")),
            key=lambda name: (name.count("."), name),
        )
        same = [n for n in elsewhere if (found := new.item(n)) and found.kind == item.kind]
        if same:
            change.kind, change.new_api, change.new = "moved", same[0], new.item(same[0])
        elif (renamed := _renamed(item, left[0], arrived, new)) is not None:
            change.kind, change.new_api, change.new = "renamed", renamed, new.item(renamed)
        where = change.new_api or where
    change.evidence.append(Evidence("runtime", _shown(item), where))
    return change


def _renamed(item: Item, name: str, arrived: dict[str, list[str]], new: Surface) -> str | None:
    """Return the new name by the deprecation's words, or by likeness in the same scope."""
    scope, _, last = name.rpartition(".")
    if match := INSTEAD.search(item.deprecated):
        wanted = match["name"].rstrip(".")
        for candidate in (f"{scope}.{wanted}", wanted, f"{name.partition('.')[0]}.{wanted}"):
            if candidate in new.names and candidate != name:
                return candidate
    scored = [
        (_likeness(item, last, found, candidate.rpartition(".")[2]), candidate)
        for candidate in arrived.get(scope, ())
        if (found := new.item(candidate)) is not None
    ]
    score, best = max(scored, default=(0.0, ""))
    return best if score >= _SIMILAR else None


def _likeness(old: Item, old_name: str, new: Item, new_name: str) -> float:
    """Percent by which one thing looks like another; equal code is certain."""
    if old.kind != new.kind:
        return 0.0
    if old.body and old.body == new.body:
        return 100.0
    name = fuzz.ratio(old_name.lower(), new_name.lower())
    if old.parameters is None or new.parameters is None:
        return name * 0.9
    before = [p.name for p in old.parameters]
    after = [p.name for p in new.parameters]
    signature = fuzz.ratio(before, after) if before or after else 60.0
    doc = fuzz.ratio(old.doc, new.doc) if old.doc and new.doc else 50.0
    return 0.45 * name + 0.35 * signature + 0.2 * doc


def _shown(item: Item) -> str:
    return f"{item.kind} {item.signature or item.value}".strip()[:200]


def _members(
    old: Surface, new: Surface, item: Item, partner: Item, owners: Sequence[str]
) -> Iterator[Change]:
    """Compare the members of a class that both releases have."""
    before, after = old.members.get(item.home, {}), new.members.get(partner.home, {})
    came = {name: new.items[home] for name, home in after.items()
            if name not in before and home in new.items}  # fmt: skip
    for name, home in before.items():
        known = old.items.get(home)
        if known is None:
            continue
        names = [f"{owner}.{name}" for owner in owners]
        if name in after:
            found = new.items.get(after[name])
            if found is not None:
                yield from compared(known, found, names)
            continue
        change = Change("removed", names, known, None, deprecation=known.deprecated)
        match = INSTEAD.search(known.deprecated)
        wanted = match["name"].rpartition(".")[2] if match else ""
        scored = [(_likeness(known, name, found, other), other) for other, found in came.items()]
        score, best = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
        if wanted in after and wanted != name:
            change.kind, change.new_api = "renamed", f"{owners[0]}.{wanted}"
        elif score >= _SIMILAR:
            change.kind, change.new_api = "renamed", f"{owners[0]}.{best}"
        change.evidence.append(Evidence("runtime", _shown(known), change.new_api or "no such name"))
        yield change


def compared(old: Item, new: Item, names: Sequence[str]) -> Iterator[Change]:
    """Compare one thing in both releases."""

    def change(kind: str, before: str, after: str, argument: str = "", renamed: str = "") -> Change:
        seen = [Evidence("runtime", before[:200], after[:200])]
        return Change(kind, list(names), old, new, names[0], argument, renamed, evidence=seen)

    found = False
    if old.kind != new.kind:
        callables = {"function", "method", "class"}
        if not {old.kind, new.kind} <= callables and {old.kind, new.kind} != {
            "property",
            "attribute",
        }:
            yield change("behaviour-changed", f"a {old.kind}", f"a {new.kind}")
            found = True
    elif old.kind == "class" and (lost := _bases(old) - _bases(new)):
        yield change("behaviour-changed", f"is a {', '.join(sorted(lost))}", f"bases: {new.value}")
    elif (
        old.kind == "attribute"
        and old.value != new.value
        and not ("version" in names[0].lower() or names[0].endswith("__"))
    ):
        simple = re.compile(r"[-\d.'\"\w ]{1,60}|True|False|None")
        if simple.fullmatch(old.value) and simple.fullmatch(new.value):
            found_value = change("behaviour-changed", old.value, new.value)
            found_value.suspected = True
            yield found_value
    if old.parameters is not None and new.parameters is not None:
        for kind, parameter, renamed, before, after in _arguments(old.parameters, new.parameters):
            yield change(kind, before, after, parameter, renamed)
            found = True
    if old.returns and new.returns and _plain(old.returns) != _plain(new.returns):
        returns = change("return-changed", old.returns, new.returns)
        returns.suspected = True
        yield returns
    if new.deprecated and not old.deprecated:
        ending = change("newly-deprecated", "not deprecated", new.deprecated)
        ending.deprecation = new.deprecated
        yield ending
    if (
        not found
        and old.body != new.body
        and old.kind in {"function", "method", "class", "property"}
    ):
        suspect = change("behaviour-changed", f"code {old.body}", f"code {new.body}")
        suspect.suspected = True
        suspect.evidence.clear()
        yield suspect


def _bases(item: Item) -> set[str]:
    plain = {"Generic", "Protocol", "ABC", "object"}
    return {b for b in item.value.split(", ") if b and b not in plain and not b.startswith("_")}


def _plain(annotation: str) -> str:
    """Write equal annotations equally: `typing.Optional[str]` and `t.Optional[str]`."""
    return re.sub(r"\b(?:typing|t|te|collections\.abc|cabc)\.|['\" ]|builtins\.", "", annotation)


def _arguments(
    old: Sequence[Parameter], new: Sequence[Parameter]
) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield kind, parameter, its new name, and what each release has."""
    # A name that no caller can write may change.
    new = [
        replace(two, name=one.name) if {one.kind, two.kind} == {"positional-only"} else two
        for one, two in zip_longest(old, new, fillvalue=_NOBODY)
        if two is not _NOBODY
    ]
    before = {p.name: p for p in old if p.kind not in _VARIADIC}
    after = {p.name: p for p in new if p.kind not in _VARIADIC}
    gone = [p for p in before.values() if p.name not in after]
    came = [p for p in after.values() if p.name not in before]
    for one in gone:
        other = _successor(one, old, new, came)
        if other is not None:
            came.remove(other)
            if one.kind != "positional-only":
                yield "argument-renamed", one.name, other.name, one.name, other.name
        elif one.kind == "positional-only" and any(p.kind == "variadic" for p in new):
            continue
        else:
            yield "argument-removed", one.name, "", _default(one), "no such argument"
    for stars in ("variadic", "keywords"):
        if any(p.kind == stars for p in old) and not any(p.kind == stars for p in new):
            if stars == "variadic" and came:
                continue
            sign = "*" if stars == "variadic" else "**"
            name = next(p.name for p in old if p.kind == stars)
            yield "argument-removed", f"{sign}{name}", "", "takes any", "takes no others"
    takes_any = any(p.kind == "keywords" for p in old)
    for one in came:
        if one.default is None and not takes_any:
            yield "argument-added", one.name, "", "no such argument", "must be given"
    positional = [p.name for p in old if p.kind.startswith("positional") and p.name in after]
    now = [p.name for p in new if p.kind.startswith("positional")]
    kept = [name for name in positional if name in now]
    inserted = [
        p.name for p in came if p.name in now and kept and now.index(p.name) < now.index(kept[-1])
    ]
    if kept != sorted(kept, key=now.index):
        yield "argument-reordered", ", ".join(kept)[:80], "", ", ".join(positional), ", ".join(now)
    elif inserted and not gone:
        yield "argument-reordered", inserted[0], "", ", ".join(positional), ", ".join(now)
    strict = [n for n in positional if after[n].kind == "keyword-only"]
    if strict and not any(p.kind == "variadic" for p in new):
        yield (
            "argument-keyword-only",
            strict[0],
            "",
            "positional or keyword",
            "keyword only: " + ", ".join(strict),
        )
    for name in before.keys() & after.keys():
        one, other = before[name], after[name]
        if one.default is not None and other.default is None:
            yield "argument-added", name, "", _default(one), "must be given"
        elif (
            one.default is not None
            and other.default is not None
            and one.default != other.default
            and not (_SENTINEL.search(one.default) and _SENTINEL.search(other.default))
        ):
            yield "default-changed", name, "", _default(one), _default(other)


def _successor(
    one: Parameter, old: Sequence[Parameter], new: Sequence[Parameter], came: Sequence[Parameter]
) -> Parameter | None:
    """Return the new parameter that stands where an old one stood, or is named much like it."""
    at = next(i for i, p in enumerate(old) if p.name == one.name)
    for other in came:
        place = next(i for i, p in enumerate(new) if p.name == other.name)
        alike = fuzz.ratio(one.name, other.name)
        same_place = place == at and one.kind.startswith("pos") and other.kind.startswith("pos")
        if same_place and (one.default == other.default and (len(old) == len(new) or alike > 40)):
            return other
        if alike >= 75 and one.default == other.default:
            return other
    return None


def _default(parameter: Parameter) -> str:
    return parameter.name if parameter.default is None else f"{parameter.name}={parameter.default}"


def is_sentinel(text: str) -> bool:
    """Whether a default is a mark for "not given", so that its value says nothing.

    >>> is_sentinel("<no_default>"), is_sentinel("None")
    (True, False)
    """
    return _SENTINEL.search(text) is not None
