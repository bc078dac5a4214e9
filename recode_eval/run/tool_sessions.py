"""Tools for a conversation that somebody else holds: a trainer's loop calls, a session answers.

A `Workbench` has one warm sandbox for all sessions of a process. A `ToolSession` is one rollout:
its problem, what is left of its budgets, the programs that it handed in. Tools, budgets and texts
are those of `conversations`. No program of a session holds a hidden test; grading is another call.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from recode_eval.conversations.conversation import LONGEST_ARGUMENTS, Use, no_more
from recode_eval.conversations.executing import Bench
from recode_eval.conversations.feedback import Feedback
from recode_eval.conversations.journal import Answered, Call
from recode_eval.conversations.settings import READ, RUN
from recode_eval.conversations.tools import (
    MALFORMED,
    REFUSED,
    MalformedError,
    Toolbox,
    parsed,
    schemas,
)
from recode_eval.errors import UsageError
from recode_eval.languages import get_language
from recode_eval.models.base import FinishReason, Tool
from recode_eval.plugins import unknown
from recode_eval.run.answer_runs import run_answers
from recode_eval.run.calibration import Calibration, MeasuredLimits
from recode_eval.sandbox.base import Limits, SandboxCrashError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from recode_eval.conversations.settings import ConversationSettings
    from recode_eval.sandbox.base import Execution, Sandbox
    from recode_eval.tasks.base import Problem, Task

TOOLS: Final = (RUN, READ)
"""Those that need nothing but the sandbox."""
SUBMIT: Final = "submit"
_ACCEPTED: Final = "Your program is taken as your answer. You are done: end your turn."
_AT_WORK: Final = "The machine failed, not you. End your turn."


def check_tools(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of tools; raises `UsageError` for one that a session cannot have."""
    chosen = tuple(dict.fromkeys(names))
    for name in chosen:
        if name not in TOOLS:
            raise UsageError(unknown("tool", name, TOOLS))
    return chosen


def submit_tool(language: str) -> Tool:
    """Return the tool that hands in an answer and gives what a failed turn would.

    >>> submit_tool("python").name
    'submit'
    """
    title = get_language(language).title
    return Tool(
        SUBMIT,
        "Hand in your answer: the whole program. If it fails its visible test, you are told how, "
        "and may hand in another one.",
        {
            "type": "object",
            "properties": {"code": {"type": "string", "description": f"The {title} program."}},
            "required": ["code"],
            "additionalProperties": False,
        },
    )


class Workbench:
    """The sandbox of all sessions of one task in one process; safe in threads.

    It is opened at the first use. A process that was forked from this one opens its own.
    """

    def __init__(
        self,
        task: Task,
        problems: Iterable[Problem],
        settings: ConversationSettings,
        sandbox: Callable[[], Sandbox],
    ) -> None:
        """`sandbox` opens one, or gives the open one; whoever has it closes it.

        Raises `UsageError` where the task or its language has no such conversations.
        """
        self.task = task
        self.problems = {problem.id: problem for problem in problems}
        self.settings = settings
        check_tools(settings.tools)
        self.identity = settings.identity_of(task, self.problems.values())
        """What tells these conversations from others, their visible tests included."""
        self._open = sandbox
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._limits = MeasuredLimits(Calibration(), Limits())

    def _ready(self, problems: Sequence[Problem]) -> tuple[Sandbox, Bench]:
        """Return the sandbox when the problems' limits are known; raises `SandboxError`."""
        if self._process != os.getpid():
            self._begin()
        sandbox = self._open()
        self._limits.measure(self.task, problems, sandbox)
        return sandbox, Bench(self.task, sandbox, self._limits.limits, self._limits.unsplit)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """All tools of a session, `submit` last."""
        language = self.task.spec.language
        own = schemas(self.settings.tools, language)
        return (*own, submit_tool(language)) if self.settings.turns > 1 else own

    def use(self, problem: Problem, use: Use) -> tuple[str, str, float]:
        """Do what a call of `run` or `read` asks; see `Toolbox.use`."""
        _, bench = self._ready([problem])
        return Toolbox(self.settings.tools, self.task, bench).use(problem, use)

    def check(self, problem: Problem, code: str) -> tuple[bool, str]:
        """Run the visible test on a program; see `Feedback.on`."""
        _, bench = self._ready([problem])
        answer = Answered(
            problem_id=problem.id,
            sample=0,
            prompt_hash="",
            step=0,
            turn=1,
            seed=0,
            text=code,
            finish_reason=str(FinishReason.STOP),
            is_code=True,
        )
        return Feedback(self.task, bench).on(problem, answer)

    def grade(self, answers: Sequence[tuple[Problem, str | None]]) -> list[bool | None]:
        """Return for each program whether all tests pass; None where it could not be run.

        No program is a failure. Equal programs of one problem run once.

        Raises:
            SandboxError: the sandbox is gone, or there is none.
        """
        wanted = [(problem, code) for problem, code in answers if code is not None]
        found: dict[tuple[str, str], Execution | None] = {}
        if wanted:
            sandbox, _ = self._ready([problem for problem, _ in wanted])
            found = run_answers(self.task, sandbox, self._limits, wanted)
        return [False if code is None else _verdict(found[p.id, code]) for p, code in answers]


