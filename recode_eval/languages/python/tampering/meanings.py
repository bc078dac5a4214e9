"""What the expressions of a program may stand for, as dotted names: `m` is `math` after `m = math`.

Scopes and the order of statements are ignored: whatever a name may mean anywhere, it means
everywhere. That finds more than it should, which is right for what a person then looks at, and the
time is linear in the program's size. `names.usage` is the exact resolver, for the APIs in use.
"""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NONE: frozenset[str] = frozenset()
_MAX_MEANINGS = 8
_MAX_LENGTH = 200
"""Characters of a dotted name: attributes of attributes would else make names of any length."""
_MOST_ITEMS = 64
_ROUNDS = 4
"""Aliases that are bound after their use take a round each."""
_BUILTINS = frozenset(dir(builtins))
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_OWN_NAMESPACE = "__main__.__dict__"


@dataclass(slots=True)
class Program:
    """A program's nodes, and what is bound at its module's level."""

    nodes: list[ast.AST] = field(default_factory=list)
    outside: set[int] = field(default_factory=set)
    """Ids of the expressions that stand in no function and no class."""
    module_names: set[str] = field(default_factory=set)
    """Bound at the module's level in any way but by an import: also by `for`, `:=`, `global`."""
    defined: set[str] = field(default_factory=set)
    """Of those, the functions and classes."""
    bound: set[str] = field(default_factory=set)
    """Bound anywhere, imports apart."""
    callees: set[int] = field(default_factory=set)
    """Ids of the expressions that are called."""
    loaded: set[str] = field(default_factory=set)
    functions: dict[str, list[str]] = field(default_factory=dict)
    """Functions by name, with the names of their positional parameters."""


def read(tree: ast.Module) -> Program:
    """Collect a program's nodes, parents before their children."""
    program = Program()
    level = [(node, True) for node in tree.body]
    while level:
        following: list[tuple[ast.AST, bool]] = []
        for node, outside in level:
            program.nodes.append(node)
            if outside:
                program.outside.add(id(node))
            _bind(program, node, outside=outside)
            inside = isinstance(node, _FUNCTIONS | ast.ClassDef)
            comprehended = isinstance(node, ast.comprehension)
            for child in ast.iter_child_nodes(node):
                local = inside and child not in getattr(node, "decorator_list", ())
                local = local or (comprehended and child is node.target)  # type: ignore[attr-defined]
                following.append((child, outside and not local))
        level = following  # type: ignore[assignment]
    return program


def _bind(program: Program, node: ast.AST, *, outside: bool) -> None:
    names: list[str] = []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        names = [node.name]
        if outside:
            program.defined.add(node.name)
        if isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                    program.functions[node.name] = _parameters(item.args)[1:]
        if not isinstance(node, ast.ClassDef):
            program.functions[node.name] = _parameters(node.args)
    elif isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load):
            program.loaded.add(node.id)
        else:
            names = [node.id]
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        names = [node.name]
    elif isinstance(node, ast.MatchMapping) and node.rest:
        names = [node.rest]
    elif isinstance(node, ast.Global):
        names, outside = node.names, True
    elif isinstance(node, ast.arg):
        program.bound.add(node.arg)
    elif isinstance(node, ast.Call):
        program.callees.add(id(node.func))
    program.bound.update(names)
    if outside:
        program.module_names.update(names)


def _parameters(arguments: ast.arguments) -> list[str]:
    return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]


