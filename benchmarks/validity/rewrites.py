"""Rewrites of a program that should not change what it does: other names, layout, order, remarks.

Each takes the program, a random generator and the words that its tests use, and returns another
program or None where it has nothing to change. That the meaning is kept is an intention, not a
claim: libraries may look at names and docstrings. The study executes every result.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from recode_eval.languages.python.source import Edit, Function, Source, is_docstring

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Sequence

_NAMES = (
    "value", "item", "entry", "record", "current", "element", "payload", "subject", "content",
    "detail", "piece", "portion", "outcome", "answer", "gathered", "material", "source_data",
    "given_value", "working", "first_part", "second_part", "candidate", "holder", "packed",
    "figure", "amount_seen", "batch_part", "probe", "sample_part", "reading", "marker", "stage",
    "bucket",
)  # fmt: skip
_COMMENTS = (
    "# Prepare what the next line needs.",
    "# This is the part that matters.",
    "# Same as before.",
    "# Nothing else to do here.",
    "# NOTE: the order of these steps is on purpose",
)
_HELPERS = {
    "_as_text": '(values):\n    return ", ".join(str(value) for value in values)\n',
    "_limited": "(value, low, high):\n    return max(low, min(value, high))\n",
    "_grouped": "(pairs):\n    result = {}\n    for key, value in pairs:\n"
    "        result.setdefault(key, []).append(value)\n    return result\n",
    "_in_parts": "(values, size):\n    starts = range(0, len(values), size)\n"
    "    return [values[start : start + size] for start in starts]\n",
}
"""Name -> the rest of a function."""
_SEES_NAMES = frozenset({"locals", "globals", "vars", "eval", "exec", "dir"})


class Rewrite(Protocol):
    """A rewrite."""

    def __call__(self, code: str, rng: random.Random, tested: frozenset[str]) -> str | None:
        """Return the rewritten program; None where there is nothing to rewrite."""
        ...


def renamed(code: str, rng: random.Random, tested: frozenset[str]) -> str | None:
    """Rename local variables and parameters that neither tests, strings nor keywords name."""
    source = Source(code)
    names = sorted({name for f in source.functions() for name in _renameable(source, f, tested)})
    used = source.words | tested | set(dir(builtins))
    fresh = [name for name in _NAMES if name not in used]
    rng.shuffle(fresh)
    fresh += [f"local_{number}" for number in range(max(0, len(names) - len(fresh)))]
    mapping = dict(zip(names, fresh, strict=False))
    edits: list[Edit] = []
    inside = source.in_fstrings()
    renamer = _Renamer(source, tested, mapping)
    expected = ast.dump(renamer.visit(Source(code).tree))
    for function in source.functions():
        own = {name: mapping[name] for name in _renameable(source, function, tested)}
        edits += _renaming(source, function, own, inside)
    result = source.edited(edits) if edits else None
    # An edit in the wrong place (there is none known) must not pass for a rewrite.
    return result if result is not None and ast.dump(ast.parse(result)) == expected else None


class _Renamer(ast.NodeTransformer):
    """Renames in the tree what `_renaming` renames in the text."""

    def __init__(
        self,
        source: Source,
        tested: frozenset[str],
        mapping: dict[str, str],
        *,
        inner: bool = False,
    ) -> None:
        self._source, self._tested, self._mapping, self._inner = source, tested, mapping, inner

    def visit_FunctionDef(self, node: Function) -> ast.AST:
        if self._inner:
            return self.generic_visit(node)
        own = {name: self._mapping[name] for name in _renameable(self._source, node, self._tested)}
        return _Renamer(self._source, self._tested, own, inner=True).generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if self._inner:
            node.id = self._mapping.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        if self._inner:
            node.arg = self._mapping.get(node.arg, node.arg)
        return self.generic_visit(node)


def _renaming(
    source: Source, function: Function, names: dict[str, str], inside: frozenset[ast.AST]
) -> Iterator[Edit]:
    for node in ast.walk(function):
        if node in inside:
            continue
        if isinstance(node, ast.JoinedStr):
            if any(isinstance(n, ast.Name) and n.id in names for n in ast.walk(node)):
                copy = ast.parse(ast.unparse(node), mode="eval").body
                for inner in ast.walk(copy):
                    if isinstance(inner, ast.Name):
                        inner.id = names.get(inner.id, inner.id)
                yield Edit(*source.span(node), ast.unparse(copy))
        elif isinstance(node, ast.Name) and node.id in names:
            yield Edit(*source.span(node), names[node.id])
        elif isinstance(node, ast.arg) and node.arg in names:
            start = source.span(node)[0]
            yield Edit(start, start + len(node.arg.encode()), names[node.arg])


def _renameable(source: Source, function: Function, tested: frozenset[str]) -> frozenset[str]:
    """Return names that mean a local variable or parameter wherever they stand in the function.

    They are bound in it by assignment or as a parameter only, and not by the module; so no scope
    has to be looked at: whatever has such a name in there belongs together.
    """
    nodes = [node for node in ast.walk(function) if node is not function]
    if any(
        isinstance(node, ast.ClassDef | ast.Global | ast.Nonlocal)
        or (isinstance(node, ast.Name) and node.id in _SEES_NAMES)
        for node in nodes
    ):
        return frozenset()
    bound: set[str] = set()
    fixed: set[str] = {"self", "cls", "_", *dir(builtins), *tested, *source.string_words}
    fixed |= source.module_names
    for node in nodes:
        match node:
            case ast.Name(ctx=ast.Store()):
                bound.add(node.id)
            case ast.arg():
                bound.add(node.arg)
            case ast.alias():
                fixed.add((node.asname or node.name).partition(".")[0])
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                fixed.add(name)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                fixed.add(name)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                fixed.add(node.name)
                fixed.update(_parameters(node) if node.decorator_list else ())
    fixed.update(_parameters(function) if function.decorator_list else ())
    fixed |= source.keywords
    fixed.update(_names(_evaluated_outside(function)))
    return frozenset(name for name in bound - fixed if not name.startswith("__"))


def _parameters(function: Function) -> set[str]:
    return {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}


def _evaluated_outside(function: Function) -> list[ast.AST]:
    """Return what is evaluated where the function is defined, not where it runs."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    parts = [*function.decorator_list, *arguments.defaults, *arguments.kw_defaults]
    parts += [function.returns, *(argument.annotation for argument in every)]
    return [part for part in parts if part is not None]


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}


