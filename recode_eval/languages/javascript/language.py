"""JavaScript and TypeScript, each as a `Language`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from recode_eval.languages import treesitter
from recode_eval.languages.base import TRACE_MARK
from recode_eval.languages.javascript import syntax
from recode_eval.languages.javascript.normalize import normalize
from recode_eval.languages.javascript.split_tests import split_tests
from recode_eval.sandbox.base import Test

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.languages.base import TestCase
    from recode_eval.languages.javascript.syntax import Grammar
    from recode_eval.languages.treesitter import Tree
    from recode_eval.sandbox.base import Program

_JAVASCRIPT_TAGS = frozenset(
    {"javascript", "js", "mjs", "cjs", "node", "nodejs", "ecmascript", "jsx"}
)
_TYPESCRIPT_TAGS = frozenset({"typescript", "ts", "mts", "cts", "tsx"})


class JavaScript:
    """JavaScript on Node; see `languages.base.Language`.

    What is no JavaScript, but TypeScript, is taken too: Node strips its types.
    """

    name: ClassVar[str] = "javascript"
    title: ClassVar[str] = "JavaScript"
    fence_tags: ClassVar[frozenset[str]] = _JAVASCRIPT_TAGS | _TYPESCRIPT_TAGS
    answer_tag: ClassVar[str] = "JAVASCRIPT"
    lexer: ClassVar[str] = "javascript"
    ecosystem: ClassVar[str] = "npm"
    _grammars: ClassVar[tuple[Grammar, ...]] = (syntax.JAVASCRIPT, syntax.TYPESCRIPT)

    def __init__(self) -> None:
        """Check that the parsers are installed.

        Raises:
            UsageError: they are not; says what to install.
        """
        treesitter.require(*(one.module for one in self._grammars), language=self.title)

    def runtime(self) -> None:
        """Return None: an environment of npm packages brings its own Node."""

    def parses(self, code: str) -> bool:
        """Whether the parser finds no error in it."""
        return syntax.parses(code, *self._grammars)

    def defined_names(self, code: str) -> frozenset[str]:
        """Return what functions, classes and variables bind at the module's level."""
        return syntax.defined_names(self._read(code))

    def entry_point(self, code: str) -> str | None:
        """Return the last function or class of the module's level."""
        return syntax.entry_point(self._read(code))

    def mentions(self, code: str, program: str) -> bool:
        """Whether `code` has a name that `program` defines or imports."""
        tree = self._read(program)
        return not syntax.mentioned(self._read(code)).isdisjoint(
            syntax.defined_names(tree) | syntax.imported(tree)
        )

    def normalize(self, code: str) -> str:
        """Return `code` without comments and blank lines."""
        return normalize(code, self._read(code))

    def split_tests(self, source: str) -> tuple[TestCase, ...]:
        """Return the top-level functions named `test...`, each with the helpers before it."""
        return split_tests(source, *self._grammars)

    def check_pattern(self, pattern: str) -> None:
        """Raise `ValueError` for what is no pattern (`languages.javascript.api_usage`)."""
        from recode_eval.languages.javascript.api_usage import Pattern

        Pattern.parse(pattern)

    def api_uses(self, patterns: Sequence[str], code: str) -> tuple[str, ...]:
        """Return the patterns that occur in the syntax tree, through any alias."""
        from recode_eval.languages.javascript.api_usage import parsed_patterns, uses

        found = uses(parsed_patterns(tuple(patterns)), code, *self._grammars)
        return tuple(pattern.text for pattern in found)

    def tamper_flags(self, code: str | None) -> tuple[str, ...]:
        """Return what a program would use to reach its own grader."""
        from recode_eval.languages.javascript.tampering import suspicions

        return () if code is None else suspicions(self._read(code))

    def _read(self, code: str) -> Tree:
        return syntax.read(code, *self._grammars)

    def traced(self, program: Program, *, shown: bool) -> Program:
        """Return the program with tests that print the stack of what they throw.

        What stops the program from loading has no stack that Node tells; the verdict names it.
        """
        del shown  # Node's stacks hold no lines of tests
        return replace(
            program,
            tests=tuple(Test(test.name, _traced(test.code)) for test in program.tests),
            unsplit="its stack is wanted",
        )

    def script(self, program: Program, code: str) -> Program:
        """Return `code` as a module."""
        return self.loads(replace(program, candidate=code))

    def loads(self, program: Program) -> Program:
        """Return the program with a test that does nothing."""
        return replace(program, tests=(Test("the program loads", ";"),))


def _traced(code: str) -> str:
    """Return a test that prints the stack of what it throws; a frame of its own stays hidden."""
    tell = f"console.error({TRACE_MARK!r} + String.fromCharCode(10) + "
    return (
        f"try {{\n{code}\n}} catch (thrown) {{ {tell}(thrown && thrown.stack || String(thrown))); "
        "throw thrown; }"
    )


class TypeScript(JavaScript):
    """TypeScript on Node, which strips its types; see `languages.base.Language`."""

    name: ClassVar[str] = "typescript"
    title: ClassVar[str] = "TypeScript"
    fence_tags: ClassVar[frozenset[str]] = _TYPESCRIPT_TAGS | _JAVASCRIPT_TAGS
    answer_tag: ClassVar[str] = "TYPESCRIPT"
    lexer: ClassVar[str] = "typescript"
    _grammars: ClassVar[tuple[Grammar, ...]] = (syntax.TYPESCRIPT, syntax.JAVASCRIPT)
