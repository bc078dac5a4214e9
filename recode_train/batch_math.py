"""Work out what a configuration means: batches, generations, steps, settings without effect.

Pure functions of the configuration; nothing is loaded. Units are in the names: a *completion* is
one sampled answer (SFT: an example), a *prompt* has `num_generations` completions, a *step* is one
update of the weights. The rules are those of TRL 1.16's GRPOTrainer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from recode_eval.errors import UsageError
from recode_train.config import SETTINGS, TrainConfig


@dataclass(frozen=True, slots=True)
class BatchSizes:
    """Sizes and counts of a run; those of generation are 0 for SFT."""

    completions_per_backward: int
    """Of one process."""
    completions_per_step: int
    """Of all processes."""
    prompts_per_step: float
    completions_per_generation: int
    prompts_per_generation: int
    updates_per_generation: float
    generations: int
    """Without those that dynamic sampling adds."""
    completions: int
    """Completions generated (SFT: examples trained on) in the whole run."""
    prompts: int
    tokens_at_most: int
    """Completion tokens, if every completion had `max_completion_length`."""
    steps: int
    resume_unit: int
    """Checkpoints at multiples of so many steps continue exactly."""
    epochs: float | None
    """Passes over the pairs; None where their number is not known."""


def batch_sizes(config: TrainConfig, pairs: int | None = None) -> BatchSizes:
    """Return the sizes of a run over `pairs` training pairs."""
    per_step = (
        config.per_device_train_batch_size
        * config.num_processes
        * config.gradient_accumulation_steps
    )
    if not config.samples:
        seen = per_step * config.max_steps
        return BatchSizes(
            completions_per_backward=config.per_device_train_batch_size,
            completions_per_step=per_step,
            prompts_per_step=float(per_step),
            completions_per_generation=0,
            prompts_per_generation=0,
            updates_per_generation=0.0,
            generations=0,
            completions=seen,
            prompts=seen,
            tokens_at_most=seen * config.max_completion_length,
            steps=config.max_steps,
            resume_unit=1,
            # How many answers a row holds is known once they are tokenized.
            epochs=seen / pairs if pairs and not config.packing else None,
        )
    batch = generation_batch(config)
    backwards = config.max_steps * config.gradient_accumulation_steps
    generations = math.ceil(backwards / _backwards_per_generation(config))
    prompts = generations * batch // config.num_generations
    return BatchSizes(
        completions_per_backward=config.per_device_train_batch_size,
        completions_per_step=per_step,
        prompts_per_step=per_step / config.num_generations,
        completions_per_generation=batch,
        prompts_per_generation=batch // config.num_generations,
        updates_per_generation=_backwards_per_generation(config)
        / config.gradient_accumulation_steps,
        generations=generations,
        completions=generations * batch,
        prompts=prompts,
        tokens_at_most=generations * batch * config.max_completion_length,
        steps=config.max_steps,
        resume_unit=_resume_unit(config),
        epochs=prompts / pairs if pairs else None,
    )


def generation_batch(config: TrainConfig) -> int:
    """Return the completions of one generation, over all processes."""
    return config.per_device_train_batch_size * config.num_processes * config.steps_per_generation


def _backwards_per_generation(config: TrainConfig) -> int:
    return config.steps_per_generation * config.num_iterations


def _resume_unit(config: TrainConfig) -> int:
    """Return the steps after which a generation is used up at a step's end."""
    every = _backwards_per_generation(config)
    return every // math.gcd(every, config.gradient_accumulation_steps)


def validate(config: TrainConfig, pairs: int | None = None) -> None:
    """Refuse settings that would fail later; with `pairs`, also those that need more pairs.

    Raises:
        UsageError: the message has the numbers and what to change.
    """
    if not config.samples:
        return
    batch, group = generation_batch(config), config.num_generations
    if batch % group:
        raise UsageError(
            f"One generation has {batch} completions (per_device_train_batch_size "
            f"{config.per_device_train_batch_size} x num_processes {config.num_processes} x "
            f"steps_per_generation {config.steps_per_generation}), which is not a multiple of "
            f"num_generations {group}; change one of them, for example "
            f"steps_per_generation={_fitting_steps(config)}."
        )
    unit = _resume_unit(config)
    if config.save_steps % unit and config.save_steps < config.max_steps:
        near = math.ceil(config.save_steps / unit) * unit
        raise UsageError(
            f"A checkpoint every {config.save_steps} steps would fall inside a generation, from "
            f"which a run cannot continue exactly; save_steps must be a multiple of {unit}, for "
            f"example save_steps={near}."
        )
    if pairs is not None and pairs < batch // group:
        raise UsageError(
            f"One generation takes {batch // group} different prompts, but only {pairs} training "
            "pairs are usable; lower steps_per_generation or per_device_train_batch_size, or "
            "raise num_generations."
        )


