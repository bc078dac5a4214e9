"""The public surface of one release: what both readers (static and runtime) hand on.

What is read comes from a library that nobody vouches for: `read_surface` takes only what has the
right form, belongs to the library's own modules and is of a sane size, and counts the rest.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

MODULE_KINDS: Final = ("class", "function", "method", "property", "attribute", "module")
_PARAMETERS: Final = ("positional-only", "positional", "variadic", "keyword-only", "keywords")
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_MOST_NAMES = 100_000
_MOST_PARAMETERS = 120
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a signature."""

    name: str
    kind: str
    """One of `positional-only`, `positional`, `variadic`, `keyword-only`, `keywords`."""
    default: str | None
    """Its source or repr; None: the caller must give it."""
    annotation: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that the library defines, by whatever names it is public."""

    home: str
    """Where it is defined, `pandas.core.frame.DataFrame`."""
    kind: str
    parameters: tuple[Parameter, ...] | None = None
    """None: not callable, or its signature is not known."""
    returns: str = ""
    doc: str = ""
    """The first line of its docstring."""
    deprecated: str = ""
    """What its docstring, decorator or a warning on access says of its end."""
    value: str = ""
    """Of an attribute: its repr. Of a class: its bases."""
    body: str = ""
    """A digest of its code: equal ones run alike. Empty: not known."""

    @property
    def signature(self) -> str:
        """As Python writes it, `(a, /, b=1, *, c)`; empty if it has none."""
        return "" if self.parameters is None else _written(self.parameters, self.returns)


@dataclass(slots=True)
class Surface:
    """All names of one release."""

    names: dict[str, str] = field(default_factory=dict)
    """Public name -> home."""
    items: dict[str, Item] = field(default_factory=dict)
    """Home -> what it is."""
    members: dict[str, dict[str, str]] = field(default_factory=dict)
    """Home of a class -> name of a member -> its home."""
    exported: set[str] = field(default_factory=set)
    """Names that an `__all__` lists."""
    packages: set[str] = field(default_factory=set)
    """Modules that are an `__init__`."""
    modules: set[str] = field(default_factory=set)
    examples: dict[str, list[list[str]]] = field(default_factory=dict)
    """Home -> its docstring's examples, as the pieces (a statement each) of each."""
    warnings: dict[str, str] = field(default_factory=dict)
    """Name -> the deprecation warning on importing or reading it."""
    lost: Counter[str] = field(default_factory=Counter)
    """Reason -> modules or lines that were lost."""

    def item(self, name: str) -> Item | None:
        """Return what a name stands for, a class's member included."""
        home = self.names.get(name)
        if home is None:
            owner, _, member = name.rpartition(".")
            home = self.members.get(self.names.get(owner, ""), {}).get(member)
        return None if home is None else self.items.get(home)


def _written(parameters: Iterable[Parameter], returns: str) -> str:
    parts: list[str] = []
    previous = ""
    for one in parameters:
        if previous == "positional-only" and one.kind != "positional-only":
            parts.append("/")
        if one.kind == "keyword-only" and previous not in {"variadic", "keyword-only"}:
            parts.append("*")
        stars = {"variadic": "*", "keywords": "**"}.get(one.kind, "")
        default = "" if one.default is None or stars else f"={one.default}"
        parts.append(f"{stars}{one.name}{default}")
        previous = one.kind
    if previous == "positional-only":
        parts.append("/")
    return f"({', '.join(parts)})" + (f" -> {returns}" if returns else "")


def read_surface(lines: Iterable[str], tops: Iterable[str]) -> Surface:
    """Read what a reader wrote, one JSON array a line; hostile.

    A line is `["module", name, package, warning]`, `["name", name, home, exported, warning]`,
    `["item", home, kind, parameters, returns, doc, deprecated, value, body]`,
    `["example", home, pieces]` or `["lost", reason]`. Names outside the modules `tops` are
    dropped: a library says nothing of another one.
    """
    surface = Surface()
    allowed = tuple(tops)
    for line in lines:
        try:
            row = json.loads(line)
            known = isinstance(row, list) and bool(row) and _take(surface, row, allowed)
        except (ValueError, TypeError, RecursionError, KeyError):
            known = False
        if not known:
            surface.lost["malformed or foreign line"] += 1
        if len(surface.names) > _MOST_NAMES:
            surface.lost["more names than a library has"] += 1
            break
    return surface


def _take(surface: Surface, row: list[Any], tops: tuple[str, ...]) -> bool:
    match row:
        case ["lost", str(reason)]:
            surface.lost[one_line(reason, 120)] += 1
            return True
        case ["module", str(name), bool(package), str(warning)] if _own(name, tops):
            surface.modules.add(name)
            if package:
                surface.packages.add(name)
            if warning:
                surface.warnings[name] = one_line(warning, _LONGEST)
            return True
        case ["name", str(name), str(home), bool(exported), str(warning)] if (
            _own(name, tops) and _NAME.fullmatch(home) and len(home) <= _LONGEST
        ):
            surface.names.setdefault(name, home)
            if exported:
                surface.exported.add(name)
            if warning:
                surface.warnings[name] = one_line(warning, _LONGEST)
            return True
        case ["member", str(owner), str(name), str(home)] if (
            name.isidentifier() and _NAME.fullmatch(home) and len(owner + name + home) <= _LONGEST
        ):
            surface.members.setdefault(owner, {}).setdefault(name, home)
            return True
        case ["item", str(home), str(kind), parameters, *texts] if (
            _NAME.fullmatch(home)
            and kind in MODULE_KINDS
            and len(texts) == 5
            and all(isinstance(text, str) for text in texts)
        ):
            returns, doc, deprecated, value, body = (one_line(t, _LONGEST) for t in texts)
            read = None if parameters is None else tuple(map(_parameter, parameters))
            if read is not None and len(read) > _MOST_PARAMETERS:
                return False
            item = Item(home, kind, read, returns, doc, deprecated, value, body)
            surface.items.setdefault(home, item)
            return True
        case ["example", str(home), list(pieces)] if all(isinstance(p, str) for p in pieces):
            surface.examples.setdefault(home, []).append(list(pieces))
            return True
    return False


