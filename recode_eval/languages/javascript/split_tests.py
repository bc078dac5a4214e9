"""Splitting a file of JavaScript tests into one program per test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.languages.base import TestCase
from recode_eval.languages.javascript.syntax import FUNCTIONS, name_of, read

if TYPE_CHECKING:
    from recode_eval.languages.javascript.syntax import Grammar


def split_tests(source: str, *grammars: Grammar) -> tuple[TestCase, ...]:
    """Split test code into one test per top-level function named `test...`, in order.

    Whatever else stands at the top level (helpers, constants) goes before each test. The code of a
    test is the body of an async function and ends in the awaited call of the test.

    Raises:
        ValueError: the source does not parse, or imports or exports.
    """
    tree = read(source, *grammars)
    if not tree.sound:
        raise ValueError("are not JavaScript")
    shared: list[str] = []
    tests: list[tuple[str, str]] = []
    comments: list[str] = []
    for node in tree.root.children:
        if node.kind in {"import_statement", "export_statement"}:
            raise ValueError(
                "import or export: a test is the body of a function; `assert` is there, and "
                '`await import("node:...")` works inside of a test'
            )
        if "comment" in node.kind:
            comments.append(node.text)  # what is said about a test belongs to it
            continue
        code = "\n".join([*comments, node.text])
        comments.clear()
        if node.kind in FUNCTIONS and name_of(node).startswith("test"):
            tests.append((name_of(node), code))
        else:
            shared.append(code)
    prefix = "".join(f"{code}\n" for code in shared)
    return tuple(TestCase(name, f"{prefix}{code}\nawait {name}();\n") for name, code in tests)
