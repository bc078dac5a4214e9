"""Classes whose operators do not tell the truth: equal to everything, no distance from anything.

An operator is honest if what it returns follows from its operands. `__eq__` must relate something
of the one to something of the other; an always-equal class returns a constant, or compares what
does not depend on both.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.languages.python.tampering.meanings import Meanings

COMPARISONS = frozenset(
    {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__contains__"}
    | {"__instancecheck__", "__subclasscheck__"}
)
_BINARY = frozenset(
    f"__{side}{name}__"
    for side in ("", "r")
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "divmod", "matmul")
)
_UNARY = frozenset({
    "__bool__", "__abs__", "__round__", "__neg__", "__trunc__", "__floor__", "__ceil__",
    "__float__", "__int__", "__index__", "__complex__", "__array__", "__format__",
})  # fmt: skip
_ATTRIBUTE_ACCESS = frozenset({"__getattr__", "__getattribute__"})
_PROTOCOLS = frozenset({
    "__array_ufunc__", "__array_function__", "__array_priority__", "__array_interface__",
    "__array_struct__", "__array_wrap__", "__torch_function__", "__torch_dispatch__",
})  # fmt: skip
OPERATORS = COMPARISONS | _BINARY | _UNARY
"""The methods that decide whether a test of a value passes."""
_OF_METACLASSES = (
    COMPARISONS | _ATTRIBUTE_ACCESS | {"__name__", "__class__", "__prepare__", "__bool__"}
)
_METACLASSES = frozenset({"builtins.type", "abc.ABCMeta", "enum.EnumMeta", "enum.EnumType"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def of_class(node: ast.ClassDef, meanings: Meanings) -> Iterator[str]:
    """Yield the reasons to look at a class statement."""
    metaclass = any(meanings.of(base) & _METACLASSES for base in node.bases)
    methods = {
        item.name: item for item in node.body if isinstance(item, ast.FunctionDef | ast.ClassDef)
    }
    for name, value in _members(node):
        if metaclass and name in _OF_METACLASSES:
            yield "metaclass that lies"
        if name == "__class__":
            yield "lies about its class"
        elif name == "__del__":
            yield "exit hooks"
        elif name in _PROTOCOLS:
            yield "array protocols"
        elif isinstance(value, ast.Lambda):
            if any(_of_method(name, value)):
                yield "assigned comparison" if name in COMPARISONS else "assigned operator"
        elif isinstance(value, _Function):
            yield from _of_method(name, value)
        elif isinstance(value, ast.Name) and value.id in methods:
            method = methods[value.id]  # `__radd__ = __add__`
            if isinstance(method, _Function):
                yield from _of_method(name, method)
        elif name in OPERATORS and not _is_switched_off(value):
            yield "assigned comparison" if name in COMPARISONS else "assigned operator"


def _members(node: ast.ClassDef) -> Iterator[tuple[str, ast.AST]]:
    """Yield what the body binds, also in `if` and loops: methods and assigned values."""
    pending: list[ast.AST] = list(reversed(node.body))
    while pending:
        item = pending.pop()
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield item.name, item
        elif isinstance(item, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name, item) for alias in item.names)
        elif isinstance(item, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            targets = item.targets if isinstance(item, ast.Assign) else [item.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    if item.value is not None:
                        yield target.id, item.value
                else:
                    pending.append(target)
        elif isinstance(item, ast.Name):
            if isinstance(item.ctx, ast.Store):
                yield item.id, item
        elif not isinstance(item, ast.Lambda):
            pending.extend(ast.iter_child_nodes(item))


def _is_switched_off(value: ast.AST) -> bool:
    """Whether an operator is assigned what makes no comparison true: None, or `object`'s own."""
    if isinstance(value, ast.Constant):
        return value.value is None
    return (
        isinstance(value, ast.Attribute)
        and value.attr in OPERATORS | {"__hash__"}
        and isinstance(value.value, ast.Name | ast.Attribute)
    )


def _of_method(name: str, function: ast.AST) -> Iterator[str]:
    if not isinstance(function, _Function):
        return
    if name in COMPARISONS and not _compares(function):
        yield "constant comparison"
    elif name in _BINARY and not _combines(function):
        yield "constant operator"
    elif name in _UNARY and not _depends_on_itself(function):
        yield "constant comparison" if name == "__bool__" else "constant operator"
    elif name in _ATTRIBUTE_ACCESS and not _looks_at_the_name(function):
        yield "answers every attribute"


