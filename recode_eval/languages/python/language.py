"""Python as a `Language`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from recode_eval.languages.python import syntax
from recode_eval.languages.python.normalize import normalize
from recode_eval.languages.python.split_tests import split_tests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.languages.base import TestCase
    from recode_eval.sandbox.base import Program


class Python:
    """The Python of the interpreter that runs the evaluation; see `languages.base.Language`."""

    name: ClassVar[str] = "python"
    title: ClassVar[str] = "Python"
    fence_tags: ClassVar[frozenset[str]] = frozenset(
        {"python", "python2", "python3", "py", "py3", "ipython", "ipython3"}
    )
    answer_tag: ClassVar[str] = "PYTHON"
    lexer: ClassVar[str] = "python"
    ecosystem: ClassVar[str] = "pypi"

    def runtime(self) -> None:
        """Return None: an environment brings its own Python."""

    def parses(self, code: str) -> bool:
        """Whether `ast.parse` takes it."""
        return syntax.parses(code)

    def defined_names(self, code: str) -> frozenset[str]:
        """Return what defs, classes and assignments bind at the module's level."""
        return syntax.names_defined_by(code)

    def entry_point(self, code: str) -> str | None:
        """Return the last function or class of the module's level."""
        return syntax.entry_point(code)

    def mentions(self, code: str, program: str) -> bool:
        """Whether `code` reads a name that `program` binds at any depth, imports included."""
        return not syntax.read_names(code).isdisjoint(syntax.bound_names(program))

    def normalize(self, code: str) -> str:
        """Return `code` without `#` comments and blank lines; docstrings stay."""
        return normalize(code)

    def split_tests(self, source: str) -> tuple[TestCase, ...]:
        """Return the top-level functions named `test...`, each with the helpers before it."""
        return split_tests(source)

    def check_pattern(self, pattern: str) -> None:
        """Raise `ValueError` for what is no pattern (`languages.python.api_usage`)."""
        from recode_eval.languages.python.api_usage import Pattern

        Pattern.parse(pattern)

    def api_uses(self, patterns: Sequence[str], code: str) -> tuple[str, ...]:
        """Return the patterns that occur in the syntax tree, through any alias."""
        from recode_eval.languages.python.api_usage import parsed_patterns, uses

        return tuple(found.text for found in uses(parsed_patterns(tuple(patterns)), code))

    def tamper_flags(self, code: str | None) -> tuple[str, ...]:
        """Return what a program would use to reach its own grader."""
        from recode_eval.languages.python.tampering import suspicions

        return suspicions(code)

    def traced(self, program: Program, *, shown: bool) -> Program:
        """Return the program run by one that prints its traceback; see `languages.base.Tracing`."""
        from recode_eval.languages.python import tracing

        return tracing.traced(program, shown=shown)

    def script(self, program: Program, code: str) -> Program:
        """Return `code` run as `__main__`, as `python FILE` does; prints its traceback."""
        from recode_eval.languages.python import tracing

        return tracing.script(program, code)

    def loads(self, program: Program) -> Program:
        """Return the program with a test that does nothing."""
        from recode_eval.languages.python import tracing

        return tracing.loads(program)
