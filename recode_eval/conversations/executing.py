"""Running one program of a conversation in the run's sandbox, and what may be told of it.

What a program prints is hostile, and the machine it runs on is nobody's business: control
characters are spelt out, folders of the sandbox are cut from the names of files, and a long text
loses its middle.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from recode_eval.languages.base import TRACE_MARK
from recode_eval.sandbox.base import Status
from recode_eval.tasks.base import Docstrings
from recode_eval.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recode_eval.sandbox.base import Execution, Limits, Program, Sandbox, TestVerdict
    from recode_eval.tasks.base import Problem, Task

LONGEST: Final = 4_000
"""Characters of one text that the model is told: about a thousand tokens."""
_FOLDERS: Final = re.compile(
    r"(?:file://)?/[^\s\"'():]{0,200}?/(?:(?:lib/python3\.\d+/)?(?:site|dist)-packages"
    r"|node_modules|lib/python3\.\d+)/"
    r"|(?:file://)?/[^\s\"'():]{0,200}/(?=(?:solution|program)\.(?:py|[mc]?[jt]s|rs)\b)"
)
_HARNESS: Final = re.compile(
    r"^[^\n]{0,400}(?:recode_(?:node|program|supervisor)|node:internal|__recode|runner\.cjs)"
    r"[^\n]*\n?",
    re.MULTILINE,
)
_WORDS: Final = {
    Status.TIMEOUT: "it ran for too long and was stopped",
    Status.MEMORY: "it needed more memory than it may",
    Status.CRASHED: "its process ended before it was done",
}


class Bench:
    """The sandbox of a run with its limits: where a conversation's programs run."""

    def __init__(
        self,
        task: Task,
        sandbox: Sandbox,
        limits: Callable[[str], Limits],
        unsplit: Callable[[str], str] = lambda _: "",
    ) -> None:
        """`limits` and `unsplit` are those of grading, by problem."""
        self._task, self._sandbox, self._limits, self._unsplit = task, sandbox, limits, unsplit

    def program(self, problem: Problem, code: str) -> Program:
        """Return the program that grades an answer with the update in force, hidden tests and all.

        Callers replace its tests before it runs.
        """
        program = self._task.programs(problem, code)[self._task.conditions[0]]
        return replace(program, unsplit=self._unsplit(problem.id))

    def docstrings(self, problem: Problem) -> Mapping[str, str]:
        """Return the documentation of APIs that the installed library cannot document."""
        return self._task.docstrings(problem) if isinstance(self._task, Docstrings) else {}

    def run(self, problem: Problem, program: Program, seconds: float | None = None) -> Execution:
        """Run a program under the problem's limits, or less; raises `SandboxError`."""
        limits = self._limits(problem.id)
        if seconds is not None:
            limits = replace(
                limits,
                cpu_s=min(limits.cpu_s, max(seconds, 1.0)),
                wall_s=min(limits.wall_s, max(seconds, 1.0)),
            )
        return self._sandbox.submit(program, limits).result()


def output_and_trace(execution: Execution) -> tuple[str, str]:
    """Return what a traced program printed itself, and where it failed; either may be empty."""
    output, mark, trace = execution.output.rpartition(f"{TRACE_MARK}\n")
    if not mark:
        output, trace = trace, ""
    return presentable(output), presentable(trace)


def presentable(text: str, most: int = LONGEST) -> str:
    """Return text as a model may see it: printable, without folders of the machine, cut."""
    text = printable(shortened(text, 4 * most))
    return shortened(_HARNESS.sub("", _FOLDERS.sub("", text)).strip("\n").rstrip(), most)


def shortened(text: str, most: int = LONGEST) -> str:
    r"""Return text without its middle, if it is longer than `most` characters; says so.

    >>> shortened("abcdefghij", 6)
    'ab\n[... 4 characters left out ...]\nghij'
    """
    if len(text) <= most:
        return text
    head = most // 3
    tail = most - head
    left = len(text) - most
    return f"{text[:head]}\n[... {left} characters left out ...]\n{text[-tail:]}"


def ended(verdict: TestVerdict) -> str:
    """Return how a test ended that did not pass, in a few words."""
    words = _WORDS.get(verdict.status, "")
    detail = presentable(verdict.detail, 500)
    return f"{words} ({detail})" if words and detail else words or detail or "it failed"
