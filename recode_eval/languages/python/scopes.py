"""Where a program binds names and where it uses them: one walk over its syntax tree.

The walk goes in the order of evaluation and numbers its steps, so that `names` can tell which
bindings are in force at a use. Nothing is resolved here and nothing is executed. The source is
hostile: the walk has a stack of its own instead of recursing with the depth of the tree.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Path = tuple[str, ...]
"""The parts of a dotted name. A relative import gives a path that starts with an empty part."""

MAX_PARTS = 32
"""Longer paths are cut off; real ones have fewer than ten parts."""
MAX_MEANINGS = 16
"""Things that one name may stand for."""


class Block:
    """A run of statements that is executed as a whole, or not (the body of an `if`, for example).

    It covers the steps `start` to `end` of the walk. `loop` is the outermost loop around it in the
    same scope.
    """

    __slots__ = ("end", "loop", "start")

    def __init__(self, start: int, loop: Block | None = None) -> None:
        self.start = start
        self.end = start
        self.loop = loop


@dataclass(slots=True)
class Scope:
    """A scope of Python and the names bound in it."""

    kind: str
    """`module`, `class`, `function` or `comprehension`."""
    parent: Scope | None = None
    root: Block | None = None
    """All of the scope's statements; a comprehension has none."""
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    from_elsewhere: dict[str, list[Binding]] = field(default_factory=dict)
    """Bindings by `global` and `nonlocal`: in force at any time."""
    declared: dict[str, Scope] = field(default_factory=dict)
    """Names that a `global` or `nonlocal` statement gives to another scope."""


class Position(NamedTuple):
    """Where something stands."""

    scope: Scope
    block: Block
    step: int = 0


@dataclass(slots=True, eq=False)
class Binding:
    """One import, assignment, parameter, ... that gives a name its value."""

    place: Position
    aliases: tuple[ast.expr, ...]
    """What the name may be another name of; empty where it is some other value."""
    paths: frozenset[Path] | None
    """None until the aliases are resolved."""


