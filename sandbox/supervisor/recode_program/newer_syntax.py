"""Tell an answer that is no Python from one in a Python newer than this interpreter.

Nothing here knows the grammar. What a later Python added is written in an older way, one version
after the other, and parsed by this interpreter: the version whose additions had to go is the one
that the source needs. So a source with another error besides is never said to need a version.
"""

from __future__ import annotations

import ast
import re
import sys
from typing import Callable, NamedTuple, Tuple

Version = Tuple[int, int]
_LITERAL = re.compile(r"""([A-Za-z]{0,2})('''|\"\"\"|'|")""")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_MARK = "\ue000"
"""Stands around the number of a literal that was taken out; private use, so in no other name."""
_MARKED = re.compile(_MARK + r"(\d+)" + _MARK)


class _Literal(NamedTuple):
    """A literal of text: its source, its prefix, and the expressions in it."""

    text: str
    prefix: str
    expressions: list[str]

    def since(self) -> Version:
        """The Python that reads it for certain, whatever quotes its expressions have."""
        return (3, 14) if "t" in self.prefix else (3, 12) if "f" in self.prefix else (3, 0)


def note(source: str) -> bytes:
    """What to add to the message of a `SyntaxError`: nothing, or which Python the source needs.

    >>> note("def f(:")
    b''
    """
    try:
        version = needed(source)
    except Exception:  # noqa: BLE001 - hostile text; the message stands without it
        version = None
    return (
        b""
        if version is None
        else b" (needs Python %d.%d, this is %d.%d)"
        % (
            *version,
            *sys.version_info[:2],
        )
    )


def needed(source: str, than: Version = sys.version_info[:2]) -> Version | None:
    """The first version after `than` that parses the source; None if none is known to.

    Raises:
        ValueError, RecursionError: the text cannot be taken apart.
    """
    if _MARK in source or _parses(source):
        return None
    code, literals = _taken_apart(source)
    for version, rewrite in _ADDITIONS:
        if version > than:
            code = rewrite(code)
            if _parses(_put_together(code, literals, version)):
                return version
    return None


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def _taken_apart(source: str) -> tuple[str, list[_Literal]]:
    """The source without comments, with marks for its literals of text; and these."""
    code: list[str] = []
    literals: list[_Literal] = []
    at, start, word = 0, 0, False
    while at < len(source):
        found = None if word else _LITERAL.match(source, at)
        if found is not None:
            end, expressions = _end_of_literal(source, found)
            code += [source[start:at], f" {_MARK}{len(literals)}{_MARK} "]
            text = source[at:end]
            literals.append(_Literal(text, found.group(1).lower(), expressions))
            at = start = end
        elif source[at] == "#":
            code.append(source[start:at])
            at = start = (source + "\n").index("\n", at)
        else:
            word = source[at].isalnum() or source[at] == "_"
            at += 1
    return "".join([*code, source[start:]]), literals


def _end_of_literal(source: str, start: re.Match[str]) -> tuple[int, list[str]]:
    """Where a literal ends, by the rules of Python 3.12, and the expressions in it."""
    prefix, quote = start.group(1).lower(), start.group(2)
    formatted = "f" in prefix or "t" in prefix
    expressions: list[str] = []
    at = start.end()
    while not source.startswith(quote, at):
        if source[at : at + 1] in {"", "\n"} and (at >= len(source) or len(quote) == 1):
            raise ValueError("a text never ends")
        if source[at] == "\\" or (formatted and source[at : at + 2] in {"{{", "}}"}):
            at += 2
        elif formatted and source[at] == "{":
            at = _end_of_field(source, at + 1, expressions)
        else:
            at += 1
    return at + len(quote), expressions


