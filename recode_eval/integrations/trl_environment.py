"""Environments for TRL's GRPOTrainer (`environment_factory`): tools and rewards of one task.

TRL calls every public method of an environment but `reset` and `get_reward` a tool, reads its
schema from signature and docstring, and shows an exception to the model as the tool's result. It
gives the text of an answer to reward functions alone: `get_reward` gets nothing. So an answer in
the last message is graded by a reward function, and only one that was handed in by a tool by
`get_reward`. Nothing of TRL is imported.
"""

from __future__ import annotations

import atexit
import inspect
import os
from typing import TYPE_CHECKING, Any, Final

from recode_eval.conversations.settings import ConversationSettings
from recode_eval.errors import UsageError
from recode_eval.run.config import SandboxOptions, options_of
from recode_eval.run.config_parts import ConversationOptions
from recode_eval.run.sandboxes import Sandboxes
from recode_eval.run.tool_sessions import ToolSession, Workbench, check_tools
from recode_eval.tasks.answers import find_code
from recode_eval.tasks.loading import LoadedTask, load_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from recode_eval.models.base import Tool
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.base import Problem

_TYPES: Final[dict[str, type]] = {"string": str, "integer": int}
_LINES: Final = {
    "first_line": "The first line to read, from 1.",
    "last_line": "The last line to read.",
}
"""What a schema of a server need not say, and transformers does."""


class TrlEnvironment:
    """One rollout. Its tools are the methods that `environment_class` adds."""

    def __init__(self, workbench: Workbench, column: str) -> None:
        """`column` of the data set has the problems' ids."""
        self.session = ToolSession(workbench)
        self._workbench = workbench
        self._column = column

    def reset(self, **columns: Any) -> None:
        """Forget the last rollout and take the problem of an example.

        Raises `UsageError` for an example without a problem of the task.
        """
        if self._column not in columns:
            given = ", ".join(sorted(map(str, columns))) or "none"
            raise UsageError(
                f"The data set needs a column {self._column} with the problems' ids (it has: "
                f"{given}). recode_eval.rewards.trl_rows makes rows that have it."
            )
        self.session.begin(columns[self._column])


def environment_class(tools: Iterable[Tool], *, rewarding: bool) -> type[TrlEnvironment]:
    """Return a class of environments with these tools; with `get_reward`, if `rewarding`."""
    members: dict[str, Any] = {tool.name: _method(tool) for tool in tools}
    if rewarding:
        members["get_reward"] = _get_reward
    members["__doc__"] = TrlEnvironment.__doc__
    return type("RecodeEnvironment", (TrlEnvironment,), members)


def _get_reward(self: TrlEnvironment) -> float | None:
    """Return the reward of the last program that was handed in: 1.0, 0.0, or None: unscored.

    Raises `InfrastructureError` where the sandbox is gone.
    """
    if self.session.raise_failure():
        return None
    [passed] = self._workbench.grade([(self.session.problem, self.session.answer)])
    return None if passed is None else float(passed)


def _method(tool: Tool) -> Callable[..., str]:
    """Return a method that takes whatever a model calls it with, and shows the tool's schema."""

    def call(self: TrlEnvironment, /, *values: Any, **arguments: Any) -> str:
        names = list(tool.parameters["properties"])
        return self.session.call(tool.name, {**dict(zip(names, values, strict=False)), **arguments})

    required = tool.parameters["required"]
    hints: dict[str, Any] = {}
    lines = []
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    for name, schema in tool.parameters["properties"].items():
        hint: Any = _TYPES[schema["type"]]
        default: Any = inspect.Parameter.empty
        if name not in required:
            hint, default = hint | None, None
        hints[name] = hint
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters.append(inspect.Parameter(name, kind, annotation=hint, default=default))
        lines.append(f"    {name}: {schema.get('description') or _LINES[name]}")
    call.__name__ = call.__qualname__ = tool.name
    call.__doc__ = "\n".join([tool.description, "", "Args:", *lines])
    call.__annotations__ = {**hints, "return": str}
    call.__signature__ = inspect.Signature(parameters, return_annotation=str)  # type: ignore[attr-defined]
    return call


def final_text(completion: Any) -> str:
    r"""Return the answer of a completion as TRL hands it over: a text, or a list of messages.

    It is what the model wrote last, with its thoughts as it opened and closed them. A model that
    wrote nothing after a tool's result has no answer.

    >>> final_text([{"role": "assistant", "content": "x = 1"}])
    'x = 1'
    >>> final_text([{"role": "assistant", "content": "", "tool_calls": []}, {"role": "tool"}])
    ''
    """
    if isinstance(completion, str):
        return completion
    last = completion[-1] if completion else {}
    if last.get("role") != "assistant":
        return ""
    content = last.get("content") or ""
    thoughts = last.get("reasoning_content")
    return f"<think>\n{thoughts}\n</think>\n\n{content}" if thoughts else str(content)


