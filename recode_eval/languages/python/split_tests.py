"""Splitting a file of Python tests into one program per test."""

from __future__ import annotations

import ast
import warnings

from recode_eval.languages.base import TestCase


def split_tests(source: str) -> tuple[TestCase, ...]:
    """Split test code into one test per top-level function named `test...`, in order.

    By syntax tree, since blank lines inside a test make a split at blank lines wrong. Whatever else
    stands at the top level (imports, helpers) goes before each test. Each test ends in its call.

    Raises:
        ValueError: the source is not Python.
    """
    body = statements(source)
    # Not `splitlines`: for the parser a form feed or U+2028 inside of a string ends no line.
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    shared: list[str] = []
    tests: list[tuple[str, str]] = []
    done = 0
    for node in body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        if first <= done:  # `a = 1; b = 2`: the line is there already
            continue
        while first - 2 >= done and lines[first - 2].startswith("#"):
            first -= 1  # what is said about a test belongs to it
        done = node.end_lineno or first
        code = "\n".join(lines[first - 1 : done])
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            tests.append((node.name, code))
        else:
            shared.append(code)
    prefix = "".join(f"{code}\n" for code in shared)
    return tuple(TestCase(name, f"{prefix}{code}\n{name}()\n") for name, code in tests)


def statements(source: str) -> list[ast.stmt]:
    """Parse Python and return its top-level statements; raises `ValueError` if it is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape ("\\d") is not worth a word
            return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"is not Python ({error})") from error