class Collector:
    """Walks the tree in the order of evaluation with a stack of its own."""

    def __init__(self, tree: ast.Module) -> None:
        self.imported: set[Path] = set()
        self.nested_classes: set[str] = set()
        self.chains: list[tuple[ast.expr, Position]] = []
        self.calls: list[tuple[ast.expr, ast.Call | None, Position]] = []
        self.star_modules: list[Path] = []
        self._step = 0
        self._todo: list[Callable[[], None]] = []
        self._handlers: dict[type[ast.AST], Callable[..., None]] = {
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Call: self._call,
            ast.Assign: self._assign,
            ast.AnnAssign: self._annotated,
            ast.AugAssign: self._augmented,
            ast.NamedExpr: self._walrus,
            ast.Import: self._import,
            ast.ImportFrom: self._import_from,
            ast.Global: self._global,
            ast.Nonlocal: self._nonlocal,
            ast.FunctionDef: self._function,
            ast.AsyncFunctionDef: self._function,
            ast.Lambda: self._lambda,
            ast.ClassDef: self._class,
            ast.ListComp: self._comprehension,
            ast.SetComp: self._comprehension,
            ast.GeneratorExp: self._comprehension,
            ast.DictComp: self._comprehension,
            ast.If: self._if,
            ast.For: self._for,
            ast.AsyncFor: self._for,
            ast.While: self._while,
            ast.Try: self._try,
            ast.TryStar: self._try,
            ast.withitem: self._with_item,
            ast.match_case: self._case,
            ast.MatchAs: self._capture,
            ast.MatchStar: self._capture,
            ast.MatchMapping: self._capture,
        }
        root = Block(0)
        self.module = Scope("module", root=root)
        self._later(*self._in_block(root, tree.body, Position(self.module, root)))
        while self._todo:
            self._todo.pop()()

    def _later(self, *actions: Callable[[], None]) -> None:
        self._todo.extend(reversed(actions))

    def _visits(self, nodes: Iterable[ast.AST | None], place: Position) -> list[Callable[[], None]]:
        return [partial(self._visit, node, place) for node in nodes if node is not None]

    def _visit(self, node: ast.AST, place: Position) -> None:
        self._step += 1
        handler = self._handlers.get(type(node))
        if handler is None:
            self._later(*self._visits(ast.iter_child_nodes(node), place))
        else:
            handler(node, place._replace(step=self._step))

    def _in_block(
        self, block: Block, nodes: Iterable[ast.AST], place: Position
    ) -> list[Callable[[], None]]:
        """Return the actions that visit `nodes` as the contents of `block`."""

        def begin() -> None:
            block.start = self._step

        def end() -> None:
            self._step += 1
            block.end = self._step

        return [begin, *self._visits(nodes, place._replace(block=block)), end]

    def _branch(self, nodes: Iterable[ast.AST], place: Position) -> list[Callable[[], None]]:
        return self._in_block(Block(0, place.block.loop), nodes, place)

    # Binding

    def _bind(
        self,
        name: str,
        place: Position,
        aliases: tuple[ast.expr, ...] = (),
        path: Path | None = None,
    ) -> None:
        self._step += 1
        scope = place.scope
        if path is not None:
            paths: frozenset[Path] | None = frozenset({path[:MAX_PARTS]})
        else:
            paths = None if aliases else frozenset()
        binding = Binding(place._replace(step=self._step), aliases, paths)
        if (owner := scope.declared.get(name)) is not None:
            owner.from_elsewhere.setdefault(name, []).append(binding)
        else:
            scope.bindings.setdefault(name, []).append(binding)

    def _bind_target(self, target: ast.expr, value: ast.expr | None, place: Position) -> None:
        """Bind the names in a target; `value` is None where it cannot be told."""
        pairs = [(target, value)]
        while pairs:
            target, value = pairs.pop()
            if isinstance(target, ast.Name):
                self._bind(target.id, place, _alternatives(value))
            elif isinstance(target, ast.Starred):
                pairs.append((target.value, None))
            elif isinstance(target, ast.Tuple | ast.List):
                pairs += [*zip(target.elts, _items(value, target.elts), strict=True)]
            else:
                self._later(*self._visits([target], place))

    # Expressions

    def _name(self, node: ast.Name, place: Position) -> None:
        if isinstance(node.ctx, ast.Load):
            self.chains.append((node, place))

    def _attribute(self, node: ast.Attribute, place: Position) -> None:
        self.chains.append((node, place))
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name):
            self._later(*self._visits([root], place))

    def _call(self, node: ast.Call, place: Position) -> None:
        self.calls.append((node.func, node, place))
        if gotten(node):
            self.chains.append((node, place))
        self._later(*self._visits(ast.iter_child_nodes(node), place))

    def _walrus(self, node: ast.NamedExpr, place: Position) -> None:
        scope = place.scope
        while scope.kind == "comprehension" and scope.parent is not None:
            scope = scope.parent
        # It may follow an `and`: a block without any steps rules nothing out.
        owner = Position(scope, Block(0, place.block.loop))
        self._later(
            *self._visits([node.value], place),
            partial(self._bind_target, node.target, node.value, owner),
        )

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, place: Position
    ) -> None:
        inner = place._replace(scope=Scope("comprehension", place.scope))
        actions: list[Callable[[], None]] = []
        for number, loop in enumerate(node.generators):
            actions += self._visits([loop.iter], inner if number else place)
            actions.append(partial(self._bind_target, loop.target, None, inner))
            actions += self._visits(loop.ifs, inner)
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._later(*actions, *self._visits(results, inner))

    # Statements

    def _assign(self, node: ast.Assign, place: Position) -> None:
        def bind() -> None:
            for target in node.targets:
                self._bind_target(target, node.value, place)

        self._later(*self._visits([node.value], place), bind)

    def _annotated(self, node: ast.AnnAssign, place: Position) -> None:
        actions = self._visits([node.annotation, node.value], place)
        if node.value is not None or not isinstance(node.target, ast.Name):
            actions.append(partial(self._bind_target, node.target, node.value, place))
        self._later(*actions)

    def _augmented(self, node: ast.AugAssign, place: Position) -> None:
        self._later(
            *self._visits([node.value], place),
            partial(self._bind_target, node.target, None, place),
        )

    def _import(self, node: ast.Import, place: Position) -> None:
        for alias in node.names:
            path = tuple(alias.name.split("."))
            self.imported.add(path[:MAX_PARTS])
            if alias.asname:
                self._bind(alias.asname, place, path=path)
            else:
                self._bind(path[0], place, path=path[:1])

    def _import_from(self, node: ast.ImportFrom, place: Position) -> None:
        module = tuple(node.module.split(".")) if node.module else ()
        if node.level:
            module = ("", *module)
        for alias in node.names:
            if alias.name == "*":
                self.imported.add(module[:MAX_PARTS])
                if len(self.star_modules) < MAX_MEANINGS:
                    self.star_modules.append(module)
            else:
                path = (*module, alias.name)
                self.imported.add(path[:MAX_PARTS])
                self._bind(alias.asname or alias.name, place, path=path)

    def _global(self, node: ast.Global, place: Position) -> None:
        if place.scope is not self.module:
            place.scope.declared.update(dict.fromkeys(node.names, self.module))

    def _nonlocal(self, node: ast.Nonlocal, place: Position) -> None:
        outer = place.scope.parent
        while outer is not None and outer.kind != "function":
            outer = outer.parent
        if outer is not None:
            place.scope.declared.update(dict.fromkeys(node.names, outer))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, place: Position) -> None:
        self._decorators(node, place)
        outside: list[ast.AST | None] = [*node.decorator_list, node.args, node.returns]
        block = Block(0)
        inner = Position(Scope("function", place.scope, block), block)
        self._later(
            *self._visits(outside, place),
            partial(self._bind, node.name, place),
            partial(self._bind_parameters, node.args, inner),
            *self._in_block(block, node.body, inner),
        )

    def _lambda(self, node: ast.Lambda, place: Position) -> None:
        block = Block(0)
        inner = Position(Scope("function", place.scope, block), block)
        self._later(
            *self._visits([node.args], place),
            partial(self._bind_parameters, node.args, inner),
            *self._in_block(block, [node.body], inner),
        )

    def _bind_parameters(self, arguments: ast.arguments, inner: Position) -> None:
        # The function's block begins after the parameters; they hold from its beginning on.
        for argument in (
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            arguments.vararg,
            arguments.kwarg,
        ):
            if argument is not None:
                self._bind(argument.arg, inner)

    def _class(self, node: ast.ClassDef, place: Position) -> None:
        self._decorators(node, place)
        if place.scope.kind == "class":
            self.nested_classes.add(node.name)
        block = Block(0)
        inner = Position(Scope("class", place.scope, block), block)
        self._later(
            *self._visits([*node.decorator_list, *node.bases, *node.keywords], place),
            *self._in_block(block, node.body, inner),
            partial(self._bind, node.name, place),
        )

    def _decorators(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, place: Position
    ) -> None:
        """A bare decorator is a call with the decorated thing as its argument."""
        self.calls += [(expression, None, place) for expression in node.decorator_list]

    def _if(self, node: ast.If, place: Position) -> None:
        self._later(
            *self._visits([node.test], place),
            *self._branch(node.body, place),
            *self._branch(node.orelse, place),
        )

    def _for(self, node: ast.For | ast.AsyncFor, place: Position) -> None:
        loop = _loop(place)
        begin, *body = self._in_block(loop, node.body, place)
        inside = place._replace(block=loop)
        self._later(
            *self._visits([node.iter], place),
            begin,
            partial(self._bind_target, node.target, None, inside),
            *body,
            *self._branch(node.orelse, place),
        )

    def _while(self, node: ast.While, place: Position) -> None:
        self._later(
            *self._in_block(_loop(place), [node.test, *node.body], place),
            *self._branch(node.orelse, place),
        )

    def _try(self, node: ast.Try | ast.TryStar, place: Position) -> None:
        actions = self._branch(node.body, place)
        for handler in node.handlers:
            block = Block(0, place.block.loop)
            inside = place._replace(block=block)
            begin, *body = self._in_block(block, handler.body, place)
            actions += [*self._visits([handler.type], place), begin]
            if handler.name:
                actions.append(partial(self._bind, handler.name, inside))
            actions += body
        actions += self._branch(node.orelse, place)
        self._later(*actions, *self._visits(node.finalbody, place))

    def _with_item(self, node: ast.withitem, place: Position) -> None:
        actions = self._visits([node.context_expr], place)
        if node.optional_vars is not None:
            actions.append(partial(self._bind_target, node.optional_vars, None, place))
        self._later(*actions)

    def _case(self, node: ast.match_case, place: Position) -> None:
        inside: list[ast.AST] = [node.pattern, *([node.guard] if node.guard else []), *node.body]
        self._later(*self._branch(inside, place))

    def _capture(
        self, node: ast.MatchAs | ast.MatchStar | ast.MatchMapping, place: Position
    ) -> None:
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        if name:
            self._bind(name, place)
        self._later(*self._visits(ast.iter_child_nodes(node), place))


