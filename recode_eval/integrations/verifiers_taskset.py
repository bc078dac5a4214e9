"""Tasks of this package as a taskset of verifiers (v1), installed as the module `recode_taskset`.

`vf-eval recode-taskset` asks models, `vf-validate recode-taskset` proves the rows: every reference
passes (gold), and no answer does not (noop). A sample that the machine could not grade raises, so
that the rollout has an error and no reward.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import verifiers.v1 as vf
from verifiers.v1.harnesses.null import NullHarness

from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.integrations.graders import shared_grader
from recode_eval.run.config import RunConfig, SandboxOptions
from recode_eval.run.told import one_arm, told
from recode_eval.task_exports import ExportOptions, prompts
from recode_eval.tasks.loading import LoadedTask, load_task

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NullHarness", "RecodeTaskset"]
"""With the taskset, the harness that it has by default: one question, one answer, and no tools.
verifiers' own default gives the model a shell."""


class RecodeData(vf.TaskData):
    """One problem, without its answer and its tests."""

    task: str
    cluster: str
    tags: dict[str, str]
    language: str


class RecodeConfig(vf.TasksetConfig):
    """Which task, and how it is asked and graded."""

    task_name: str = "arena-mini"
    """A task of recode-eval that has tests (`--env.taskset.task-name`)."""
    data: str | None = None
    """A file with its rows."""
    prompt: str | None = None
    """A prompt variant that opens no answer; the task's own by default."""
    update_note: bool = True
    docs: str | None = None
    """A documentation arm, instead of the prompt's own note (docs/documentation-arms.md)."""
    sandbox: str = "auto"
    workers: int | None = None


class RecodeTask(vf.Task[RecodeData]):
    """One problem with its grader."""

    loaded: LoadedTask
    options: SandboxOptions

    def __deepcopy__(self, memo: dict[int, Any]) -> RecodeTask:
        """Copy the data alone: rows and sandbox are shared."""
        del memo
        copied: RecodeTask = self.with_data()
        return copied

    @property
    def key(self) -> str:
        """The problem's id."""
        return f"{self.data.task}/{self.data.id}"

    async def validate(self, runtime: Any) -> bool | None:
        """Whether the reference passes; None where the row has none."""
        del runtime
        code = self.loaded.problem(str(self.data.id)).solutions.get("reference")
        if code is None:
            return None
        return await self._reward(f"```{self.data.language}\n{code}\n```") == 1

    @vf.reward
    async def passes(self, trace: Any) -> float:
        """1 if the last reply's code passes all tests, else 0."""
        return await self._reward(trace.last_reply or "")

    async def _reward(self, text: str) -> float:
        grader = shared_grader(self.loaded, self.options)
        [graded] = await asyncio.to_thread(grader.grade, [(str(self.data.id), text)])
        if graded.reward is None:
            raise InfrastructureError(f"{self.key} could not be graded: {graded.explanation}.")
        return graded.reward


class RecodeTaskset(vf.Taskset[RecodeTask, RecodeConfig]):
    """All problems of one task."""

    def load(self) -> Iterator[RecodeTask]:
        """Yield a task per problem that there is something to show for.

        Raises `UsageError` for an unknown prompt or arm, and a prompt that opens the answer.
        """
        config = self.config
        loaded = load_task(config.task_name, config.data)
        spec = loaded.task.spec
        options = SandboxOptions(tier=config.sandbox, workers=config.workers)
        arm = one_arm(config.docs, update_note=config.update_note)
        run = RunConfig(model="", tasks=(spec.name,), docs=arm, sandbox=options)
        note, docs = told(loaded, run)
        asked = ExportOptions(
            prompt=config.prompt, update_note=note, problems=loaded.problems, docs=docs
        )
        for problem, prompt in prompts(loaded, asked):
            roles = [message.role for message in prompt.messages]
            if prompt.prefill or roles not in (["user"], ["system", "user"]):
                raise UsageError(
                    f"The prompt of {problem.id} opens the answer or shows an example, which "
                    "a task of verifiers cannot; choose another."
                )
            task = RecodeTask(
                RecodeData(
                    id=problem.id,
                    name=problem.id,
                    prompt=prompt.messages[-1].content,
                    system_prompt=prompt.messages[0].content if len(roles) == 2 else None,
                    task=spec.name,
                    cluster=problem.cluster,
                    tags=dict(problem.tags),
                    language=spec.language,
                ),
                config.task,
            )
            task.loaded, task.options = loaded, options
            yield task
