"""What the names of a program stand for: imports, their aliases and scopes, read from its tree.

Each use that `scopes` collected is resolved to the dotted paths it may mean (`np.linalg.norm` to
numpy, linalg, norm). Python's scoping is followed: a parameter or an assignment hides an import, a
function sees what its enclosing scopes hold in the end, a statement sees what was bound before it.
What could grow without bound in hostile source (aliases of aliases, alternatives, paths) is cut
off.
"""

from __future__ import annotations

import ast
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import takewhile

from recode_eval.languages.python.scopes import (
    MAX_MEANINGS,
    MAX_PARTS,
    Binding,
    Collector,
    Path,
    Position,
    Scope,
    gotten,
)

_MAX_BINDINGS = 64
"""Of the bindings of one name, the nearest so many are looked at."""
_MAX_ALIASES = 50
"""Aliases of aliases followed ahead; those in program order are resolved one by one."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call: of imported things (`paths`) or of something else's attribute (`attributes`)."""

    paths: frozenset[Path]
    attributes: Path
    """The trailing attributes of what is called, where it is not imported: `x().a.b()` has a, b."""
    positional: tuple[ast.expr | None, ...]
    """Those before a starred one; None is the function that a bare decorator gets."""
    keywords: tuple[tuple[str, ast.expr], ...]


@dataclass(slots=True)
class Usage:
    """What a program uses."""

    mentions: set[Path] = field(default_factory=set)
    """Whatever is imported or reached through an import."""
    attributes: set[Path] = field(default_factory=set)
    """Chains of attributes of anything that is not imported."""
    calls: list[Call] = field(default_factory=list)
    nested_classes: set[str] = field(default_factory=set)
    """Names of classes whose statement stands in the body of another class."""


def usage(tree: ast.Module) -> Usage:
    """Return what the program uses."""
    return _Resolver(Collector(tree)).usage()


class _Resolver:
    """Resolves what the walk collected, in the order of the walk."""

    def __init__(self, collected: Collector) -> None:
        self._collected = collected
        self._depth = 0

    def usage(self) -> Usage:
        found = Usage(set(self._collected.imported), nested_classes=self._collected.nested_classes)
        for node, place in self._collected.chains:
            paths, attributes = self._meanings(node, place)
            found.mentions |= paths
            if attributes:
                found.attributes.add(attributes)
        for function, call, place in self._collected.calls:
            paths, attributes = self._meanings(function, place)
            if paths or attributes:
                found.calls.append(_call_of(paths, attributes, call))
        return found

    def _meanings(self, node: ast.expr, place: Position) -> tuple[frozenset[Path], Path]:
        """Return the paths a chain may stand for; where there are none, its attributes."""
        parts: list[str] = []
        while True:
            if isinstance(node, ast.Attribute):
                parts.append(node.attr)
                node = node.value
            elif isinstance(node, ast.NamedExpr):
                node = node.value
            elif (got := gotten(node)) and self._find("getattr", place) is None:
                node, name = got
                parts.append(name)
            else:
                break
        parts.reverse()
        bases = self._bases(node, place)
        if not bases:
            return frozenset(), tuple(parts)
        return frozenset((*base, *parts[:MAX_PARTS])[:MAX_PARTS] for base in bases), ()

    def _bases(self, node: ast.expr, place: Position) -> frozenset[Path]:
        if isinstance(node, ast.Name):
            return self._paths_of_name(node.id, place)
        if isinstance(node, ast.Call) and len(node.args) == 1:
            module = node.args[0]
            if isinstance(module, ast.Constant) and isinstance(module.value, str):
                function, _ = self._meanings(node.func, place) if _short(node.func) else ((), ())
                if ("importlib", "import_module") in function:
                    return frozenset({tuple(module.value.split("."))[:MAX_PARTS]})
        return frozenset()

    def _paths_of_name(self, name: str, place: Position) -> frozenset[Path]:
        bindings = self._find(name, place)
        if bindings is None:
            return frozenset((*module, name)[:MAX_PARTS] for module in self._collected.star_modules)
        found: set[Path] = set()
        for binding in bindings:
            found |= self._paths_of_binding(binding)
        return _bounded(found)

    def _paths_of_binding(self, binding: Binding) -> frozenset[Path]:
        if binding.paths is None:
            binding.paths = frozenset()  # where aliases go round in a circle, it ends here
            if self._depth < _MAX_ALIASES:
                self._depth += 1
                found: set[Path] = set()
                for node in binding.aliases:
                    found |= self._meanings(node, binding.place)[0]
                self._depth -= 1
                binding.paths = _bounded(found)
        return binding.paths

    def _find(self, name: str, place: Position) -> list[Binding] | None:
        """Return the bindings that may be in force, or None if no scope binds the name."""
        scope: Scope | None = place.scope
        later = hidden = False
        while scope is not None:
            if (owner := scope.declared.get(name)) is not None:
                scope, later = owner, True
            if not (scope.kind == "class" and (later or hidden)):
                own = scope.bindings.get(name, [])
                elsewhere = scope.from_elsewhere.get(name, [])[:_MAX_BINDINGS]
                found = elsewhere + (_final(own, scope) if later else _in_force(own, place))
                # A name that a function binds anywhere is its own, even before it has a value.
                if found or (own and scope.kind == "function"):
                    return found
            later = later or scope.kind == "function"
            hidden = scope.kind == "comprehension"  # it does not see the class it stands in
            scope = scope.parent
        return None


def _in_force(bindings: list[Binding], place: Position) -> list[Binding]:
    """Return the bindings that may hold at a place of the same scope."""
    found: list[Binding] = []
    index = bisect_left(bindings, place.step, key=lambda binding: binding.place.step)
    for binding in reversed(bindings[max(0, index - _MAX_BINDINGS) : index]):
        found.append(binding)
        if binding.place.block.start <= place.step < binding.place.block.end:
            break
    if (loop := place.block.loop) is not None:
        following = bindings[index : index + _MAX_BINDINGS]
        found += [binding for binding in following if binding.place.step < loop.end]
    return found


def _final(bindings: list[Binding], scope: Scope) -> list[Binding]:
    """Return the bindings that may hold at the end of their scope, when functions are called."""
    found: list[Binding] = []
    for binding in reversed(bindings[-_MAX_BINDINGS:]):
        found.append(binding)
        if binding.place.block is scope.root:
            break
    return found


def _bounded(paths: set[Path]) -> frozenset[Path]:
    return frozenset(paths if len(paths) <= MAX_MEANINGS else sorted(paths)[:MAX_MEANINGS])


def _short(node: ast.expr) -> bool:
    """Whether a chain is no longer than `a.b`, so that resolving it inside of another is cheap."""
    return isinstance(node, ast.Name) or (
        isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    )


def _call_of(paths: frozenset[Path], attributes: Path, call: ast.Call | None) -> Call:
    if call is None:
        return Call(paths, attributes, (None,), ())
    positional = tuple(takewhile(lambda argument: not isinstance(argument, ast.Starred), call.args))
    keywords: list[tuple[str, ast.expr]] = []
    for keyword in call.keywords:
        if keyword.arg is not None:
            keywords.append((keyword.arg, keyword.value))
        elif isinstance(keyword.value, ast.Dict):  # `**{"axis": 1}`
            keywords += [
                (key.value, value)
                for key, value in zip(keyword.value.keys, keyword.value.values, strict=True)
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            ]
    return Call(paths, attributes, positional, tuple(keywords))