def _loop(place: Position) -> Block:
    """Return the block of a loop: what is bound late in its body is in force early in the next."""
    loop = Block(0, place.block.loop)
    loop.loop = loop.loop or loop
    return loop


def _items(value: ast.expr | None, targets: list[ast.expr]) -> list[ast.expr | None]:
    """Return what each target of an unpacking gets, as far as it can be told."""
    items = value.elts if isinstance(value, ast.Tuple | ast.List) else []
    if len(items) != len(targets) or any(isinstance(i, ast.Starred) for i in (*targets, *items)):
        return [None] * len(targets)
    return [*items]


def _alternatives(value: ast.expr | None) -> tuple[ast.expr, ...]:
    """Return the expressions in `value` that may give another name to something imported."""
    found: list[ast.expr] = []
    pending = [value]
    while pending and len(found) < MAX_MEANINGS:
        node = pending.pop()
        if isinstance(node, ast.IfExp):
            pending += [node.orelse, node.body]
        elif isinstance(node, ast.BoolOp):
            pending += node.values
        elif isinstance(node, ast.NamedExpr):
            pending.append(node.value)
        elif isinstance(node, ast.Name | ast.Attribute | ast.Call):
            found.append(node)
    return tuple(found)


def gotten(node: ast.expr) -> tuple[ast.expr, str] | None:
    """Return object and name of a `getattr` with a literal name (and perhaps a default)."""
    match node:
        case ast.Call(ast.Name("getattr"), [of, ast.Constant(str(name)), *default], []) if len(
            default
        ) < 2 and not isinstance(of, ast.Starred):
            return of, name
    return None
