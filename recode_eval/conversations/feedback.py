"""What the model is told after a failed answer: what a developer would see.

The verdict comes from a program that is the one of grading but for its tests: it has the visible
one alone, or one that does nothing. So it is the verdict that grading gives that test, and hidden
tests cannot leak from a program that does not hold them. Only a failure is run once more, by a
program that prints where it fails.

A visible test may hold what the model must not see (HumanEval+ compares with the reference). An
answer can read its caller's frames and print them, raise or return what it finds. So nothing of
that program is told but how it ended; the second program has what is shown in the test's place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from recode_eval.conversations.executing import ended, output_and_trace, shortened
from recode_eval.conversations.split import shown_source, visible_test
from recode_eval.languages import get_language
from recode_eval.models.base import FinishReason
from recode_eval.sandbox.base import Status, Test
from recode_eval.tasks.answers import find_code

if TYPE_CHECKING:
    from recode_eval.conversations.executing import Bench
    from recode_eval.conversations.journal import Answered
    from recode_eval.languages.base import Tracing
    from recode_eval.sandbox.base import Execution, Program
    from recode_eval.tasks.base import Problem, Task

_AGAIN: Final = "Answer again, with the whole program and in the same form as before."
_CUT_OFF: Final = "Your answer was cut off because it was too long."


class Feedback:
    """Checks answers to a task's problems and puts what is wrong with them into words."""

    def __init__(self, task: Task, bench: Bench) -> None:
        self._task, self._bench = task, bench
        self._tracing = cast("Tracing", get_language(task.spec.language))
        self._tag = task.spec.language

    def on(self, problem: Problem, answer: Answered) -> tuple[bool, str]:
        """Return whether the conversation ends with this answer, and else what the model is told.

        It ends where the visible test passes or, without one, where the program loads; and where
        the problem's own set-up fails, which no answer can mend. Raises `SandboxError`.
        """
        found = find_code(
            self._task, problem, answer.text, prefill=answer.prefill, is_code=answer.is_code
        )
        cut = answer.finish_reason == FinishReason.LENGTH
        if found.code is None:
            return False, _message(f"Your answer holds no program: {found.detail}.", cut=cut)
        test = visible_test(self._task, problem)
        program = self._bench.program(problem, found.code)
        program = self._tracing.loads(program) if test is None else replace(program, tests=(test,))
        done = self._bench.run(problem, program)
        if done.setup_error is not None or done.passed:
            return True, ""
        return False, self._told(problem, test, program, done, cut=cut)

    def _told(
        self,
        problem: Problem,
        test: Test | None,
        program: Program,
        done: Execution,
        *,
        cut: bool,
    ) -> str:
        source = None if test is None else shown_source(self._task, problem, test)
        how, output, trace = self._failure(problem, test, source, program, done)
        what = "does not run" if test is None else f"does not pass the test {test.name}"
        parts = [f"Your program {what}: {how}."]
        if trace:
            parts.append(_block("Where it fails:", trace))
        if output:
            parts.append(_block("What it printed:", output))
        if source is not None:
            parts.append(_block("The test:", shortened(source.strip()), self._tag))
        return _message(*parts, cut=cut)

    def _failure(
        self,
        problem: Problem,
        test: Test | None,
        source: str | None,
        program: Program,
        done: Execution,
    ) -> tuple[str, str, str]:
        """Return how the visible test ended, what the program printed, and where it fails."""
        verdict = done.verdicts[0]
        if test is not None and source != test.code:
            shown = self._tracing.loads(program)
            if source is not None:
                shown = replace(program, tests=(Test(test.name, source),))
            again = self._bench.run(problem, self._tracing.traced(shown, shown=True))
            if not again.passed and again.setup_error is None:
                return ended(again.verdicts[0]), *output_and_trace(again)
            how = (
                "it failed"
                if verdict.status is Status.FAILED
                else ended(replace(verdict, detail=""))
            )
            return how, output_and_trace(again)[0], ""
        output, trace = output_and_trace(done)
        if verdict.status is Status.FAILED:
            again = self._bench.run(problem, self._tracing.traced(program, shown=True))
            if not again.passed and again.setup_error is None:
                output, trace = output_and_trace(again)
        return ended(verdict), output, trace


def _message(*parts: str, cut: bool) -> str:
    return "\n\n".join([*([_CUT_OFF] if cut else []), *parts, _AGAIN])


def _block(title: str, text: str, tag: str = "") -> str:
    """Return a titled block whose fence is longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{title}\n{fence}{tag}\n{text}\n{fence}"