class _Method:
    """What a method returns, and which of its names come from which operand."""

    def __init__(self, function: _Function) -> None:
        arguments = function.args
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
        if arguments.vararg is not None:
            names.append(arguments.vararg.arg)
        self.first = {names[0]} if names else set()
        self.others = set(names[1:])
        body: list[ast.AST] = (
            [function.body] if isinstance(function, ast.Lambda) else [*function.body]
        )
        self.nodes = list(_own_nodes(body))
        self.returned = (
            [function.body]
            if isinstance(function, ast.Lambda)
            else [n.value for n in self.nodes if isinstance(n, ast.Return) and n.value is not None]
        )
        self._spread()
        self._sides: dict[int, tuple[bool, bool]] = {}
        for root in body:
            self._find_sides(root)

    def _find_sides(self, root: ast.AST) -> None:
        """Note of every part of a statement which operands it mentions, children first."""
        first, others = self.first | {"super"}, self.others
        for node in reversed(list(ast.walk(root))):
            if isinstance(node, ast.Name):
                self._sides[id(node)] = (node.id in first, node.id in others)
                continue
            of_first = of_others = False
            for child in ast.iter_child_nodes(node):
                child_of_first, child_of_others = self._sides.get(id(child), (False, False))
                of_first, of_others = of_first or child_of_first, of_others or child_of_others
            self._sides[id(node)] = (of_first, of_others)

    def _spread(self) -> None:
        """Follow assignments: `mine = self.x` is of the first operand."""
        moves = [
            (node.targets if isinstance(node, ast.Assign) else [node.target], source)
            for node in self.nodes
            if isinstance(
                node,
                ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr
                | ast.For | ast.AsyncFor | ast.comprehension,
            )
            and (
                source := node.iter
                if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension)
                else node.value
            )
        ]  # fmt: skip
        named = [(set().union(*map(_names, targets)), _names(source)) for targets, source in moves]
        for targets, sources in named:
            if not sources & self.others:
                self.others -= targets  # `other = self`
        for _ in range(3):
            for targets, sources in named:
                if sources & self.first:
                    self.first |= targets - self.others
                if sources & self.others:
                    self.others |= targets
        # What stems from both operands (`for a, b in zip(self.x, other.x)`) is of each.
        for targets, sources in named:
            if sources & self.first and sources & self.others:
                self.first |= targets

    def of_first(self, node: ast.AST) -> bool:
        """Whether an expression mentions the object itself, or `super`."""
        return self._sides.get(id(node), (False, False))[0]

    def of_others(self, node: ast.AST) -> bool:
        """Whether an expression mentions another operand."""
        return self._sides.get(id(node), (False, False))[1]

    def stores_attributes(self) -> bool:
        """Whether it changes an object, for example to compare with what it has just stored."""
        return any(
            isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            for node in self.nodes
        )

    def real_returns(self) -> list[ast.expr]:
        """Return what is returned, apart from NotImplemented."""
        return [
            value
            for value in self.returned
            if not (isinstance(value, ast.Name) and value.id == "NotImplemented")
        ]


def _own_nodes(body: list[ast.AST]) -> Iterator[ast.AST]:
    pending = list(reversed(body))
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, _Function | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _compares(function: _Function) -> bool:
    method = _Method(function)
    returned = method.real_returns()
    if not returned:
        return True  # It raises, or is switched off.
    if method.stores_attributes():
        return False
    constants = [value.value for value in returned if isinstance(value, ast.Constant)]
    constants += [True for value in returned if _is_always_true(value)]
    if all(constant is False or constant is None for constant in constants) and len(
        constants
    ) == len(returned):
        return False
    if len(constants) == len(returned) and len(set(map(bool, constants))) < 2:
        return False
    tests = [node.test for node in method.nodes if isinstance(node, ast.If | ast.While | ast.IfExp)]
    values = [
        node.value
        for node in method.nodes
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr)
        and node.value
    ]
    return any(_relates(place, method) for place in (*returned, *tests, *values))


def _is_always_true(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.BoolOp)
        and isinstance(node.op, ast.Or)
        and any(isinstance(value, ast.Constant) and value.value for value in node.values)
    )


def _relates(place: ast.AST, method: _Method) -> bool:
    """Whether something of the one operand is held against something of the other."""
    for node in ast.walk(place):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Call):
            sides = [node.func, *node.args, *(keyword.value for keyword in node.keywords)]
        elif isinstance(node, ast.BinOp):
            sides = [node.left, node.right]
        else:
            continue
        first = {index for index, side in enumerate(sides) if method.of_first(side)}
        others = {index for index, side in enumerate(sides) if method.of_others(side)}
        if first and others and len(first | others) > 1:
            return True
    return False


def _combines(function: _Function) -> bool:
    method = _Method(function)
    returned = method.real_returns()
    return (
        not returned
        or any(
            method.of_others(value) and (method.of_first(value) or isinstance(value, ast.Call))
            for value in returned
        )
        or _grows(method)
    )


def _grows(method: _Method) -> bool:
    """Whether the result is built in steps, from both operands: `new.x = self.x + other.x`."""
    return any(
        _relates(node, method)
        for node in method.nodes
        if isinstance(node, ast.Assign | ast.AugAssign)
    ) and any(not isinstance(value, ast.Constant) for value in method.returned)


def _depends_on_itself(function: _Function) -> bool:
    method = _Method(function)
    returned = method.real_returns()
    return (
        not returned
        or any(method.of_first(value) and not isinstance(value, ast.Name) for value in returned)
        or any(
            isinstance(value, ast.Name) and value.id in method.first - _itself(function)
            for value in returned
        )
    )


def _itself(function: _Function) -> set[str]:
    arguments = (*function.args.posonlyargs, *function.args.args)
    return {arguments[0].arg} if arguments else set()


def _looks_at_the_name(function: _Function) -> bool:
    method = _Method(function)
    return not method.real_returns() or any(
        method.of_others(node) for node in method.nodes if isinstance(node, ast.expr)
    )
