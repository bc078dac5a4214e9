"""Small changes to a program that may break it, as slips do; and answers that migrate in part.

A mutation replaces a few characters and always gives a program again. Whether the result is wrong
is for the tests to say: some mutants do the same as before.
"""

from __future__ import annotations

import ast
import difflib
import itertools
from typing import TYPE_CHECKING

from recode_eval.languages.python.api_usage import Pattern, uses
from recode_eval.languages.python.syntax import parses
from validity.source import Edit, Function, Source, is_docstring

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Sequence

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


def with_old_api(
    old_use: Sequence[str], new_use: Sequence[str], old_code: str, new_code: str
) -> list[str]:
    """Return the new code with a use of the old API put back; empty if it cannot be put back.

    A name of `new_use` is replaced by one of `old_use`, or an argument that `old_use` names is
    written again. Each program holds a use of the old API, by its patterns.
    """
    old, new = [Pattern.parse(text) for text in old_use], [Pattern.parse(text) for text in new_use]
    source, stale = Source(new_code), Source(old_code)
    changes: list[Change] = []
    for before, after in itertools.product(old, new):
        if "class" in {before.kind, after.kind}:
            continue
        changes.append(tuple(_rename_uses(source, after.path[-1], before.path[-1])))
        for gone, come in itertools.product(_keywords(before), _keywords(after)):
            if gone not in _keywords(after) and come not in _keywords(before):
                changes.append(tuple(_rename_keyword(source, after.path[-1], come, gone)))
    for before in old:
        for gone in _keywords(before):
            changes.append(tuple(_write_keyword(source, stale, before.path[-1], gone)))
    programs = (source.edited(set(change)) for change in changes if change)
    return [
        code
        for code in dict.fromkeys(programs)
        if code is not None and code != new_code and uses(old, code)
    ]


def _keywords(pattern: Pattern) -> list[str]:
    return [name for name, _ in pattern.arguments.keywords] if pattern.arguments else []


def _rename_uses(source: Source, name: str, other: str) -> Iterator[Edit]:
    """Replace an attribute, or a name imported from somewhere, wherever it stands."""
    if name == other:
        return
    unplaced = source.in_fstrings()
    imported = False
    for node in ast.walk(source.tree):
        if node in unplaced:
            continue
        match node:
            case ast.Attribute() if node.attr == name:
                end = source.span(node)[1]
                yield Edit(end - len(name.encode()), end, other)
            case ast.alias() if node.name == name:
                start = source.span(node)[0]
                imported = imported or node.asname is None
                yield Edit(start, start + len(name.encode()), other)
    if imported:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Name) and node.id == name and node not in unplaced:
                yield Edit(*source.span(node), other)


def _calls(source: Source, name: str) -> Iterator[ast.Call]:
    unplaced = source.in_fstrings()
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=called) | ast.Name(id=called)):
                if called == name and node not in unplaced:
                    yield node


def _rename_keyword(source: Source, function: str, name: str, other: str) -> Iterator[Edit]:
    for call in _calls(source, function):
        for item in call.keywords:
            if item.arg == name:
                start = source.span(item)[0]
                yield Edit(start, start + len(name.encode()), other)


def _write_keyword(source: Source, stale: Source, function: str, name: str) -> Iterator[Edit]:
    values = [
        stale.text(item.value)
        for call in _calls(stale, function)
        for item in call.keywords
        if item.arg == name
    ]
    for call in _calls(source, function):
        given = sorted([*call.args, *call.keywords], key=source.span)
        if values and given and name not in {item.arg for item in call.keywords}:
            end = source.span(given[-1])[1]
            yield Edit(end, end, f", {name}={values[0]}")


def migrated_in_part(old_code: str, new_code: str) -> list[str]:
    """Return the new code with one of its changed passages as in the old code; none if it has one.

    Passages are groups of lines, as `difflib` finds them.
    """
    old, new = old_code.splitlines(keepends=True), new_code.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, new, old, autojunk=False)
    changed = [step for step in matcher.get_opcodes() if step[0] != "equal"]
    if len(changed) < 2:
        return []
    found = ("".join(new[:a] + old[c:d] + new[b:]) for _, a, b, c, d in changed)
    return _programs(found, {old_code, new_code})


def _programs(found: Iterable[str], known: set[str]) -> list[str]:
    known_trees = {ast.dump(ast.parse(code)) for code in known}
    return [
        code
        for code in dict.fromkeys(found)
        if parses(code) and ast.dump(ast.parse(code)) not in known_trees
    ]


def cut_off(code: str, rng: random.Random) -> str | None:
    """Return the program without its end, as at a token limit, so that it does not parse."""
    places = list(range(len(code) * 6 // 10, len(code)))
    rng.shuffle(places)
    return next((code[:place] for place in places if not parses(code[:place])), None)
