"""A program's text and its syntax tree side by side: small edits that leave the rest as it is.

`ast.unparse` lays a whole program out anew, which a string metric would see. Edits replace spans of
the text instead.
"""

from __future__ import annotations

import ast
import copy
import keyword
import re
import symtable
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from recode_eval.languages.python.syntax import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WORD = re.compile(r"[^\W\d]\w*")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Edit(NamedTuple):
    """Bytes `start` to `end` of the UTF-8 text become `text`."""

    start: int
    end: int
    text: str


class Source:
    """A program. Offsets count bytes, as those of `ast` do."""

    def __init__(self, code: str) -> None:
        """Raises `ValueError` if `code` is not a Python program."""
        # The parsed tree is shared with other callers, and edits change this one.
        tree = copy.deepcopy(parse(code))
        if tree is None:
            raise ValueError("not a Python program")
        self.code = code
        self.tree = tree
        self.data = code.encode()
        self._starts = [0]
        for line in self.data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return where the text of a node starts and ends."""
        where: ast.expr = node  # type: ignore[assignment]  # all nodes with a place have these
        assert where.end_lineno is not None
        assert where.end_col_offset is not None
        return (
            self._starts[where.lineno - 1] + where.col_offset,
            self._starts[where.end_lineno - 1] + where.end_col_offset,
        )

    def text(self, node: ast.AST) -> str:
        """Return the text of a node."""
        start, end = self.span(node)
        return self.data[start:end].decode()

    def between(self, first: ast.AST, second: ast.AST) -> tuple[int, int]:
        """Return the gap between two nodes."""
        return self.span(first)[1], self.span(second)[0]

    def gap(self, start: int, end: int) -> str:
        """Return the text between two offsets."""
        return self.data[start:end].decode()

    def line_span(self, node: ast.stmt) -> tuple[int, int] | None:
        """Return the whole lines of a statement; None if it shares one with another statement."""
        assert node.end_lineno is not None
        start, end = self._starts[node.lineno - 1], self._starts[node.end_lineno]
        own = self.span(node)
        before, after = self.gap(start, own[0]), self.gap(own[1], end).strip()
        alone = not before.strip() and (not after or after.startswith("#"))
        return (start, end) if alone else None

    def edited(self, edits: Iterable[Edit]) -> str | None:
        """Return the text after edits that do not overlap; None if it is no longer a program."""
        data, last = self.data, len(self.data)
        for start, end, text in sorted(edits, reverse=True):
            if end > last:
                raise ValueError("two edits overlap")
            data, last = data[:start] + text.encode() + data[end:], start
        code = data.decode()
        return code if parse(code) is not None else None

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word of the text, in names, strings and comments."""
        return words_of(self.code)

    @cached_property
    def string_words(self) -> frozenset[str]:
        """The words inside of strings; `DataFrame.query` and format strings name variables."""
        strings = (
            node.value
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        return words_of("\n".join(strings))

    @cached_property
    def module_names(self) -> frozenset[str]:
        """The names that the module binds."""
        symbols = symtable.symtable(self.code, "<answer>", "exec").get_symbols()
        bound = (s for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace())
        return frozenset(symbol.get_name() for symbol in bound)

    @cached_property
    def keywords(self) -> frozenset[str]:
        """The names of arguments in calls."""
        nodes = (node for node in ast.walk(self.tree) if isinstance(node, ast.keyword))
        return frozenset(node.arg for node in nodes if node.arg)

    def in_fstrings(self) -> frozenset[ast.AST]:
        """Return the nodes inside of f-strings: Python 3.11 does not know their places."""
        return frozenset(
            inner
            for node in ast.walk(self.tree)
            if isinstance(node, ast.JoinedStr)
            for inner in ast.walk(node)
            if inner is not node
        )

    def functions(self) -> Iterator[Function]:
        """Yield the outermost functions: of the module and of its classes, not nested ones."""
        pending: list[ast.AST] = [self.tree]
        while pending:
            for child in ast.iter_child_nodes(pending.pop(0)):
                if isinstance(child, Function):
                    yield child
                else:
                    pending.append(child)


def words_of(text: str) -> frozenset[str]:
    """Return everything in `text` that could be an identifier, keywords apart."""
    return frozenset(_WORD.findall(text)) - frozenset(keyword.kwlist)


def is_docstring(node: ast.stmt) -> bool:
    """Whether a statement is nothing but a string."""
    match node:
        case ast.Expr(ast.Constant(value=str())):
            return True
    return False
