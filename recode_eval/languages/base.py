"""What the harness must know of a programming language, apart from running its programs.

A language is mostly text here: what parses, what a program defines, how two programs are compared,
which tests a file holds. How the sandbox runs a program is data (`sandbox.runtimes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.sandbox.base import Program
    from recode_eval.sandbox.runtimes import CommandRuntime

MAX_CODE_CHARS = 200_000
"""Longer text is not taken for a program and is not tokenised (about 50,000 tokens of a model; the
longest reference solutions have a few thousand characters). Bounds time and memory."""


@dataclass(frozen=True, slots=True)
class TestCase:
    """One test of a file of tests: its name, and a program that fails if the test does."""

    __test__ = False  # not a test of this package

    name: str
    code: str


class Language(Protocol):
    """A programming language, as text.

    All methods are pure, never raise unless they say so, and take hostile text of any size.

    Other packages add one under the entry point group `recode_eval.languages`: a class without
    arguments that follows this protocol.
    """

    name: str
    """As in `language:` of a task.yaml and `Program.language`."""
    title: str
    """Its name for people, such as `JavaScript`."""
    fence_tags: frozenset[str]
    """The lower-case tags of blocks in this language, after their backticks; at least one."""
    answer_tag: str
    """The tag of `[TAG]...[/TAG]` blocks that hold an answer, such as `PYTHON`."""
    lexer: str
    """Name of the Pygments lexer that colours its code; empty: none."""
    ecosystem: str
    """Where its libraries come from: `pypi` or `npm`; empty: programs have no libraries."""

    def runtime(self) -> CommandRuntime | None:
        """Return how the sandbox runs a program; None: as the environment's own runtime does."""
        ...

    def parses(self, code: str) -> bool:
        """Whether `code` is a program (an empty one is)."""
        ...

    def defined_names(self, code: str) -> frozenset[str]:
        """Return the names that a program defines at its top level; empty if it does not parse."""
        ...

    def entry_point(self, code: str) -> str | None:
        """Return the function or class that a program defines last at its top level."""
        ...

    def mentions(self, code: str, program: str) -> bool:
        """Whether `code` has a name that `program` binds: a test that does not tests nothing."""
        ...

    def normalize(self, code: str) -> str:
        """Return `code` without comments and blank lines, for ES, EM and their starred forms.

        Code that has no tokens comes back as it is.
        """
        ...

    def split_tests(self, source: str) -> tuple[TestCase, ...]:
        """Split a file of tests into tests, in order.

        Raises `ValueError` if the source does not parse; the message completes "the tests ...".
        """
        ...

    def check_pattern(self, pattern: str) -> None:
        """Raise `ValueError` if the text is not a pattern of API use in this language."""
        ...

    def api_uses(self, patterns: Sequence[str], code: str) -> tuple[str, ...] | None:
        """Return the patterns that occur in `code`, in their order.

        None: the language has no way to tell, and no rate is reported.
        """
        ...

    def tamper_flags(self, code: str | None) -> tuple[str, ...]:
        """Return reasons to distrust an answer: what would reach its own grader. May be empty."""
        ...


TRACE_MARK: Final = "=== where the program fails ==="
"""A line of what a traced program prints: what follows tells where it fails."""


@runtime_checkable
class Tracing(Protocol):
    """A language whose programs can tell where they fail, as a developer would see it.

    Conversations need it; it is apart from `Language`, which other packages may have implemented.
    """

    def traced(self, program: Program, *, shown: bool) -> Program:
        """Return the same program, which prints where it fails after `TRACE_MARK`.

        It runs in one process. Lines of its tests occur in what it prints only if they are `shown`.
        """
        ...

    def script(self, program: Program, code: str) -> Program:
        """Return a program that runs `code` as a script in the place of a program's answer.

        It has one test, which passes if the script ends well.
        """
        ...

    def loads(self, program: Program) -> Program:
        """Return the program with one test, which passes if the program can be loaded."""
        ...
