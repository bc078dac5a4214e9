"""What the names of a JavaScript program stand for: which module, and what of it.

Names are resolved by scope, so a parameter `format` is not the `format` that was imported. A path
is a module and the members behind it, such as `("date-fns", "format")`. The default export of a
module is the module: `import chalk from "chalk"` and `require("chalk")` mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from recode_eval.languages.javascript.syntax import (
    DECLARATIONS,
    SCOPES,
    VARIABLES,
    bound,
    name_of,
)

if TYPE_CHECKING:
    from recode_eval.languages.treesitter import Node, Tree

Path = tuple[str, ...]
MAX_PARTS: Final = 20
_MAX_STEPS = 50
_BLOCKS = SCOPES | {
    "program", "statement_block", "for_statement", "for_in_statement", "catch_clause", "class_body",
    "switch_body",
}  # fmt: skip
_INSIDE = frozenset(
    {"parenthesized_expression", "non_null_expression", "as_expression", "satisfies_expression"}
)
STRINGS: Final = frozenset({"string", "template_string"})


@dataclass(slots=True)
class _Scope:
    outer: _Scope | None
    names: dict[str, tuple[Path | None, Node | None]] = field(default_factory=dict)
    """Name -> the path it has, or else the expression that it is bound to."""


class Names:
    """The names of one program; asks are about nodes of its tree."""

    def __init__(self, tree: Tree) -> None:
        """Read every declaration of a tree."""
        self._scopes: dict[int, _Scope] = {}
        self._steps = 0
        self.modules: set[str] = set()
        """Every module that is imported, required or exported from."""
        self.imported: set[Path] = set()
        """What is imported by name."""
        self._read(tree.root)

    def scope(self, node: Node) -> _Scope:
        """Return the scope that a node stands in."""
        return self._scopes[id(node)]

    def resolve(self, node: Node | None) -> Path | None:
        """Return the path that an expression stands for; None: not known.

        A name that nothing declares is a path of its own: `("Buffer",)`.
        """
        self._steps = 0
        return self._resolve(node)

    def value(self, node: Node) -> Node:
        """Return the expression that a name is bound to once, else the node itself."""
        if node.kind == "identifier":
            found = self._lookup(node)
            if found is not None and found[1] is not None:
                return found[1]
        return node

    def _resolve(self, node: Node | None) -> Path | None:
        members: list[str] = []
        while node is not None and self._steps < _MAX_STEPS:
            self._steps += 1
            if node.kind in _INSIDE or node.kind == "await_expression":
                node = node.parts[0] if node.parts else None
            elif (name := member(node)) is not None:
                members.append(name)
                node = node.child("object")
            elif node.kind == "identifier":
                found = self._lookup(node)
                if found is None:
                    return _joined((node.text,), members)
                path, bound_to = found
                if path is not None:
                    return _joined(path, members)
                node = bound_to
            elif (module := _loaded(node)) is not None:
                return _joined((module,), members)
            else:
                return None
        return None

    def _lookup(self, node: Node) -> tuple[Path | None, Node | None] | None:
        scope: _Scope | None = self._scopes[id(node)]
        name = node.text
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return None

    def _read(self, root: Node) -> None:
        pending: list[tuple[Node, _Scope, _Scope]] = []
        program = _Scope(None)
        pending.append((root, program, program))
        while pending:
            node, scope, function = pending.pop()
            self._scopes[id(node)] = scope
            self._declare(node, scope, function)
            inner = scope
            if node.kind in _BLOCKS and node.kind != "program":
                inner = _Scope(scope)
                if node.kind in SCOPES:
                    function = inner
                self._declare_own(node, inner)
            pending.extend((child, inner, function) for child in reversed(node.children))

    def _declare_own(self, node: Node, inner: _Scope) -> None:
        """Declare what a function, a loop or a handler binds for its own inside."""
        for role in ("parameters", "parameter"):
            target = node.child(role)
            targets = [] if target is None else [target]
            if target is not None and target.kind == "formal_parameters":
                targets = target.parts
            for one in targets:
                inner.names.update((name, (None, None)) for name in bound(one))
        if node.kind == "function_expression" and (name := name_of(node)):
            inner.names[name] = (None, None)
        left = node.child("left") if node.kind == "for_in_statement" else None
        if left is not None and node.child("kind") is not None:
            inner.names.update((name, (None, None)) for name in bound(left))

    def _declare(self, node: Node, scope: _Scope, function: _Scope) -> None:
        if node.kind in DECLARATIONS:
            scope.names[name_of(node)] = (None, None)
        elif node.kind in VARIABLES:
            target = function if node.kind == "variable_declaration" else scope
            for one in node.parts:
                name, value = one.child("name"), one.child("value")
                if name is not None:
                    self._bind(name, value, target)
        elif node.kind == "import_statement":
            self._import(node, scope)
        elif node.kind == "export_statement" and (source := text_of(node.child("source"))):
            self.modules.add(source)
            specifiers = (inner for inner in node.walk() if inner.kind == "export_specifier")
            self.imported.update(_joined((source,), [name_of(one)]) for one in specifiers)
        elif (module := _loaded(node)) is not None:
            self.modules.add(module)

    def _bind(self, target: Node, value: Node | None, scope: _Scope) -> None:
        if target.kind == "identifier":
            # A name bound twice (`var`, or in two branches) is nothing we know.
            again = target.text in scope.names
            scope.names[target.text] = (None, None if again else value)
            return
        scope.names.update((name, (None, None)) for name in bound(target))
        if target.kind != "object_pattern" or value is None:
            return
        # The path of the value is asked for before what is bound here exists, so now is the time.
        self._scopes[id(value)] = scope
        for inner in value.walk():
            self._scopes.setdefault(id(inner), scope)
        path = self.resolve(value)
        if path is None:
            return
        for key, name in destructured(target):
            if name is not None:
                scope.names[name] = (_joined(path, [key]), None)

    def _import(self, node: Node, scope: _Scope) -> None:
        source = text_of(node.child("source"))
        if source is None:
            return
        self.modules.add(source)
        for part in node.walk():
            if part.kind == "import_specifier":
                name, alias = part.child("name"), part.child("alias")
                if name is not None:
                    path = _joined((source,), [text_of(name) or name.text])
                    scope.names[(alias or name).text] = (path, None)
                    self.imported.add(path)
            elif part.kind in {"import_clause", "namespace_import"}:
                for one in part.parts:
                    if one.kind == "identifier":
                        scope.names[one.text] = ((source,), None)


def destructured(pattern: Node) -> list[tuple[str, str | None]]:
    """Return what an object pattern takes: the key, and the name it gets (None: a pattern).

    `{a, b: c, d: {e}, f = 1}` gives a as a, b as c, d as nothing, f as f.
    """
    found: list[tuple[str, str | None]] = []
    for part in pattern.parts:
        if part.kind == "shorthand_property_identifier_pattern":
            found.append((part.text, part.text))
        elif part.kind == "object_assignment_pattern" and (left := part.child("left")) is not None:
            found.append((left.text, left.text))
        elif part.kind == "pair_pattern":
            key, value = part.child("key"), part.child("value")
            if key is not None and value is not None:
                names = list(bound(value))
                simple = value.kind in {"identifier", "assignment_pattern"} and len(names) == 1
                found.append((text_of(key) or key.text, names[0] if simple else None))
    return found


def member(node: Node) -> str | None:
    """Return the name of the member that `a.name` or `a["name"]` asks for; None: neither."""
    if node.kind == "member_expression":
        name = node.child("property")
        return None if name is None else name.text
    if node.kind == "subscript_expression":
        return text_of(node.child("index"))
    return None


def text_of(node: Node | None) -> str | None:
    """Return the value of a string without escapes and placeholders; None: it is no such string."""
    if node is None or node.kind not in STRINGS:
        return None
    if any(part.kind != "string_fragment" for part in node.parts):
        return None
    return node.text[1:-1]


def _loaded(node: Node) -> str | None:
    """Return the module that `require("x")` or `import("x")` loads."""
    if node.kind != "call_expression":
        return None
    function, arguments = node.child("function"), node.child("arguments")
    if function is None or arguments is None or not arguments.parts:
        return None
    if function.kind != "import" and (function.kind, function.text) != ("identifier", "require"):
        return None
    return text_of(arguments.parts[0])


def _joined(path: Path, members: list[str]) -> Path:
    """Put members (the last one first) behind a path; a module's default export is the module."""
    for name in reversed(members):
        if len(path) < MAX_PARTS and not (name == "default" and len(path) == 1):
            path = (*path, name)
    return path
