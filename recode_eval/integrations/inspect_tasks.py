"""Tasks of this package as tasks of inspect_ai, found there by its entry point.

`inspect eval recode_eval/arena_mini` asks the model with the prompt of a task's variant and scores
the answer in this package's sandbox. Every sample's metadata name its cluster, so that the standard
error is clustered. A sample that the machine could not grade is unscored, not wrong.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser
from inspect_ai.scorer import Score, accuracy, scorer, stderr
from inspect_ai.solver import generate

from recode_eval.errors import UsageError
from recode_eval.integrations.graders import shared_grader
from recode_eval.run.config import RunConfig, SandboxOptions
from recode_eval.run.prompts import PromptTemplate
from recode_eval.run.told import one_arm, told
from recode_eval.task_exports import ExportOptions, prompts
from recode_eval.tasks.loading import load_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspect_ai.model import ChatMessage
    from inspect_ai.scorer import Scorer, Target
    from inspect_ai.solver import TaskState

    from recode_eval.models.base import Prompt
    from recode_eval.tasks.base import Problem

TASKS: Final = (
    "arena", "arena-mini", "arena-multi", "gitchameleon", "humaneval", "humaneval-plus",
    "migration", "migration-js", "migration-js-train", "migration-multi", "migration-train",
    "migration-validation", "rustevo",
)  # fmt: skip
"""The tasks with tests; a test holds them against the task folders."""
_ROLES: Final = {
    "system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant,
}  # fmt: skip


def make_task(
    name: str,
    *,
    prompt: str | None = None,
    update_note: bool = True,
    docs: str | None = None,
    data: str | None = None,
    sandbox: str = "auto",
    workers: int | None = None,
) -> Task:
    """Return a task of this package as one of inspect_ai.

    `prompt` is a variant of the task that opens no answer (default: the task's own), `docs` a
    documentation arm; without one, `update_note` tells the model of the update. `data` is a file
    with the rows, `sandbox` a tier. Problems that the arm has nothing for are left out.

    Raises:
        UsageError: there is no such task, variant or arm, or the variant opens the answer.
        DataError, InfrastructureError: those of `load_task` and of asking releases.
    """
    loaded = load_task(name, data)
    options = SandboxOptions(tier=sandbox, workers=workers)
    arm = one_arm(docs, update_note=update_note)
    note, texts = told(loaded, RunConfig(model="", tasks=(name,), docs=arm, sandbox=options))
    asked = prompts(
        loaded, ExportOptions(prompt=prompt, update_note=note, problems=loaded.problems, docs=texts)
    )
    samples = [_sample(problem, rendered) for problem, rendered in asked]
    variant = loaded.task.spec.prompts[prompt or loaded.task.spec.default_prompt]
    template = PromptTemplate.from_file(variant.path)
    return Task(
        dataset=MemoryDataset(samples, name=f"recode_eval/{name}"),
        solver=generate(),
        scorer=recode_grader(name, data, options),
        version=loaded.task.spec.version,
        metadata={
            "data_hash": loaded.data.content_hash,
            "prompt_hash": template.content_hash,
            "docs": arm.arms[0] if texts is None else texts.identity,
        },
    )


def _sample(problem: Problem, rendered: Prompt) -> Sample:
    if rendered.prefill:
        raise UsageError(
            f"The prompt of {problem.id} opens the answer, which not every provider of inspect_ai "
            "takes; choose a variant that does not, such as plain."
        )
    messages: list[ChatMessage] = [_ROLES[m.role](content=m.content) for m in rendered.messages]
    # No target: what is in a log may end in somebody's training data.
    return Sample(
        id=problem.id,
        input=messages,
        metadata={"cluster": problem.cluster, **problem.tags},
    )


@scorer(metrics=[accuracy(), stderr(cluster="cluster")], name="recode_grader")
def recode_grader(name: str, data: str | None, options: SandboxOptions) -> Scorer:
    """Score by the task's tests, in this package's sandbox."""
    grader = shared_grader(load_task(name, data), options)

    async def score(state: TaskState, target: Target) -> Score:
        del target
        answer = [(str(state.sample_id), state.output.completion)]
        [graded] = await anyio.to_thread.run_sync(grader.grade, answer)
        if graded.reward is None:
            return Score.unscored(reason="scoring_failed", explanation=graded.explanation)
        return Score(
            value="C" if graded.reward == 1 else "I",
            answer=graded.code,
            explanation=graded.explanation or "passes all tests",
        )

    return score


def _register(name: str) -> Callable[..., Task]:
    def made(
        prompt: str | None = None,
        update_note: bool = True,
        docs: str | None = None,
        data: str | None = None,
        sandbox: str = "auto",
        workers: int | None = None,
    ) -> Task:
        return make_task(
            name, prompt=prompt, update_note=update_note, docs=docs, data=data, sandbox=sandbox,
            workers=workers,
        )  # fmt: skip

    made.__doc__ = f"The task {name} of recode-eval."
    made.__name__ = made.__qualname__ = name.replace("-", "_")
    registered: Any = partial(task, name=made.__name__)()(made)
    return registered  # type: ignore[no-any-return]


globals().update({name.replace("-", "_"): _register(name) for name in TASKS})