def reformatted(code: str, rng: random.Random, tested: frozenset[str]) -> str | None:
    """Lay the program out as `ast.unparse` does; comments go."""
    del rng, tested
    result = ast.unparse(Source(code).tree)
    return result if result != code.rstrip() else None


def commented(code: str, rng: random.Random, tested: frozenset[str]) -> str | None:
    """Put comments before some statements of the functions."""
    del tested
    source = Source(code)
    places = [
        (span[0], source.gap(span[0], source.span(node)[0]))
        for function in source.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.stmt) and not isinstance(node, Function | ast.ClassDef)
        if not is_docstring(node) and (span := source.line_span(node))
    ]
    chosen = rng.sample(places, k=min(len(places), max(2, len(places) // 3)))
    return source.edited(
        Edit(at, at, f"{indent}{rng.choice(_COMMENTS)}\n") for at, indent in set(chosen)
    ) if chosen else None  # fmt: skip


def documented(code: str, rng: random.Random, tested: frozenset[str]) -> str | None:
    """Give every function a docstring that has none."""
    del tested
    source = Source(code)
    edits = []
    for function in source.functions():
        first = function.body[0]
        span = source.line_span(first)
        if is_docstring(first) or span is None:
            continue
        indent = source.gap(span[0], source.span(first)[0])
        verb = rng.choice(("Do the work of", "Take care of", "Serve", "Handle"))
        words = function.name.strip("_").replace("_", " ")
        edits.append(Edit(span[0], span[0], f'{indent}"""{verb} {words}."""\n'))
    return source.edited(edits) if edits else None


def helper(code: str, rng: random.Random, tested: frozenset[str]) -> str | None:
    """Add an uncalled function after the imports."""
    source = Source(code)
    free = [name for name in _HELPERS if name not in source.words | tested]
    body = source.tree.body
    place = next(
        (n for n in body if not isinstance(n, ast.Import | ast.ImportFrom) and not is_docstring(n)),
        None,
    )
    if not free or place is None:
        return None
    first = min([place, *getattr(place, "decorator_list", [])], key=lambda node: node.lineno)
    # The "@" of a decorator stands before its node.
    start = source.data.rfind(b"\n", 0, source.span(first)[0]) + 1
    name = rng.choice(free)
    return source.edited([Edit(start, start, f"def {name}{_HELPERS[name]}\n\n")])


def reordered(code: str, rng: random.Random, tested: frozenset[str]) -> str | None:
    """Shuffle imports, and neighbouring functions whose definitions do not need each other."""
    del tested
    source = Source(code)
    edits: list[Edit] = []
    bodies = [source.tree.body]
    bodies += [node.body for node in source.tree.body if isinstance(node, ast.ClassDef)]
    for body in bodies:
        for run in _runs(source, body):
            edits += _shuffled(source, run, rng)
    result = source.edited(edits) if edits else None
    return result if result != code else None


def _runs(source: Source, body: Sequence[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """Yield groups of neighbours of one sort that may stand in any order."""
    run: list[ast.stmt] = []
    sort = None
    for node in [*body, None]:
        kind = _movable(source, node) if node is not None else None
        if kind is None or kind != sort:
            if len(run) > 1 and _independent(run):
                yield run
            run, sort = [], kind
        if kind is not None and node is not None:
            run.append(node)


def _movable(source: Source, node: ast.stmt) -> str | None:
    if source.line_span(node) is None:
        return None
    match node:
        case ast.ImportFrom(module="__future__"):
            return None
        case ast.Import() | ast.ImportFrom():
            return "import"
        case ast.FunctionDef() | ast.AsyncFunctionDef() if not node.decorator_list:
            return "function"
    return None


def _independent(run: Sequence[ast.stmt]) -> bool:
    if not isinstance(run[0], Function):
        return True
    functions = [node for node in run if isinstance(node, Function)]
    names = Counter(node.name for node in functions)
    needed = {name for node in functions for name in _names(_evaluated_outside(node))}
    return max(names.values()) == 1 and not needed & set(names)


def _shuffled(source: Source, run: Sequence[ast.stmt], rng: random.Random) -> Iterator[Edit]:
    order = list(range(len(run)))
    while order == sorted(order):
        rng.shuffle(order)
    spans = [source.line_span(node) for node in run]
    texts = [source.gap(*span).rstrip("\n") for span in spans if span]
    for place, taken in enumerate(order):
        span = spans[place]
        assert span is not None
        end = "\n" if source.gap(*span).endswith("\n") else ""
        yield Edit(*span, texts[taken] + end)


REWRITES: dict[str, Rewrite] = {
    "renamed": renamed,
    "reformatted": reformatted,
    "commented": commented,
    "documented": documented,
    "reordered": reordered,
    "helper": helper,
}


def rewritten(code: str, rng: random.Random, tested: frozenset[str]) -> str | None:
    """Apply all rewrites: the program as another person might have written it."""
    result = code
    for name in ("reformatted", "renamed", "reordered", "documented", "helper", "commented"):
        result = REWRITES[name](result, rng, tested) or result
    return result if result != code else None