def check_context(config: TrainConfig, context: int | None, longest: int) -> None:
    """Raise `UsageError` if the model's context is too short; `longest` is the longest prompt.

    With tools TRL asks for a whole completion after the last result, and cuts it afterwards.
    """
    share = 2 if has_tools(config) else 1
    wanted = longest + share * config.max_completion_length
    if context is not None and 0 < context < wanted:
        raise UsageError(
            f"The model takes {context} tokens, but the longest prompt ({longest}) and "
            f"max_completion_length ({config.max_completion_length}"
            f"{', twice with tools' if share > 1 else ''}) need {wanted}; lower "
            "max_completion_length or max_prompt_length."
        )


def _fitting_steps(config: TrainConfig) -> int:
    """Return the next larger `steps_per_generation` with which groups fill the batch."""
    unit = config.per_device_train_batch_size * config.num_processes
    fitting = config.num_generations // math.gcd(config.num_generations, unit)
    return math.ceil(config.steps_per_generation / fitting) * fitting


_RL_ONLY: Final = (
    "num_generations", "steps_per_generation", "num_iterations", "temperature", "top_p", "top_k",
    "loss_type", "importance_sampling_level", "beta", "epsilon", "epsilon_high", "delta",
    "scale_rewards", "mask_truncated_completions", "use_bias_correction_kl", "dynamic_sampling",
    "dynamic_sampling_rounds", "max_barren_batches", "rewards", "overlong_cache", "use_vllm",
    "tools", "turns",
)  # fmt: skip
_VLLM: Final = (
    "vllm_mode", "vllm_server_base_url", "vllm_gpu_memory_utilization",
    "vllm_tensor_parallel_size",
)  # fmt: skip
_LORA: Final = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules")
_ASKING: Final = ("num_generations", "temperature", "top_p", "use_vllm")
_OF_A_LOSS: Final = ("loss_type", "importance_sampling_level", "delta", "scale_rewards",
                     "use_bias_correction_kl", "dynamic_sampling")  # fmt: skip
_EVALUATION: Final = ("eval_tasks", "eval_limit", "eval_n", "eval_temperature")


def warnings(config: TrainConfig) -> list[str]:
    """Return a sentence for each setting that cannot have an effect, or hardly any."""
    found = _unused(config)
    if config.samples:
        found += _without_effect(config)
    if config.warmup_steps >= config.max_steps:
        found.append(
            f"warmup_steps {config.warmup_steps} is not below max_steps {config.max_steps}: the "
            "learning rate never reaches its value."
        )
    if config.packing and not config.samples and config.attn_implementation is None:
        found.append(
            "packing: a row holds several answers, so a step learns more of them than the plan "
            "counts. Attention that keeps them apart without a large mask needs "
            "attn_implementation=flash_attention_2."
        )
    if evaluates(config):
        found += _chosen_on_tests(config)
    if evaluates(config) and (config.eval_steps or 0) > config.max_steps:
        found.append("eval_steps is above max_steps: the training evaluates nothing.")
    return found


def _changed(config: TrainConfig) -> set[str]:
    """Return the settings that are not what the algorithm and the preset say."""
    plain = TrainConfig(algorithm=config.algorithm, preset=config.preset, model=config.model)
    return {name for name in SETTINGS if getattr(config, name) != getattr(plain, name)}


