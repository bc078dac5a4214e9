"""Syntax trees of languages other than Python: tree-sitter's, as nodes that know their parent.

Parsing never raises and takes hostile text. Nothing here recurses, so nesting as deep as the text
is long does no harm.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from recode_eval.errors import UsageError
from recode_eval.languages.base import MAX_CODE_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True, eq=False)
class Node:
    """A node of a syntax tree; `start` and `end` are offsets in bytes of UTF-8."""

    kind: str
    """As the grammar names it; punctuation and keywords have their own text as kind."""
    role: str
    """The grammar's field name in the parent; empty: none."""
    named: bool
    """False for punctuation and keywords."""
    start: int
    end: int
    source: bytes = field(repr=False)
    parent: Node | None = field(repr=False)
    children: list[Node] = field(default_factory=list, repr=False)

    @property
    def text(self) -> str:
        """The source of the node."""
        return self.source[self.start : self.end].decode("utf-8", "replace")

    @property
    def parts(self) -> list[Node]:
        """Its children without punctuation, keywords and comments."""
        return [child for child in self.children if child.named and "comment" not in child.kind]

    def child(self, role: str) -> Node | None:
        """Return the first child in this role."""
        return next((child for child in self.children if child.role == role), None)

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, each before its children, in the order of the text."""
        pending = [self]
        while pending:
            node = pending.pop()
            yield node
            pending.extend(reversed(node.children))

    def ancestors(self) -> Iterator[Node]:
        """Yield the nodes above this one, the nearest first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


@dataclass(frozen=True, slots=True)
class Tree:
    """A parsed text. With errors in it, the tree still holds whatever could be read."""

    root: Node
    sound: bool
    """Whether the text is a program of the language, without an error."""


def require(*modules: str, language: str) -> None:
    """Check that a language's parser is installed.

    Raises:
        UsageError: it is not; the message says what to install.
    """
    for module in ("tree_sitter", *modules):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UsageError(
                f"The language {language} needs {module.replace('_', '-')}, which cannot be "
                f"imported ({error}): pip install 'recode-eval[languages]'"
            ) from error


def parse(code: str, module: str, function: str = "language") -> Tree:
    """Parse text by the grammar of a module such as `tree_sitter_javascript`.

    Text longer than `MAX_CODE_CHARS`, or with a NUL, is an empty tree that is not sound. The tree
    is shared with other callers: nobody may change it.
    """
    if len(code) > MAX_CODE_CHARS or "\0" in code:
        return Tree(Node("empty", "", True, 0, 0, b"", None), sound=False)
    return _parsed(code, module, function)


@lru_cache(maxsize=8)  # Extraction, similarity, flags and measures look at one answer in turn.
def _parsed(code: str, module: str, function: str) -> Tree:
    source = code.encode("utf-8", "replace")
    found = _parser(module, function).parse(source)
    return Tree(_copied(found, source), sound=not found.root_node.has_error)


@cache
def _parser(module: str, function: str) -> Any:
    import tree_sitter

    grammar = getattr(importlib.import_module(module), function)
    return tree_sitter.Parser(tree_sitter.Language(grammar()))


def _copied(tree: Any, source: bytes) -> Node:
    """Copy a tree into plain nodes, with a cursor: it does not recurse."""
    cursor = tree.walk()

    def copied(parent: Node | None) -> Node:
        found = cursor.node
        return Node(
            sys.intern(found.type), cursor.field_name or "", found.is_named, found.start_byte,
            found.end_byte, source, parent,
        )  # fmt: skip

    node = root = copied(None)
    while True:
        if cursor.goto_first_child():
            node.children.append(copied(node))
            node = node.children[-1]
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent() or node.parent is None:
                return root
            node = node.parent
        parent = node.parent
        if parent is None:
            return root
        parent.children.append(copied(parent))
        node = parent.children[-1]


def without(source: str, tree: Tree, comments: frozenset[str], kept: frozenset[str]) -> str:
    """Return a text without its comments and blank lines.

    `comments` are the kinds of nodes that go, `kept` those whose inner lines stay as they are, such
    as strings over several lines. White space before a comment that is removed goes with it, and
    white space at the end of lines. Lines end with line feeds, the last one with nothing.
    """
    text = source.encode("utf-8", "replace")
    if text != tree.root.source:  # too long to be parsed
        return source
    pieces: list[tuple[bytes, bool]] = []  # text, whether it stays as it is
    done = 0
    pending = [tree.root]
    while pending:
        node = pending.pop()
        if node.kind in comments:
            pieces.append((text[done : node.start], False))
            pieces.append((_instead(text, node), False))
            done = node.end
        elif node.kind in kept:
            pieces += [(text[done : node.start], False), (text[node.start : node.end], True)]
            done = node.end
        else:
            pending.extend(reversed(node.children))
    pieces.append((text[done:], False))
    return _tidied(pieces).decode("utf-8", "replace")


def _instead(text: bytes, comment: Node) -> bytes:
    """What a comment leaves behind: its end of a line, and never one word of two."""
    if b"\n" in text[comment.start : comment.end]:
        return b"\n"
    around = text[max(0, comment.start - 1) : comment.start], text[comment.end : comment.end + 1]
    return b" " if all(side.strip() for side in around) else b""


def _tidied(pieces: list[tuple[bytes, bool]]) -> bytes:
    """Join pieces; outside of those that stay, lines lose white space at their end or go."""
    lines: list[bytes] = [b""]
    fixed = [0]
    """For each line, how many of its first bytes must stay."""
    for piece, stays in pieces:
        first, *more = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for number, part in enumerate([first, *more]):
            if number:
                if stays:  # the end of a line inside of a string
                    lines[-1] += b"\n"
                else:
                    lines.append(b"")
                    fixed.append(0)
            lines[-1] += part
            if stays:
                fixed[-1] = len(lines[-1])
    tidy = (line[:kept] + line[kept:].rstrip() for line, kept in zip(lines, fixed, strict=True))
    return b"\n".join(line for line in tidy if line)
