"""What a model is trained on: prompts, perfect answers or rewards, and their provenance."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recode_train.budget import Budget
from recode_train.own_rewards import is_own, source_hash
from recode_train.prompts import THINK_ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recode_eval.run.config import SandboxOptions
    from recode_eval.run.sandboxes import Sandboxes
    from recode_eval.run.tool_sessions import Workbench
    from recode_eval.sandbox.base import Sandbox
    from recode_train.config import TrainConfig
    from recode_train.data import PairSet
    from recode_train.prompts import TrainingPrompt
    from recode_train.rewards import Rewards


def _sandboxes(options: SandboxOptions | None = None) -> Sandboxes:
    from recode_eval.run.config import SandboxOptions
    from recode_eval.run.sandboxes import Sandboxes

    return Sandboxes(options or SandboxOptions())


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Everything that the training pairs come to for one tokenizer."""

    tokenizer: Any
    prompts: Sequence[TrainingPrompt]
    completions: Mapping[str, Sequence[str]]
    """Pair -> what follows its prompt in the turns to learn."""
    rewards: Rewards | None
    """Reward functions, where completions are sampled."""
    data_hash: str
    prompt: str = THINK_ANSWER
    """Name of the prompt variant, or the template file, that `prompts` were rendered with."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    sandboxes: Sandboxes = field(default_factory=_sandboxes)
    """Where programs of rewards and evaluations run; each is opened when it is first needed."""
    pairs: PairSet | None = None
    """What it was made of."""
    preferences: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    """Pair -> good and bad turns to compare."""
    sampled: Budget = field(default_factory=Budget)
    """What was spent before the training: completions, their tokens, time."""
    workbench: Workbench | None = None
    """Where the tools of rollouts work; None: the model answers once, without tools."""
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """Closes the sandboxes that were opened."""

    @property
    def count(self) -> int:
        """How many different things an epoch has: prompts, answers, or pairs of answers."""
        learnt = [*self.completions.values(), *self.preferences.values()]
        return sum(map(len, learnt)) or len(self.prompts)


def prepare(config: TrainConfig, pairs: PairSet, tokenizer: Any) -> TrainingData:
    """Render the prompts and build what the algorithm needs.

    Raises:
        UsageError: a prompt cannot be rendered, none is short enough, or too few are left.
        DataError: a reference cannot be an answer (SFT), or a recorded answer is test data.
        BarrenError: no recorded answer can be learnt from.
    """
    from recode_train import tool_calls
    from recode_train.batch_math import validate
    from recode_train.prompts import perfect_answers, prompt_template, training_prompt
    from recode_train.trainers import answers

    template = prompt_template(pairs, config.prompt)
    closing = contextlib.ExitStack()
    sandboxes = closing.enter_context(_sandboxes(sandbox_options(config)))
    # Tools, rewards and evaluations share it; an answer cannot reach the tests that pay for it.
    opener = sandboxes.opener(pairs.task_object, "split")
    workbench = tool_calls.open_workbench(config, pairs, opener)
    prompts, overlong = tool_calls.render_prompts(config, pairs, tokenizer, workbench, template)
    completions: dict[str, str] = {}
    cut: list[str] = []
    if config.learns_references:
        completions, cut = perfect_answers(pairs, prompts, tokenizer, config.max_completion_length)
        prompts = [prompt for prompt in prompts if prompt.pair_id in completions]
    validate(config, len(prompts))
    rewards = None
    if config.samples:
        rewards = _rewards(config, pairs, prompts, opener)
        closing.callback(rewards.close)
    prompt = training_prompt(pairs.task_object.spec, config.prompt)
    made = TrainingData(
        tokenizer=tokenizer,
        prompts=prompts,
        completions={pair: (text,) for pair, text in completions.items()},
        rewards=rewards,
        data_hash=pairs.content_hash,
        prompt=prompt,
        provenance={
            "source": pairs.source,
            "data_hash": pairs.content_hash,
            "pairs": len(pairs.pairs),
            "prompts": len(prompts),
            "prompt": prompt,
            "prompt_hash": template.content_hash,
            "overlong_prompts": overlong,
            "overlong_completions": cut,
            **own_sources(config),
            **({} if workbench is None else {"conversations": workbench.identity}),
        },
        sandboxes=sandboxes,
        pairs=pairs,
        workbench=workbench,
        closing=closing,
    )
    if config.samples or config.completions is None:
        return made
    return answers.learnt(config, answers.read(config, config.completions, made), made)


def own_sources(config: TrainConfig) -> dict[str, Any]:
    """Return the hashes of the reward functions of the user's own, where there are any."""
    own = [name for name in config.rewards if is_own(name)] if config.samples else []
    return {"reward_sources": {name: source_hash(name) for name in own}} if own else {}


def _rewards(
    config: TrainConfig,
    pairs: PairSet,
    prompts: Sequence[TrainingPrompt],
    opener: Callable[[], Sandbox],
) -> Rewards:
    from recode_train.batch_math import has_tools
    from recode_train.rewards import build_rewards

    return build_rewards(
        config.rewards,
        pairs,
        prefills={prompt.pair_id: prompt.prefill for prompt in prompts},
        sandbox=opener,
        completion_limit=config.max_completion_length,
        cache=config.overlong_cache,
        shared=not has_tools(config),
    )


def sandbox_options(config: TrainConfig) -> SandboxOptions:
    """Return where the programs of a training run.

    Processes of one machine share one sandbox (`shared_runner`). With tools each has its own, and
    they share the cores, unless `sandbox_workers` says how many each takes.
    """
    from recode_eval.run.config import SandboxOptions
    from recode_train.batch_math import has_tools

    workers = config.sandbox_workers
    processes = os.environ.get("LOCAL_WORLD_SIZE", "")  # set by launchers
    if workers is None and has_tools(config) and processes.isdecimal() and int(processes) > 1:
        workers = max(1, len(os.sched_getaffinity(0)) // int(processes))
    return SandboxOptions(tier=config.sandbox, workers=workers)