def _verdict(execution: Execution | None) -> bool | None:
    """Return whether it passes; None for workers that died, and for a problem's broken set-up."""
    if execution is None or execution.setup_error is not None:
        return None
    return execution.passed


class ToolSession:
    """The tools of one rollout; `begin` makes it new. Calls from several threads wait in line."""

    def __init__(self, workbench: Workbench) -> None:
        """`begin` must come before any call."""
        self._workbench = workbench
        self._lock = threading.Lock()
        self._problem: Problem | None = None
        self._clear()

    def _clear(self) -> None:
        self.calls = self.malformed = self.submissions = 0
        self.seconds = 0.0
        self.answer: str | None = None
        """The last program that was handed in."""
        self.accepted = False
        """Whether no other can be handed in: it passes its visible test, or was the last one."""
        self.failure: BaseException | None = None
        """What was wrong with the machine, or here: the rollout has no reward."""

    @property
    def problem(self) -> Problem:
        """The problem; raises `UsageError` before `begin`."""
        if self._problem is None:
            raise UsageError("The session has no problem yet: reset it with a problem's id.")
        return self._problem

    def begin(self, problem_id: object) -> None:
        """Forget everything and take a problem; raises `UsageError` if there is none of this id."""
        known = self._workbench.problems
        if not isinstance(problem_id, str) or problem_id not in known:
            name = problem_id if isinstance(problem_id, str) else repr(problem_id)
            raise UsageError(unknown(f"problem of {self._workbench.task.spec.name}", name, known))
        with self._lock:
            self._problem = known[problem_id]
            self._clear()

    @property
    def hands_in(self) -> bool:
        """Whether the answer is the program handed in last, and not what the model wrote last."""
        return self._workbench.settings.turns > 1

    @property
    def refusal(self) -> str:
        """Which budget is used up; empty if none is."""
        return self._workbench.settings.used_up(self.calls, self.seconds, 0)

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Return what a call gives, for the model; raises nothing that the model could cause.

        What is wrong with the call is told. What is wrong with the machine is kept in `failure`.
        """
        problem = self.problem
        with self._lock:
            if self.failure is not None:
                return _AT_WORK
            try:
                text = json.dumps(dict(arguments))
            except (TypeError, ValueError, RecursionError):
                text = "?"  # nothing that came out of JSON: told as a malformed call
            try:
                if name == SUBMIT and self.hands_in:
                    return self._submit(problem, text)
                return self._use(problem, Call("", name, text[: LONGEST_ARGUMENTS + 1]))
            except Exception as error:  # noqa: BLE001 - a trainer would tell it to the model
                self.failure = error
                return _AT_WORK

    def _use(self, problem: Problem, call: Call) -> str:
        left = max(0.0, self._workbench.settings.tool_seconds - self.seconds)
        use = Use(call, 0, left, self.refusal)
        status, text, seconds = self._workbench.use(problem, use)
        self.calls += status != REFUSED
        self.malformed += status == MALFORMED
        self.seconds += seconds
        if status != REFUSED and self.refusal:
            text = f"{text}\n\n{no_more(self.refusal)}"
        return text

    def _submit(self, problem: Problem, arguments: str) -> str:
        if self.accepted:
            return _ACCEPTED
        try:
            given = parsed(arguments, submit_tool(self._workbench.task.spec.language))
        except MalformedError as error:
            self.malformed += 1
            return f"Error: {error}."
        self.answer = given["code"]
        self.submissions += 1
        if self.submissions >= self._workbench.settings.turns:
            self.accepted = True
            return _ACCEPTED
        self.accepted, text = self._workbench.check(problem, given["code"])
        return _ACCEPTED if self.accepted else text

    def raise_failure(self) -> bool:
        """Return whether the rollout is unscored; raises what must not pass for bad luck.

        Workers that died are bad luck. A sandbox that is gone, and an error of this program, would
        leave every rollout without a reward.
        """
        if self.failure is None:
            return False
        if isinstance(self.failure, SandboxCrashError):
            return True
        raise self.failure
