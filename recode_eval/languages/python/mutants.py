"""Small changes to a program that may break it, as slips do (mutation testing).

A mutant replaces a few characters and always gives a program again. Whether the result is wrong is
for the tests to say: some mutants do the same as before.
"""

from __future__ import annotations

import ast
import itertools
from typing import TYPE_CHECKING

from recode_eval.languages.python.source import Edit, Function, Source, is_docstring

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_SWAPPED: dict[type[ast.AST], tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "%"),
    ast.Mod: ("%", "//"),
    ast.Pow: ("**", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}
_REMOVABLE = (
    ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return, ast.Raise, ast.Delete,
    ast.Break, ast.Continue, ast.Assert,
)  # fmt: skip

Change = tuple[Edit, ...]


def mutants(code: str, count: int, rng: random.Random) -> list[str]:
    """Return up to `count` different programs, each with one change; the sorts take turns."""
    source = Source(code)
    sorts = [changes for changes in _changes(source).values() if changes]
    rng.shuffle(sorts)
    for changes in sorts:
        rng.shuffle(changes)
    found: list[str] = []
    for change in itertools.chain.from_iterable(itertools.zip_longest(*sorts)):
        if len(found) == count:
            break
        mutant = source.edited(change) if change else None
        if mutant is not None and ast.dump(ast.parse(mutant)) != ast.dump(source.tree):
            found += [mutant] if mutant not in found else []
    return found


def _changes(source: Source) -> dict[str, list[Change]]:
    """Return all changes by their sort."""
    changes: dict[str, list[Change]] = {
        "operator": [],
        "constant": [],
        "argument": [],
        "condition": [],
        "statement": [],
    }
    unplaced = source.in_fstrings()
    for node in ast.walk(source.tree):
        if node in unplaced:
            continue
        match node:
            case ast.Compare():
                operands = [node.left, *node.comparators]
                for op, (left, right) in zip(node.ops, itertools.pairwise(operands), strict=True):
                    changes["operator"] += _swap(source, op, left, right)
            case ast.BinOp():
                changes["operator"] += _swap(source, node.op, node.left, node.right)
            case ast.BoolOp():
                for left, right in itertools.pairwise(node.values):
                    changes["operator"] += _swap(source, node.op, left, right)
            case ast.Constant():
                changes["constant"] += _other_constants(source, node)
            case ast.Call():
                changes["argument"] += _other_arguments(source, node)
            case ast.If() | ast.While() | ast.IfExp():
                text = f"not ({source.text(node.test)})"
                changes["condition"].append((Edit(*source.span(node.test), text),))
        if isinstance(node, Function):
            changes["statement"] += _without_a_statement(source, node)
    return changes


def _swap(source: Source, op: ast.AST, left: ast.expr, right: ast.expr) -> Iterator[Change]:
    old, new = _SWAPPED.get(type(op), ("", ""))
    start, end = source.between(left, right)
    gap = source.gap(start, end)
    # Brackets of the operands may stand in there too, and a comment.
    if old and gap.count(old) == 1:
        yield (Edit(start, end, gap.replace(old, new)),)


def _other_constants(source: Source, node: ast.Constant) -> Iterator[Change]:
    place = source.span(node)
    text = source.text(node)
    match node.value:
        case bool(value):
            yield (Edit(*place, str(not value)),)
        case int(value):
            yield (Edit(*place, str(value + 1)),)
            yield (Edit(*place, str(value - 1) if value else "2"),)
        case float(value):
            yield (Edit(*place, repr(value * 2 or 1.0)),)
        case str(value) if len(value) > 1 and text[0] == text[-1] and text.count(text[0]) == 2:
            # Remove the last character that is not an escape.
            if text[-2].isalnum() and "\\" not in text:
                yield (Edit(*place, text[:-2] + text[-1]),)


def _other_arguments(source: Source, node: ast.Call) -> Iterator[Change]:
    given: list[ast.AST] = sorted([*node.args, *node.keywords], key=source.span)
    for number, argument in enumerate(given):
        start, end = source.span(argument)
        if number:
            start = source.span(given[number - 1])[1]
        elif len(given) > 1:
            end = source.span(given[1])[0]
        if isinstance(argument, ast.GeneratorExp) and len(given) == 1:
            continue
        yield (Edit(start, end, ""),)
    plain = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
    for left, right in itertools.pairwise(plain):
        yield (
            Edit(*source.span(left), source.text(right)),
            Edit(*source.span(right), source.text(left)),
        )


def _without_a_statement(source: Source, function: Function) -> Iterator[Change]:
    for node in ast.walk(function):
        if isinstance(node, _REMOVABLE) and not is_docstring(node):
            yield (Edit(*source.span(node), "pass"),)
