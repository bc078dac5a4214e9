"""Which of some known uses of an API occur in a program: patterns over its syntax tree.

A pattern is a Python expression: `numpy.in1d` (through any alias, and whatever lies below it),
`pandas.read_csv(date_parser=...)`, `_.applymap` (an attribute of any object),
`_.resample("M")`, or `class Config` (a class statement nested in another class). `_` is any object,
`...` any value; see docs/scoring.md. Text in strings and comments never counts, and nothing is run.
"""

from __future__ import annotations

import ast
import keyword
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from recode_eval.languages.python.names import Call, Usage, usage
from recode_eval.languages.python.scopes import MAX_PARTS, Path
from recode_eval.languages.python.syntax import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PATTERN_CHARS = 1_000
_ANY = "_"


@dataclass(frozen=True, slots=True)
class _Arguments:
    """What a call must be given at least."""

    positional: tuple[ast.expr, ...]
    keywords: tuple[tuple[str, ast.expr], ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A use of an API; patterns are equal if their texts are."""

    text: str
    path: Path = field(compare=False, repr=False)
    """Parts of the dotted name; behind `_.`, the attributes; of a class, its name."""
    kind: str = field(compare=False, repr=False)
    """`name`, `attribute` (of any object) or `class`."""
    arguments: _Arguments | None = field(default=None, compare=False, repr=False)
    """None if no call is asked for."""

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read a pattern. Raises `ValueError` naming what is wrong with it."""
        if len(text) > MAX_PATTERN_CHARS:
            raise ValueError(f"a pattern has at most {MAX_PATTERN_CHARS} characters")
        words = text.split()
        if words[:1] == ["class"]:
            if len(words) != 2 or not words[1].isidentifier() or keyword.iskeyword(words[1]):
                raise ValueError(f"{text!r}: expected `class` and one name, nothing else")
            return cls(text, (words[1],), "class")
        tree = parse(text.strip())
        match tree.body if tree else []:
            case [ast.Expr(expression)]:
                call = expression if isinstance(expression, ast.Call) else None
            case _:
                raise ValueError(f"{text!r} is not one Python expression")
        path = _parts(call.func if call else expression, text)
        arguments = _arguments(call, text) if call else None
        if path[0] != _ANY:
            return cls(text, path, "name", arguments)
        if len(path) == 1:
            raise ValueError(
                f"{text!r}: `_` alone matches anything; name an attribute, as in `_.append`"
            )
        return cls(text, path[1:], "attribute", arguments)


@lru_cache(maxsize=4096)
def parsed_patterns(texts: tuple[str, ...]) -> tuple[Pattern, ...]:
    """Return the patterns that these texts mean; raises `ValueError`."""
    return tuple(Pattern.parse(text) for text in texts)


def matches(pattern: Pattern, code: str) -> bool:
    """Return whether the use occurs in `code`; False where the code does not parse."""
    return bool(uses((pattern,), code))


def uses(patterns: Iterable[Pattern], code: str) -> tuple[Pattern, ...]:
    """Return the patterns that occur in `code`, in the given order, parsing it once.

    Names that `code` itself does not import mean nothing: where a set-up imports for it, put that
    in front. Never raises: of code that does not parse (or is longer than
    `syntax.MAX_CODE_CHARS`), no pattern is found.
    """
    wanted = tuple(patterns)
    tree = parse(code) if wanted else None
    if tree is None:
        return ()
    found = usage(tree)
    return tuple(pattern for pattern in wanted if _occurs(pattern, found))


def _occurs(pattern: Pattern, found: Usage) -> bool:
    path = pattern.path
    if pattern.kind == "class":
        return path[0] in found.nested_classes
    if pattern.arguments is not None:
        arguments = pattern.arguments
        return any(_is_called(pattern, call) and _is_given(arguments, call) for call in found.calls)
    if pattern.kind == "name":
        return any(mention[: len(path)] == path for mention in found.mentions)
    return any(_holds(chain, path) for chain in found.attributes)


def _is_called(pattern: Pattern, call: Call) -> bool:
    if pattern.kind == "name":
        return pattern.path in call.paths
    return call.attributes[-len(pattern.path) :] == pattern.path


def _is_given(arguments: _Arguments, call: Call) -> bool:
    if len(call.positional) < len(arguments.positional):
        return False
    given = zip(arguments.positional, call.positional, strict=False)
    return all(_fits(wanted, value) for wanted, value in given) and all(
        any(name == key and _fits(wanted, value) for key, value in call.keywords)
        for name, wanted in arguments.keywords
    )


def _holds(chain: Path, path: Path) -> bool:
    """Whether `path` occurs in `chain` without a gap."""
    if len(path) == 1:
        return path[0] in chain
    return any(chain[i : i + len(path)] == path for i in range(len(chain) - len(path) + 1))


def _fits(wanted: ast.expr, value: ast.expr | None) -> bool:
    """Whether an argument is the literal; recurses as deep as the pattern, which is short."""
    match wanted, value:
        case ast.Constant(value=literal), _ if literal is ...:
            return True
        case ast.Constant(value=literal), ast.Constant(value=other):
            return type(literal) is type(other) and bool(literal == other)  # 1 is not True
        case ast.UnaryOp(op=sign, operand=number), ast.UnaryOp(op=other_sign, operand=other):
            return type(sign) is type(other_sign) and _fits(number, other)
        case (ast.Tuple(elts=items), ast.Tuple(elts=others)) | (
            ast.List(elts=items),
            ast.List(elts=others),
        ):
            return len(items) == len(others) and all(map(_fits, items, others))
    return False


def _parts(node: ast.expr, text: str) -> Path:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise ValueError(f"{text!r}: expected a dotted name, or `_.` and a name")  # noqa: TRY004
    if _ANY in parts:
        raise ValueError(f"{text!r}: `_` stands for an object and must come first")
    if len(parts) >= MAX_PARTS:
        raise ValueError(f"{text!r}: a name has fewer than {MAX_PARTS} parts")
    return (node.id, *reversed(parts))


def _arguments(call: ast.Call, text: str) -> _Arguments:
    keywords: dict[str, ast.expr] = {}
    for item in call.keywords:
        if item.arg is None:
            raise ValueError(f"{text!r}: `**` cannot be matched; name the keywords")
        if item.arg in keywords:
            raise ValueError(f"{text!r}: the keyword {item.arg} occurs twice")
        keywords[item.arg] = item.value
    for value in (*call.args, *keywords.values()):
        if not _is_literal(value):
            raise ValueError(
                f"{text!r}: an argument is a literal, or `...` for any value, "
                f"not {ast.unparse(value)}"
            )
    return _Arguments(tuple(call.args), tuple(keywords.items()))


def _is_literal(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.List):
        return all(map(_is_literal, node.elts))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        node = node.operand
        return isinstance(node, ast.Constant) and type(node.value) in {int, float, complex}
    return isinstance(node, ast.Constant)