def _unused(config: TrainConfig) -> list[str]:
    changed = _changed(config)
    groups: list[tuple[tuple[str, ...], bool, str]] = [
        (
            tuple(name for name in _RL_ONLY if name not in config.method.uses),
            not config.samples,
            f"{config.method.label} has no rewards while it trains"
            if config.method.asks
            else f"{config.method.label} samples nothing and has no rewards",
        ),
        (
            _ASKING,
            config.method.asks and config.completions is not None,
            "completions names the answers, so none are sampled",
        ),
        (("dpo_loss",), not config.method.compares, f"{config.label} compares no answers"),
        (("completions",), config.samples, f"{config.label} samples its own completions"),
        (
            ("completions_per_problem", "keep_reward", "keep_at_least"),
            config.samples or not (config.method.asks or config.completions is not None),
            "no recorded answers are learnt (completions is not set)",
        ),
        (("packing",), config.samples or config.method.compares, "only answers learnt are packed"),
        (_LORA, config.tuning == "full", "tuning=full trains all weights, without an adapter"),
        (_VLLM, not config.use_vllm, "use_vllm is false"),
        (_EVALUATION, config.eval_steps is None, "eval_steps is not set"),
        (
            ("sandbox", "sandbox_workers"),
            not (
                evaluates(config)
                or "tests" in config.rewards
                or has_tools(config)
                or config.method.asks
            )
            or (not config.samples and not config.method.asks and not evaluates(config)),
            "no program is run: the reward tests has no weight, there are no tools, no evaluation",
        ),
        (("eval_steps",), not config.eval_tasks, "eval_tasks is empty"),
    ]
    if config.samples:
        arguments = config.method.trl_arguments
        groups += [
            (
                _OF_A_LOSS,
                bool(arguments) and "loss_type" not in arguments,
                f"{config.label} has a loss of its own and samples a batch once",
            ),
            (
                ("dynamic_sampling_rounds",),
                not config.dynamic_sampling,
                "dynamic_sampling is false",
            ),
            (("tool_calls", "tool_seconds"), not config.tools, "tools is empty"),
            (("overlong_cache",), not _weight(config, "overlong"), "the reward overlong is off"),
            (("use_bias_correction_kl",), config.beta == 0, "beta is 0"),
            (
                ("epsilon", "epsilon_high", "delta"),
                config.loss_type in {"sapo", "vespo"},
                f"loss_type {config.loss_type} clips nothing",
            ),
            (
                ("epsilon", "delta"),
                config.loss_type == "cispo",
                "loss_type cispo bounds the ratio by epsilon_high alone",
            ),
        ]  # fmt: skip
    return [
        f"{', '.join(sorted(inert))}: without effect, because {reason}."
        for names, applies, reason in groups
        if applies and (inert := changed & set(names))
    ]


def _without_effect(config: TrainConfig) -> list[str]:
    found = []
    if config.gradient_accumulation_steps % _backwards_per_generation(config) == 0:
        found.append(
            "epsilon and epsilon_high: without effect, because every generation feeds one update "
            "and the ratio of probabilities is 1; clipping needs steps_per_generation x "
            "num_iterations above gradient_accumulation_steps."
        )
    graded = [name for name in ("es_star", "es") if _weight(config, name)]
    if config.dynamic_sampling and graded:
        found.append(
            "dynamic_sampling: little effect once the model writes programs, because with the "
            f"reward {graded[0]} almost no group has exactly equal rewards; it matters with "
            "em_star or tests."
        )
    if config.dynamic_sampling and config.dynamic_sampling_rounds == 1:
        found.append("dynamic_sampling_rounds is 1: the trainer never replaces dropped groups.")
    if _weight(config, "overlong"):
        found += _overlong(config)
    if has_tools(config):
        found += _with_tools(config)
    return found


def evaluates(config: TrainConfig) -> bool:
    """Tell whether the model is evaluated while it is trained."""
    return config.eval_steps is not None and bool(config.eval_tasks)


def _chosen_on_tests(config: TrainConfig) -> list[str]:
    from recode_train.data import TEST_TASKS

    tests = sorted(set(config.eval_tasks) & set(TEST_TASKS.values()))
    return [
        f"eval_tasks: {name} is what models are compared on; a step or a setting that is chosen by "
        "it is chosen on the test. Use migration-validation to choose."
        for name in tests
    ]


def has_tools(config: TrainConfig) -> bool:
    """Tell whether the model may call tools while it is trained, `submit` included."""
    return config.samples and (bool(config.tools) or config.turns > 1)


def _with_tools(config: TrainConfig) -> list[str]:
    found = []
    if _weight(config, "overlong"):
        found.append(
            "the reward overlong: it counts what tools told the model, too, because "
            "max_completion_length limits the whole conversation."
        )
    if evaluates(config):
        found.append(
            "eval_tasks: evaluations during the training ask for one answer without tools; "
            "evaluate checkpoints on a server with recode-eval --tools."
        )
    return found


def _overlong(config: TrainConfig) -> list[str]:
    found = []
    if config.overlong_cache == 0:
        found.append(
            "the reward overlong: without effect, because overlong_cache is 0 and no completion "
            "exceeds max_completion_length."
        )
    if config.overlong_cache >= config.max_completion_length:
        found.append(
            f"overlong_cache {config.overlong_cache} is not below max_completion_length "
            f"{config.max_completion_length}: the penalty applies to completions of any length."
        )
    if config.mask_truncated_completions:
        found.append(
            "the reward overlong: weakened, because mask_truncated_completions excludes truncated "
            "completions, which it penalizes most, from the loss."
        )
    return found


def _weight(config: TrainConfig, name: str) -> float:
    return config.rewards.get(name, 0.0)
