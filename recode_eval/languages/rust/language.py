"""Rust as a `Language`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from recode_eval.languages import treesitter
from recode_eval.languages.rust import syntax
from recode_eval.languages.rust.split_tests import split_tests
from recode_eval.sandbox.base import Test

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.languages.base import TestCase
    from recode_eval.sandbox.base import Program
    from recode_eval.sandbox.runtimes import CommandRuntime

_PATTERN: Final = re.compile(r"[A-Za-z_]\w*(::[A-Za-z_]\w*)*")


class Rust:
    """Rust, compiled by the rustc of the machine; see `languages.base.Language`."""

    name: ClassVar[str] = "rust"
    title: ClassVar[str] = "Rust"
    fence_tags: ClassVar[frozenset[str]] = frozenset({"rust", "rs"})
    answer_tag: ClassVar[str] = "RUST"
    lexer: ClassVar[str] = "rust"
    ecosystem: ClassVar[str] = ""

    def __init__(self) -> None:
        """Check that the parser is installed.

        Raises:
            UsageError: it is not; says what to install.
        """
        treesitter.require(syntax.MODULE, language=self.title)

    def runtime(self) -> CommandRuntime:
        """Return how programs are compiled and run; raises `InfrastructureError` without rustc."""
        from recode_eval.languages.rust.runtime import rust_runtime

        return rust_runtime()

    def parses(self, code: str) -> bool:
        """Whether the parser finds no error, and only items at the top level."""
        return syntax.parses(code)

    def defined_names(self, code: str) -> frozenset[str]:
        """Return the names of items, and of methods of `impl` blocks."""
        return syntax.defined_names(syntax.read(code))

    def entry_point(self, code: str) -> str | None:
        """Return the function that is defined last, else the last type."""
        return syntax.entry_point(syntax.read(code))

    def mentions(self, code: str, program: str) -> bool:
        """Whether `code` uses a name of an item of `program`."""
        defined = self.defined_names(program)
        return any(name in defined for name in syntax.mentions(syntax.read(code)))

    def normalize(self, code: str) -> str:
        """Return `code` without comments and blank lines."""
        return syntax.normalize(code)

    def split_tests(self, source: str) -> tuple[TestCase, ...]:
        """Return the functions marked `#[test]`, each with the rest of the file around it."""
        return split_tests(source)

    def check_pattern(self, pattern: str) -> None:
        """Raise `ValueError` unless it is a name or a path: `take`, `mem::take`."""
        if not _PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern!r} is no name and no path such as mem::take")

    def api_uses(self, patterns: Sequence[str], code: str) -> tuple[str, ...]:
        """Return the names that are used, and the paths that occur, through any `use`."""
        tree = syntax.read(code)
        if not tree.sound:
            return ()
        names, found = set(syntax.mentions(tree)), syntax.paths(tree)
        return tuple(text for text in patterns if _occurs(tuple(text.split("::")), names, found))

    def tamper_flags(self, code: str | None) -> tuple[str, ...]:
        """Return what a program would use to reach its own grader."""
        from recode_eval.languages.rust.tampering import suspicions

        return () if code is None else suspicions(syntax.read(code))

    def traced(self, program: Program, *, shown: bool) -> Program:
        """Return the program: a panic and the compiler tell by themselves where they are."""
        del shown
        return program

    def script(self, program: Program, code: str) -> Program:
        """Return a program that calls the `main` of `code`, if it has one."""
        call = "crate::main()" if "main" in self.defined_names(code) else "()"
        test = Test("the program runs", f"__recode::check(|| {call}, None);")
        return replace(program, candidate=code, tests=(test,))

    def loads(self, program: Program) -> Program:
        """Return the program with a test that does nothing."""
        test = Test("the program compiles", "__recode::check(|| (), None);")
        return replace(program, tests=(test,))


def _occurs(path: tuple[str, ...], names: set[str], paths: frozenset[tuple[str, ...]]) -> bool:
    if len(path) == 1:
        return path[0] in names
    return any(
        path == found[i : i + len(path)]
        for found in paths
        for i in range(len(found) - len(path) + 1)
    )