def _end_of_field(source: str, at: int, expressions: list[str]) -> int:
    """Where a field of a formatted literal ends that begins at `at`, behind its brace."""
    start = at
    at = _end_of_expression(source, at, ":!}=")
    while source[at] == "=" or source.startswith("!=", at):  # part of a comparison
        at = _end_of_expression(source, at + 2, ":!}=") if source[at + 1] == "=" else at + 1
    expressions.append(source[start:at].rstrip().rstrip("="))
    while source[at] != "}":
        at = _end_of_field(source, at + 1, expressions) if source[at] == "{" else at + 1
    return at + 1


def _end_of_expression(source: str, at: int, ends: str) -> int:
    """Where the first of the characters `ends` stands outside of brackets and texts."""
    depth: list[str] = []
    word = False
    while depth or source[at] not in ends:
        found = None if word else _LITERAL.match(source, at)
        if found is not None:
            at, _ = _end_of_literal(source, found)
            continue
        if source[at] in _CLOSING:
            depth.append(_CLOSING[source[at]])
        elif depth and source[at] == depth[-1]:
            depth.pop()
        word = source[at].isalnum() or source[at] == "_"
        at += 1
    return at


def _put_together(code: str, literals: list[_Literal], version: Version) -> str:
    """The source with its literals again; those that `version` reads differently are empty."""

    def literal(found: re.Match[str]) -> str:
        one = literals[int(found.group(1))]
        if not one.expressions or one.since() > version:
            return one.text
        inner = all(_parses_in(part, version) for part in one.expressions)
        return "''" if inner else one.text

    return _MARKED.sub(literal, code)


def _parses_in(expression: str, version: Version) -> bool:
    code, literals = _taken_apart(expression)
    return _parses(f"({_put_together(code, literals, version)}\n)")


def _match(code: str) -> str:
    """`match` and `case` as `if`."""
    heads = re.compile(r"^([ \t]*)match\b(?=[ \t]*[^\s=.,:)\]])", re.MULTILINE)
    return _heads(_heads(code, heads), re.compile(r"^([ \t]+)case\b(?=[^\n=]*:)", re.MULTILINE))


def _heads(code: str, heads: re.Pattern[str]) -> str:
    parts, start = [], 0
    for found in heads.finditer(code):
        if found.start() >= start:
            parts += [code[start : found.start()], found.group(1), "if 1"]
            start = _end_of_expression(code + ":", found.end(), ":")
    return "".join([*parts, code[start:]])


def _stars(code: str) -> str:
    """`except*`, and unpacking in an index and in an annotation."""
    code = re.sub(r"\bexcept[ \t]*\*", "except ", code)
    return re.sub(r"(\[\s*|\*\w+\s*:\s*)\*(?=\w)", r"\1", code)


def _type_parameters(code: str, *, defaults: bool = False) -> str:
    """Parameters behind the name of a function, class or type, which are left out, and `type`."""
    heads = re.compile(r"\b(?:def|class|type)[ \t]+\w+[ \t]*(?=\[)")
    parts, start = [], 0
    for found in heads.finditer(code):
        end = _end_of_expression(code, found.end() + 1, "]") + 1
        if defaults or "=" not in code[found.end() : end]:
            parts.append(code[start : found.end()])
            start = end
    code = "".join([*parts, code[start:]])
    return re.sub(r"^([ \t]*)type[ \t]+(?=[^\W\d]\w*\s*=)", r"\1", code, flags=re.MULTILINE)


def _bare_exceptions(code: str) -> str:
    """Several exceptions without parentheses."""
    return re.sub(r"\bexcept([ \t]+[^\n:(]+,[^\n:]*):", r"except (\1):", code)


_ADDITIONS: tuple[tuple[Version, Callable[[str], str]], ...] = (
    ((3, 10), _match),
    ((3, 11), _stars),
    ((3, 12), _type_parameters),
    ((3, 13), lambda code: _type_parameters(code, defaults=True)),
    ((3, 14), _bare_exceptions),
)
"""What a version added, and how to write it without; beside the literals (`_Literal.since`)."""