def _own(name: str, tops: tuple[str, ...]) -> bool:
    return (
        len(name) <= _LONGEST
        and _NAME.fullmatch(name) is not None
        and any(name == top or name.startswith(f"{top}.") for top in tops)
    )


def _parameter(row: Any) -> Parameter:
    name, kind, default, annotation = row
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"{name!r} is no parameter")
    given = None if default is None else one_line(str(default), 80)
    return Parameter(name[:80], _PARAMETERS[int(kind)], given, one_line(str(annotation), 80))


def merged(runtime: Surface | None, static: Surface | None) -> Surface:
    """What both readers found; where they disagree, what the running library has."""
    if runtime is None or static is None:
        return runtime or static or Surface()
    whole = Surface(
        dict(runtime.names),
        dict(runtime.items),
        {home: dict(members) for home, members in runtime.members.items()},
        runtime.exported | static.exported,
        runtime.packages | static.packages,
        runtime.modules | static.modules,
        dict(runtime.examples),
        dict(runtime.warnings),
        runtime.lost + static.lost,
    )
    # A module that imports tells all its names itself; only of the others, static ones count.
    everywhere = runtime.modules | static.modules
    for name, home in static.names.items():
        if name not in whole.names and _owner(name, everywhere) not in runtime.modules:
            whole.names[name] = home
            _take_over(whole, static, home)
    for name, home in runtime.names.items():  # a value does not say where it was defined
        origin = static.names.get(name)
        if home != name or not _is_value(runtime.items.get(home)):
            continue
        if origin is not None and origin != name:
            whole.names[name] = origin
            whole.items.setdefault(origin, replace(runtime.items[home], home=origin))
        elif origin is None and _imported(name, runtime, static):
            del whole.names[name]
            whole.lost["a value imported from another library"] += 1
    for home, members in static.members.items():  # attributes that only instances have
        for member, its in members.items():
            if home in runtime.items and member not in whole.members.get(home, {}):
                item = static.items.get(its)
                if item is not None and item.kind == "attribute":
                    whole.members.setdefault(home, {})[member] = its
                    whole.items.setdefault(its, item)
    for home, item in static.items.items():
        known = whole.items.get(home)
        if known is not None and item.deprecated and not known.deprecated:
            whole.items[home] = replace(known, deprecated=item.deprecated)
    return whole


def _take_over(whole: Surface, static: Surface, home: str) -> None:
    if (item := static.items.get(home)) is not None and home not in whole.items:
        whole.items[home] = item
        for member, its in static.members.get(home, {}).items():
            whole.members.setdefault(home, {})[member] = its
            _take_over(whole, static, its)


def _imported(name: str, runtime: Surface, static: Surface) -> bool:
    """Whether a module only imports a value from elsewhere."""
    module, _, last = name.rpartition(".")
    own = last.startswith("__") or name in runtime.exported  # the text leaves out `__title__`
    return module in static.modules and not own


def _is_value(item: Item | None) -> bool:
    """Whether it is no class, which would know its own home."""
    return item is not None and item.kind in {"attribute", "function"}


def _owner(name: str, modules: set[str]) -> str:
    """Return the longest module that a name lies in."""
    while (name := name.rpartition(".")[0]) and name not in modules:
        pass
    return name


def surface_rows(surface: Surface) -> list[str]:
    """Return the lines that `read_surface` reads the same surface from."""
    warned = surface.warnings
    rows: list[list[Any]] = [
        ["module", name, name in surface.packages, warned.get(name, "")]
        for name in sorted(surface.modules)
    ]
    rows += [
        ["name", name, home, name in surface.exported, warned.get(name, "")]
        for name, home in surface.names.items()
    ]
    rows += [
        ["member", owner, name, home]
        for owner, members in surface.members.items()
        for name, home in members.items()
    ]
    rows += [
        [
            "item",
            item.home,
            item.kind,
            None
            if item.parameters is None
            else [
                [p.name, _PARAMETERS.index(p.kind), p.default, p.annotation]
                for p in item.parameters
            ],
            item.returns,
            item.doc,
            item.deprecated,
            item.value,
            item.body,
        ]
        for item in surface.items.values()
    ]
    rows += [["example", home, pieces] for home, of in surface.examples.items() for pieces in of]
    rows += [["lost", reason] for reason, count in surface.lost.items() for _ in range(count)]
    return [json.dumps(row) for row in rows]