class TrlEnvironments:
    """The environments of one task, and everything that TRL wants beside them; see `docs`.

    Call it for an instance: TRL does, once for each rollout of a batch, and uses them again.
    """

    def __init__(
        self,
        loaded: LoadedTask,
        settings: ConversationSettings,
        options: SandboxOptions,
        column: str,
    ) -> None:
        """Open nothing yet. Raises `UsageError` for a task without such conversations."""
        self._loaded, self._options, self._column = loaded, options, column
        self._workbench = Workbench(loaded.task, loaded.problems, settings, self._sandbox)
        submits = settings.turns > 1
        self._class = environment_class(self._workbench.tools, rewarding=submits)
        self.reward_funcs: list[Callable[..., list[float | None]]] = (
            [] if submits else [self.reward]
        )
        """TRL's argument of that name: with turns `get_reward` is the reward, and there is none."""
        self.max_tool_calling_iterations = most_iterations(settings)
        """TRL's setting of that name: a model that used up its budgets may write one answer."""
        self._begin()
        atexit.register(self.close)

    def _begin(self) -> None:
        self._process = os.getpid()
        self._sandboxes = Sandboxes(self._options)

    def _sandbox(self) -> Sandbox:
        if self._process != os.getpid():
            self._begin()
        return self._sandboxes.opener(self._loaded.task, "split")()

    def __call__(self) -> TrlEnvironment:
        """Return an environment; all of them share one sandbox."""
        return self._class(self._workbench, self._column)

    def reward(
        self, completions: Sequence[Any], environments: Sequence[Any], **_: Any
    ) -> list[float | None]:
        """Return the reward of each rollout, as TRL asks for it: 1.0, 0.0, or None: unscored.

        The answer is the program that was handed in last, if programs are; else the code in the
        last message, found as in an evaluation. All are graded at once.

        Raises:
            InfrastructureError: the sandbox is gone.
        """
        lost = [environment.session.raise_failure() for environment in environments]
        answers = list(map(self._answer, completions, environments))
        wanted = [answer for answer, gone in zip(answers, lost, strict=True) if not gone]
        graded = iter(self._workbench.grade(wanted))
        found = [None if gone else next(graded) for gone in lost]
        return [None if passed is None else float(passed) for passed in found]

    def _answer(self, completion: Any, environment: Any) -> tuple[Problem, str | None]:
        session = environment.session
        if session.hands_in:
            return session.problem, session.answer
        found = find_code(self._loaded.task, session.problem, final_text(completion))
        return session.problem, found.code

    def close(self) -> None:
        """Close the sandbox. Idempotent; a forked process leaves its parent's open."""
        if self._process == os.getpid():
            self._sandboxes.close()


def most_iterations(settings: ConversationSettings) -> int:
    """Return how often TRL may answer calls: as often as the budgets allow, one call a message."""
    calls = settings.tool_calls if settings.tools else 0
    return calls + (settings.turns if settings.turns > 1 else 0)


def trl_environment(
    task: str | LoadedTask,
    tools: Iterable[str] = ("run", "read"),
    *,
    turns: int = 1,
    tool_calls: int = 16,
    tool_seconds: float = 120.0,
    column: str = "problem_id",
    sandbox: SandboxOptions | str | None = None,
) -> TrlEnvironments:
    """Return environments for TRL 1.16 (`GRPOTrainer(environment_factory=...)`).

    `tools` are `run` and `read`, with budgets of `tool_calls` and `tool_seconds` for each rollout.
    With one turn the answer is the last message. With `turns` above 1 there is a tool `submit`,
    which takes a program at most so many times and tells how it fails its visible test; the answer
    is the program handed in last. `column` of the data set has the problem's id. All environments
    share one `sandbox`, opened at the first call. `recode_eval.rewards.trl_rows` makes the rows.

    Raises:
        UsageError: there is no such task or tool, no tool at all, or the task has no tests.

    >>> from recode_eval import rewards
    >>> environments = trl_environment("arena-mini", ("run",))
    >>> environment = environments()
    >>> environment.reset(**rewards.trl_rows("arena-mini")[0])
    >>> environment.run(code="print(6 * 7)").splitlines()[-1]
    '42'
    >>> environments.reward(completions=["I cannot."], environments=[environment])
    [0.0]
    """
    given = {"turns": turns, "tools": tools, "tool_calls": tool_calls, "tool_seconds": tool_seconds}
    settings = _settings(given)
    options = options_of(
        SandboxOptions, "sandbox", SandboxOptions() if sandbox is None else sandbox, "tier"
    )
    loaded = task if isinstance(task, LoadedTask) else load_task(task)
    return TrlEnvironments(loaded, settings, options, column)


def _settings(given: Mapping[str, Any]) -> ConversationSettings:
    """Return the conversations that were asked for; raises `UsageError`."""
    named = given["tools"]
    tools = check_tools([named] if isinstance(named, str) else named)
    made = ConversationOptions(**{**given, "tools": tools})
    if made.turns == 1 and not made.tools:
        raise UsageError("An environment needs tools (run, read), or turns above 1.")
    return ConversationSettings(made.turns, tools, made.tool_calls, made.tool_seconds)
