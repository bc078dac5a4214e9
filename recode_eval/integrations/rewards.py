"""Reward functions as trainers call them, with the tests of this package's tasks.

Reached as `recode_eval.rewards`. Nothing of a trainer is imported. What the machine could not grade
is None where the trainer knows it (TRL), and an exception where it does not (verl): never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recode_eval.checks import of_type
from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.forking import RenewedLock
from recode_eval.run.prompts import PromptTemplate
from recode_eval.run.reward import Rewarding, standing_grader
from recode_eval.serving.client import RewardClient, named_url
from recode_eval.tasks.loading import LoadedTask, load_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_eval.run.answering import GradedAnswer
    from recode_eval.run.config import SandboxOptions

__all__ = ["trl", "trl_rows", "verl_compute_score", "verl_compute_score_async", "verl_rows"]

_SOURCE = "recode_eval/"
"""What verl's `data_source` begins with; the task's name follows."""
_clients: dict[tuple[str, str], RewardClient] = {}
_lock = RenewedLock()


def trl(
    task: str | Rewarding,
    *,
    column: str = "problem_id",
    url: str | None = None,
    sandbox: SandboxOptions | str | None = None,
) -> Callable[..., list[float | None]]:
    """Return a reward function for TRL (`GRPOTrainer(reward_funcs=...)`), 1.16.

    It takes completions as texts or as lists of messages, and the problem's id from a `column` of
    the data set; `trl_rows` makes one. An unscored completion is None, which TRL leaves out.
    Answers are graded by the server at `url` (None: the variable RECODE_EVAL_REWARDS_URL), else in
    a `sandbox` of this process; or by what `task` is, a `RewardGrader` or a `RewardClient`.

    Raises:
        UsageError: there is no such task, or it has no tests.

    >>> from recode_eval import load_task, rewards
    >>> reward = rewards.trl("arena-mini")
    >>> reward(completions=["I cannot."], problem_id=[load_task("arena-mini").problems[0].id])
    [0.0]
    """
    grader = task if isinstance(task, Rewarding) else _grader(task, url, sandbox)

    def recode_reward(completions: Sequence[Any], **columns: Sequence[Any]) -> list[float | None]:
        if column not in columns:
            given = ", ".join(sorted(columns)) or "none"
            raise UsageError(
                f"The data set needs a column {column} with the problems' ids (it has: {given}). "
                "recode_eval.rewards.trl_rows makes rows that have it."
            )
        ids = columns[column]
        if len(ids) != len(completions):
            raise UsageError(f"{len(completions)} completions have {len(ids)} values of {column}.")
        texts = map(_text_of, completions)
        return grader.rewards(list(zip(map(str, ids), texts, strict=True)))

    if isinstance(task, str):  # TRL logs the reward by this name
        recode_reward.__name__ = f"recode_{task.replace('-', '_')}"
    return recode_reward


def trl_rows(task: str | LoadedTask, prompt: str | None = None) -> list[dict[str, Any]]:
    """Return a task's problems as rows for TRL: `prompt` (messages) and `problem_id`.

    `prompt` names a variant that opens no answer; None: the task's own. Nothing of tests and
    solutions is in the rows.

    Raises:
        UsageError: there is no such task or variant, or it opens the answer.

    >>> rows = trl_rows("arena-mini")
    >>> sorted(rows[0]), rows[0]["prompt"][0]["role"]
    (['problem_id', 'prompt'], 'user')
    """
    _, prompts = _prompts(task, prompt)
    return [{"prompt": messages, "problem_id": key} for key, messages in prompts.items()]


def verl_rows(task: str | LoadedTask, prompt: str | None = None) -> list[dict[str, Any]]:
    """Return a task's problems as rows for verl's `RLHFDataset`; see `trl_rows`.

    `ground_truth` is the problem's id: the tests stay here.

    >>> verl_rows("arena-mini")[0]["data_source"]
    'recode_eval/arena-mini'
    """
    name, prompts = _prompts(task, prompt)
    return [
        {
            "data_source": f"{_SOURCE}{name}",
            "prompt": messages,
            "ability": "code",
            "reward_model": {"style": "rule", "ground_truth": key},
            "extra_info": {"index": index, "problem_id": key},
        }
        for index, (key, messages) in enumerate(prompts.items())
    ]


def verl_compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    url: str | None = None,
    sandbox: str | None = None,
    **others: object,
) -> float:
    """Return the score of one answer as verl 0.9 asks for it (`custom_reward_function`).

    `data_source` is `recode_eval/TASK`, `ground_truth` the problem's id (`verl_rows` makes both).
    `url` and `sandbox` (a tier's name) may stand in `reward_kwargs`; see `trl`.

    Raises:
        UsageError: there is no such task or problem.
        InfrastructureError: the answer could not be graded. verl has no word for that. Its reward
            manager `rate_limited` would take an exception for a score of 0: use another.

    >>> key = verl_rows("arena-mini")[0]["reward_model"]["ground_truth"]
    >>> verl_compute_score("recode_eval/arena-mini", "I cannot.", key)
    0.0
    """
    del extra_info, others
    grader = _grader(_task_of(data_source), url, sandbox)
    [graded] = grader.grade([(ground_truth, solution_str)])
    return _score(ground_truth, graded)


async def verl_compute_score_async(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    url: str | None = None,
    sandbox: str | None = None,
    **others: object,
) -> float:
    """Return the same as `verl_compute_score`; verl then waits for many answers at once."""
    del extra_info, others
    grader = _grader(_task_of(data_source), url, sandbox)
    [graded] = await grader.agrade([(ground_truth, solution_str)])
    return _score(ground_truth, graded)


def _score(problem_id: str, graded: GradedAnswer) -> float:
    if graded.reward is None:
        raise InfrastructureError(
            f"An answer to {problem_id} could not be graded: {graded.explanation}. It has no score."
        )
    return graded.reward


def _task_of(data_source: object) -> str:
    of_type("data_source", data_source, str, "a text")
    name = str(data_source).removeprefix(_SOURCE)
    if not name or name == data_source:
        raise UsageError(
            f"data_source must be {_SOURCE}TASK, such as {_SOURCE}migration, not {data_source!r}."
        )
    return name


def _grader(task: str, url: str | None, sandbox: SandboxOptions | str | None) -> Rewarding:
    """Return what grades a task: a client of the server, if there is one, else a sandbox here."""
    if not (address := url or named_url()):
        return standing_grader(task, sandbox)
    with _lock.now:
        key = task, address
        if key not in _clients:
            _clients[key] = RewardClient(task, address)
        return _clients[key]


def _prompts(
    task: str | LoadedTask, prompt: str | None
) -> tuple[str, dict[str, list[dict[str, str]]]]:
    loaded = task if isinstance(task, LoadedTask) else load_task(task)
    spec = loaded.task.spec
    variant = spec.prompts.get(prompt or spec.default_prompt)
    if variant is None:
        raise UsageError(
            f"{spec.name} has no prompt {prompt}; choose one of {', '.join(spec.prompts)}."
        )
    template = PromptTemplate.from_file(variant.path)
    found = {}
    for problem in loaded.problems:
        rendered = template.render({**problem.context, "update_note": True})
        if rendered.prefill:
            raise UsageError(
                f"The prompt {template.name} opens the answer, which the trainer would not see; "
                "choose a variant that does not, such as plain."
            )
        found[problem.id] = [{"role": m.role, "content": m.content} for m in rendered.messages]
    return spec.name, found


def _text_of(completion: Any) -> str:
    """Return the text of a completion: itself, or that of its last message of the assistant."""
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Sequence):
        for message in reversed(completion):
            if isinstance(message, Mapping) and message.get("role", "assistant") == "assistant":
                return _content_of(message.get("content"))
        return ""
    raise UsageError(f"A completion is a text or a list of messages, not {completion!r}.")


def _content_of(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    parts = content if isinstance(content, Sequence) else ()
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, Mapping))
