"""Splitting a Rust file of tests into one program per test.

Each test becomes a module of its own with the whole file in it, apart from the other tests, and a
call of `__recode::check` (see `runtime`). A file that implements a trait for something it did not
define is one test: two such modules would not compile together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.languages.base import TestCase
from recode_eval.languages.rust.syntax import NAMED, name_of, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.languages.treesitter import Node

_TEST = re.compile(r"#\[\s*(tokio::)?test\b")
_CONFIGURED = re.compile(r"#\[\s*cfg\s*\(\s*test\s*\)\s*\]")
_PANICS = re.compile(
    r"#\[\s*should_panic\s*(?:\(\s*expected\s*=\s*|=\s*)?(?P<text>\"(?:[^\"\\]|\\.)*\")?"
)
_IGNORED = re.compile(r"#\[\s*ignore\b")
_ELSEWHERE = re.compile(
    r"#\[\s*cfg\s*\(\s*(windows|not\s*\(\s*unix\s*\)|target_os\s*=\s*\"(?!linux))"
)
"""Of a part of the file that is not for Linux."""


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    path: str
    """From the top of the file: `tests::adds`."""
    start: int
    end: int
    at: int
    """Where its visibility would stand."""
    public: bool
    panics: str
    """`None`, `Some("")` for any panic, or `Some("text")`."""


def split_tests(source: str) -> tuple[TestCase, ...]:
    """Split test code into one test per function marked `#[test]`, in order.

    Raises:
        ValueError: the source does not parse.
    """
    tree = read(source)
    if not tree.sound:
        raise ValueError("are not Rust")
    found = list(_tests(tree.root))
    names = [one.name for one in found]
    titles = [one.name if names.count(one.name) == 1 else one.path for one in found]
    if _shares(tree.root) and found:
        calls = "\n".join(_call(one, "run") for one in found)
        return (
            TestCase("tests", f"{_module(tree.root, found, found)}\n{calls}\n__recode::passed();"),
        )
    return tuple(
        TestCase(title, f"{_module(tree.root, [one], found)}\n{_call(one, 'check')}")
        for title, one in zip(titles, found, strict=True)
    )


def _call(one: _Found, function: str) -> str:
    return f"__recode::{function}(|| __recode_test::{one.path}(), {one.panics});"


def _tests(root: Node) -> Iterator[_Found]:
    """Yield the tests at the top level and in modules, in order."""
    pending: list[tuple[Node, str, list[Node]]] = list(reversed(_items(root, "")))
    while pending:
        node, path, attributes = pending.pop()
        texts = [one.text for one in attributes]
        if any(map(_ELSEWHERE.match, texts)):
            continue
        if node.kind == "mod_item" and (body := node.child("body")) is not None:
            pending += reversed(_items(body, f"{path}{name_of(node)}::"))
            continue
        if node.kind != "function_item" or not any(map(_TEST.match, texts)):
            continue
        if any(map(_IGNORED.match, texts)):
            continue
        panics = next((match for text in texts if (match := _PANICS.match(text))), None)
        expected = "None" if panics is None else f"Some({panics['text'] or chr(34) * 2})"
        public = any(part.kind == "visibility_modifier" for part in node.children)
        yield _Found(
            name_of(node), path + name_of(node), min(one.start for one in attributes), node.end,
            node.start, public, expected,
        )  # fmt: skip


def _items(parent: Node, path: str) -> list[tuple[Node, str, list[Node]]]:
    """Return the items of a module, each with the attributes before it."""
    found: list[tuple[Node, str, list[Node]]] = []
    attributes: list[Node] = []
    for node in parent.parts:
        if node.kind == "attribute_item":
            attributes.append(node)
        else:
            found.append((node, path, attributes))
            attributes = []
    return found


def _module(root: Node, kept: list[_Found], tests: list[_Found]) -> str:
    """Return the file as a module, in which everything is visible from outside."""
    edits: list[tuple[int, int, bytes]] = [(0, 0, b"")]
    for one in tests:
        if one in kept:
            edits.append((one.start, one.at, b"" if one.public else b"pub(crate) "))
        else:
            edits.append((one.start, one.end, b""))
    inside = [(one.start, one.end) for one in tests]
    for node in root.walk():
        if any(start <= node.start < end for start, end in inside):
            continue
        if node.kind == "attribute_item" and _CONFIGURED.match(node.text):
            edits.append((node.start, node.end, b""))
        elif node.kind == "mod_item" and not any(
            part.kind == "visibility_modifier" for part in node.children
        ):
            edits.append((node.start, node.start, b"pub(crate) "))
    text, done = b"", 0
    for start, end, put in sorted(edits):
        text += root.source[done:start] + put
        done = max(done, end)
    body = (text + root.source[done:]).decode("utf-8", "replace")
    return f"mod __recode_test {{\n#[allow(unused_imports)] use super::*;\n{body}\n}}"


def _shares(root: Node) -> bool:
    """Whether the file implements a trait for a type that it does not define."""
    defined = {name_of(node) for node in root.walk() if node.kind in NAMED}
    for node in root.walk():
        if node.kind == "impl_item" and (target := node.child("type")) is not None:
            inner = target.child("type") if target.kind == "generic_type" else target
            if inner is None or inner.text not in defined:
                return True
        if node.kind == "attribute_item" and "no_mangle" in node.text:
            return True
    return False