class Meanings:
    """Resolves expressions to the dotted names they may stand for."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._names: dict[str, frozenset[str]] = {}
        self._stars: list[str] = []
        self.imports: list[tuple[str, str]] = []
        """What import statements bind, and what it is."""
        self.values: dict[str, list[ast.expr]] = defaultdict(list)
        """What assignments bind to each name; also to `.attribute`, `items[]`, and `result()`."""
        self.numbers: set[str] = set()
        """Names that are numbers above 0, or run over a range."""
        self._found: dict[int, frozenset[str]] = {}
        for node in program.nodes:
            self._collect(node)
        order = [node for node in reversed(program.nodes) if isinstance(node, ast.expr)]
        for _ in range(_ROUNDS):
            self._found = {}
            for node in order:
                if found := self._meaning(node):
                    self._found[id(node)] = frozenset(islice(found, _MAX_MEANINGS))
            if not self._follow_aliases():
                break

    def of(self, node: ast.AST) -> frozenset[str]:
        """Return what an expression may stand for; empty if it is nothing imported or built in."""
        return self._found.get(id(node), NONE)

    def _collect(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                self._import(alias.asname or top, alias.name if alias.asname else top)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if alias.name == "*":
                    self._stars = [*self._stars, node.module][:_MAX_MEANINGS]
                else:
                    self._import(alias.asname or alias.name, f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value)
        elif (
            isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr)
            and node.value is not None
        ):
            self._assign(node.target, node.value)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._iterate(node.target, node.iter)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            inner = node.context_expr
            for value in inner.args if isinstance(inner, ast.Call) else [inner]:
                self._assign(node.optional_vars, value)  # contextlib.nullcontext(math)
        elif isinstance(node, _FUNCTIONS):
            if not isinstance(node, ast.Lambda):
                self.values[f"{node.name}()"] += [
                    item.value for item in node.body if isinstance(item, ast.Return) and item.value
                ]
            parameters = _parameters(node.args)
            for name, value in zip(
                reversed(parameters), reversed(node.args.defaults), strict=False
            ):
                self.values[name].append(value)
        elif isinstance(node, ast.Call):
            self._pass(node)

    def _import(self, name: str, meaning: str) -> None:
        self.imports.append((name, meaning))
        self._add(name, frozenset({meaning}))

    def _add(self, name: str, meanings: frozenset[str]) -> bool:
        known = self._names.get(name, NONE)
        if meanings <= known or len(known) >= _MAX_MEANINGS:
            return False
        self._names[name] = frozenset(islice(known | meanings, _MAX_MEANINGS))
        return True

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        pending = [(target, value)]
        while pending:
            target, value = pending.pop()
            if isinstance(target, ast.Name):
                self.values[target.id].append(value)
                if isinstance(value, ast.Lambda):
                    self._program.functions[target.id] = _parameters(value.args)
                    self.values[f"{target.id}()"].append(value.body)
                elif isinstance(value, ast.Dict):
                    self.values[f"{target.id}[]"] += value.values[:_MOST_ITEMS]
                elif isinstance(value, ast.List | ast.Tuple):
                    self.values[f"{target.id}[]"] += value.elts[:_MOST_ITEMS]
                elif isinstance(value, ast.Constant) and _is_number(value.value):
                    self.numbers.add(target.id)
            elif isinstance(target, ast.Attribute):
                self.values[f".{target.attr}"].append(value)
            elif isinstance(target, ast.Starred):
                pending.append((target.value, value))
            elif isinstance(target, ast.Tuple | ast.List) and isinstance(
                value, ast.Tuple | ast.List
            ):
                pending.extend(zip(target.elts, value.elts, strict=False))

    def _iterate(self, target: ast.expr, over: ast.expr) -> None:
        if isinstance(over, ast.Tuple | ast.List | ast.Set):
            for value in over.elts[:_MOST_ITEMS]:
                self._assign(target, value)
        elif (
            isinstance(target, ast.Name)
            and isinstance(over, ast.Call)
            and isinstance(over.func, ast.Name)
            and over.func.id == "range"
        ):
            self.numbers.add(target.id)

    def _pass(self, call: ast.Call) -> None:
        """Bind the parameters of the program's own functions to the arguments of their calls."""
        name = getattr(call.func, "id", None) or getattr(call.func, "attr", None)
        parameters = self._program.functions.get(name or "")
        if isinstance(call.func, ast.Lambda):
            parameters = _parameters(call.func.args)
        if not parameters:
            return
        if isinstance(call.func, ast.Attribute) and parameters[0] == "self":
            parameters = parameters[1:]
        for parameter, value in zip(parameters, call.args, strict=False):
            if isinstance(value, ast.Name | ast.Attribute | ast.Call):
                self.values[parameter].append(value)
        for keyword in call.keywords:
            if keyword.arg in parameters:
                self.values[keyword.arg].append(keyword.value)

    def _follow_aliases(self) -> bool:
        changed = False
        for name, values in self.values.items():
            for value in values:
                meanings = self.of(value)
                if isinstance(value, ast.Name):  # several steps in one round
                    meanings |= self._names.get(value.id, NONE)
                if meanings and self._add(name, meanings):
                    changed = True
        return changed

    def _meaning(self, node: ast.expr) -> frozenset[str]:
        if isinstance(node, ast.Name):
            return self._of_name(node.id)
        if isinstance(node, ast.Attribute):
            bases = self.of(node.value)
            return _joined(bases, node.attr) if bases else self._names.get(f".{node.attr}", NONE)
        if isinstance(node, ast.NamedExpr | ast.Starred | ast.Await):
            return self.of(node.value)
        if isinstance(node, ast.IfExp):
            return self.of(node.body) | self.of(node.orelse)
        if isinstance(node, ast.BoolOp):
            return NONE.union(*(self.of(value) for value in node.values))
        if isinstance(node, ast.Subscript):
            return self._of_item(node)
        if isinstance(node, ast.Call):
            return self._of_call(node)
        return NONE

    def _of_name(self, name: str) -> frozenset[str]:
        found = self._names.get(name, NONE)
        if not found and name not in self._program.bound:
            if name == "__builtins__":
                return frozenset({"builtins"})
            if name in _BUILTINS:
                return frozenset({f"builtins.{name}"})
            return frozenset(f"{module}.{name}" for module in self._stars)
        return found

    def _of_item(self, node: ast.Subscript) -> frozenset[str]:
        key = text_of(node.slice)
        if isinstance(node.value, ast.Tuple | ast.List):
            return NONE.union(*(self.of(value) for value in node.value.elts[:_MAX_MEANINGS]))
        found: set[str] = set()
        if isinstance(node.value, ast.Name):
            found |= self._names.get(f"{node.value.id}[]", NONE)
        for base in self.of(node.value):
            if base == "sys.modules" and key is not None:
                found.add(key)
            elif base.endswith(".__dict__") or base == "builtins":
                found |= _joined(frozenset({base.removesuffix(".__dict__")}), key or "*")
        return frozenset(found)

    def _of_call(self, node: ast.Call) -> frozenset[str]:
        found: set[str] = set()
        if isinstance(node.func, ast.Name):
            found |= self._names.get(f"{node.func.id}()", NONE)
        for function in self.of(node.func):
            first = node.args[0] if node.args else None
            text = None if first is None else text_of(first)
            if function in {
                "builtins.__import__",
                "importlib.import_module",
                "pytest.importorskip",
            }:
                found |= {text} if text else set()
            elif function in {"builtins.getattr", "inspect.getattr_static"} and len(node.args) > 1:
                found |= _joined(self.of(node.args[0]), text_of(node.args[1]) or "*")
            elif function == "builtins.vars" and first is not None:
                found |= _joined(self.of(first), "__dict__")
            elif function == "builtins.globals" or (
                function in {"builtins.vars", "builtins.locals"}
                and first is None
                and id(node) in self._program.outside
            ):
                found.add(_OWN_NAMESPACE)
            elif function.endswith((".__getattribute__", ".__dict__.get", ".__dict__.pop")):
                found |= _joined(frozenset({function.rsplit(".", 2)[0]}), text or "*")
        return frozenset(found)


def _joined(bases: frozenset[str], part: str) -> frozenset[str]:
    return frozenset(f"{b}.{part}" for b in bases if len(b) + len(part) < _MAX_LENGTH)


def _is_number(value: object) -> bool:
    return type(value) is int and value > 0


def text_of(node: ast.AST) -> str | None:
    """Return the text of a constant, also of one in parts (`"ab" + "c"`); None if it is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    parts = list(islice(_constants(node), 33))
    if len(parts) > 32 or any(part is None for part in parts):
        return None
    return "".join(part for part in parts if part is not None) if parts else None


def _constants(node: ast.AST) -> Iterator[str | None]:
    pending = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add):
            pending += [part.right, part.left]
        elif isinstance(part, ast.JoinedStr):
            pending += reversed(part.values)
        else:
            yield (
                part.value
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
                else None
            )
