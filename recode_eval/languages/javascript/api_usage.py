"""Which of some known uses of an API occur in a JavaScript program: patterns over its syntax tree.

A pattern is a JavaScript expression. A string in it is a module: `"date-fns".format` is that member
however it was imported, with whatever lies below it, and `"rxjs/operators"` alone is any import of
the module. `_` is any object or value: `_.errors` (an attribute of any object), `_.format(_, _)` (a
call with two arguments or more), `_.parse({strict: true})` (a call with such an option in one of
its arguments), `new "lru-cache"(_)`. See docs/scoring.md. Nothing is run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from recode_eval.languages.javascript.scopes import (
    MAX_PARTS,
    Names,
    Path,
    destructured,
    member,
    text_of,
)
from recode_eval.languages.javascript.syntax import JAVASCRIPT, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.languages.javascript.syntax import Grammar
    from recode_eval.languages.treesitter import Node, Tree

MAX_PATTERN_CHARS: Final = 1_000
_ANY = "_"
_CALLS = frozenset({"call_expression", "new_expression"})
_LITERALS = frozenset({"number", "true", "false", "null", "undefined", "regex"})


@dataclass(frozen=True, slots=True)
class _Arguments:
    """What a call must be given at least."""

    positional: tuple[str | None, ...]
    """Literals in their normal form, or None for any value."""
    options: tuple[tuple[str, str | None], ...]
    """Keys of an object literal among the arguments, with a literal or None for any value."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A use of an API; patterns are equal if their texts are."""

    text: str
    path: Path = field(compare=False, repr=False)
    """Module and members, or a global name and members; behind `_.`, the members."""
    kind: str = field(compare=False, repr=False)
    """`name`, or `attribute` (of any object)."""
    call: str = field(default="", compare=False, repr=False)
    """`call_expression`, `new_expression`, or empty if neither is asked for."""
    arguments: _Arguments = field(default=_Arguments((), ()), compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read a pattern. Raises `ValueError` naming what is wrong with it."""
        if len(text) > MAX_PATTERN_CHARS:
            raise ValueError(f"a pattern has at most {MAX_PATTERN_CHARS} characters")
        tree = JAVASCRIPT.parse(f"({text.strip()}\n)")
        statements = tree.root.parts
        inner = statements[0].parts[0].parts if len(statements) == 1 and tree.sound else []
        if len(inner) != 1 or statements[0].parts[0].kind != "parenthesized_expression":
            raise ValueError(f"{text!r} is not one JavaScript expression")
        node = inner[0]
        call = node.kind if node.kind in _CALLS else ""
        target = node.child("function") or node.child("constructor") if call else node
        path = _parts(target, text)
        given = node.child("arguments") if call else None
        arguments = _arguments(given.parts if given is not None else [], text)
        if path[0] != _ANY:
            return cls(text, path, "name", call, arguments)
        if len(path) == 1:
            raise ValueError(
                f"{text!r}: `_` alone matches anything; name an attribute, as in `_.append`"
            )
        return cls(text, path[1:], "attribute", call, arguments)


@lru_cache(maxsize=4096)
def parsed_patterns(texts: tuple[str, ...]) -> tuple[Pattern, ...]:
    """Return the patterns that these texts mean; raises `ValueError`."""
    return tuple(Pattern.parse(text) for text in texts)


def uses(patterns: Sequence[Pattern], code: str, *grammars: Grammar) -> tuple[Pattern, ...]:
    """Return the patterns that occur in `code`, in the given order.

    Never raises: of code that does not parse, no pattern is found.
    """
    tree = read(code, *grammars)
    if not patterns or not tree.sound:
        return ()
    usage = _Usage(tree)
    return tuple(pattern for pattern in patterns if usage.has(pattern))


@dataclass(frozen=True, slots=True)
class _Call:
    kind: str
    path: Path | None
    attributes: Path
    arguments: list[Node]


class _Usage:
    """What a program mentions, reads from objects and calls."""

    def __init__(self, tree: Tree) -> None:
        self._names = names = Names(tree)
        self._mentions: set[Path] = {*names.imported, *((module,) for module in names.modules)}
        self._attributes: set[Path] = set()
        self._calls: list[_Call] = []
        for node in tree.root.walk():
            if node.kind == "identifier" or member(node) is not None:
                path = names.resolve(node)
                if path is not None:
                    self._mentions.add(path)
            if (chain := _chain(node)) and not _continues(node):
                self._attributes.add(chain)
            if node.kind == "object_pattern":
                self._attributes.update((key,) for key, _ in destructured(node))
            if node.kind in _CALLS:
                self._calls.append(self._call(node))

    def _call(self, node: Node) -> _Call:
        target = node.child("function") or node.child("constructor")
        given = node.child("arguments")
        arguments = given.parts if given is not None and given.kind == "arguments" else []
        chain = () if target is None else _chain(target)
        return _Call(node.kind, self._names.resolve(target), chain, arguments)

    def has(self, pattern: Pattern) -> bool:
        path = pattern.path
        if pattern.call:
            return any(self._is(pattern, call) for call in self._calls)
        if pattern.kind == "name":
            return any(mention[: len(path)] == path for mention in self._mentions)
        return any(
            chain[i : i + len(path)] == path
            for chain in self._attributes
            for i in range(len(chain) - len(path) + 1)
        )

    def _is(self, pattern: Pattern, call: _Call) -> bool:
        if call.kind != pattern.call:
            return False
        if pattern.kind == "name":
            if call.path != pattern.path:
                return False
        elif call.attributes[-len(pattern.path) :] != pattern.path:
            return False
        wanted, given = pattern.arguments, call.arguments
        if len(given) < len(wanted.positional):
            return False
        fits = zip(wanted.positional, given, strict=False)
        if not all(
            text is None or text == _literal(self._names.value(node)) for text, node in fits
        ):
            return False
        objects = [self._options(node) for node in given] if wanted.options else []
        return all(
            any(key in found and text in {None, found[key]} for found in objects)
            for key, text in wanted.options
        )

    def _options(self, node: Node) -> dict[str, str | None]:
        """Return the keys of an object literal, or of one that a name is bound to."""
        value = self._names.value(node)
        if value.kind != "object":
            return {}
        found: dict[str, str | None] = {}
        for part in value.parts:
            if part.kind == "shorthand_property_identifier":
                found[part.text] = None
                continue
            key, inner = part.child("key") or part.child("name"), part.child("value")
            if key is not None:
                found[text_of(key) or key.text] = None if inner is None else _literal(inner)
        return found


def _chain(node: Node) -> Path:
    """Return the members at the end of an expression: `f().a.b` gives a, b."""
    parts: list[str] = []
    current: Node | None = node
    while current is not None and len(parts) < MAX_PARTS and (name := member(current)) is not None:
        parts.append(name)
        current = current.child("object")
    return tuple(reversed(parts))


def _continues(node: Node) -> bool:
    """Whether the member is only a step to another one, whose chain holds it."""
    parent = node.parent
    return parent is not None and parent.child("object") is node and member(parent) is not None


def _parts(node: Node | None, text: str) -> Path:
    parts: list[str] = []
    while node is not None and (name := member(node)) is not None:
        parts.append(name)
        node = node.child("object")
    root = text_of(node)
    if root is None and node is not None and node.kind in {"identifier", "this"}:
        root = node.text
    if not root:
        raise ValueError(
            f'{text!r}: expected a module in quotes, a name or `_`, and members: "x".y, _.y'
        )
    if _ANY in parts:
        raise ValueError(f"{text!r}: `_` stands for an object and must come first")
    if len(parts) >= MAX_PARTS:
        raise ValueError(f"{text!r}: a name has fewer than {MAX_PARTS} parts")
    return (root, *reversed(parts))


def _arguments(nodes: Sequence[Node], text: str) -> _Arguments:
    positional: list[str | None] = []
    options: list[tuple[str, str | None]] = []
    for node in nodes:
        if node.kind != "object":
            positional.append(_wanted(node, text))
            continue
        for part in node.parts:
            key, value = part.child("key"), part.child("value")
            if key is None or value is None:
                raise ValueError(f"{text!r}: an option is `key: _` or a key with a literal")
            options.append((text_of(key) or key.text, _wanted(value, text)))
    return _Arguments(tuple(positional), tuple(options))


def _wanted(node: Node, text: str) -> str | None:
    if node.kind == "identifier" and node.text == _ANY:
        return None
    literal = _literal(node)
    if literal is None:
        raise ValueError(
            f"{text!r}: an argument is a literal, or `_` for any value, not {node.text}"
        )
    return literal


def _literal(node: Node) -> str | None:
    """Return a literal so that equal ones have equal texts; None: it is none."""
    string = text_of(node)
    if string is not None:
        return f"text {string}"
    if node.kind == "unary_expression" and node.text[:1] in {"-", "+"}:
        inner = node.child("argument")
        return f"{node.text[0]}{inner.text}" if inner and inner.kind == "number" else None
    return node.text if node.kind in _LITERALS else None
