"""What the arms of a comparison have in common: the pairs they see, and how much training.

A pair that one arm has to leave out (its prompt or its answer is too long) is left out of all.
`prompts`: every arm sees the same pairs equally often. A generation of reinforcement learning takes
several prompts at once and SFT a batch of examples, so the number is a multiple of all of these;
where it is below the number of pairs, a part of the pairs is drawn that all arms train on.
"""

from __future__ import annotations

import dataclasses
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recode_eval.errors import UsageError
from recode_train.batch_math import batch_sizes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from recode_train.config import TrainConfig

_LIMITS: Final = {"tokens": "stop_after_tokens", "seconds": "stop_after_seconds"}
_DRAW: Final = "pairs of a comparison"
"""Seed of the draw: the same pairs for every seed of the trainings."""


@dataclass(frozen=True, slots=True)
class Matched:
    """What the arms have in common."""

    steps: Mapping[str, int]
    """Updates of every arm, at most."""
    pairs: tuple[str, ...]
    """Ids of the pairs that all arms are trained on, in the data's order."""
    left_out: int
    """Pairs that are too long for one arm at least."""
    drawn: bool
    """Whether `pairs` are a part of those that could be used."""
    text: str
    """What is equal, for people."""
    limit: str | None = None
    """The setting that ends a training at its budget: `stop_after_tokens` or `stop_after_seconds`.
    """
    budget: float | None = None
    """Its value; None: what the training of `reference` with the same seed spent."""
    reference: str | None = None
    """The arm with the smallest plan, which is trained first and to its end."""


def match(
    way: str,
    configs: Mapping[str, TrainConfig],
    pairs: Sequence[str],
    unusable: frozenset[str],
    budget: float | None = None,
    roots: Collection[str] | None = None,
) -> Matched:
    """Return what the arms have in common when matched by `way`.

    `configs` are the arms' own, `unusable` the ids of `pairs` that one of them leaves out, `budget`
    the number wanted of what is matched (None: that of the smallest arm), `roots` the arms that
    start from the base (None: all). Raises `UsageError` if there is no such number, or no pair that
    all arms can use.
    """
    usable = tuple(pair for pair in pairs if pair not in unusable)
    if not usable:
        raise UsageError("No pair fits all arms: raise max_prompt_length or max_completion_length.")
    steps = {arm: one.max_steps for arm, one in configs.items()}
    left_out = len(pairs) - len(usable)
    if way == "updates":
        steps = dict.fromkeys(steps, int(budget) if budget else min(steps.values()))
        text = f"updates: {next(iter(steps.values())):,} of every arm"
        return Matched(steps, usable, left_out, drawn=False, text=text)
    if way == "prompts":
        return _by_prompts(configs, usable, left_out, budget)
    if way in _LIMITS:
        reference = None if budget else _smallest(configs, roots)
        whose = f"{budget:,.0f} at most" if budget else f"those of {reference}, at most"
        return Matched(steps, usable, left_out, drawn=False, text=f"{way}: {whose}, of every arm",
                       limit=_LIMITS[way], budget=budget, reference=reference)  # fmt: skip
    return Matched(steps, usable, left_out, drawn=False, text="nothing: every arm's own settings")


def _smallest(configs: Mapping[str, TrainConfig], roots: Collection[str] | None) -> str:
    """Return the arm that plans the fewest tokens: sampled ones are generated and trained on."""

    def planned(arm: str) -> int:
        sizes = batch_sizes(configs[arm])
        trained = sizes.completions_per_step * sizes.steps
        return sizes.completions + trained if configs[arm].samples else trained

    return min((arm for arm in configs if roots is None or arm in roots), key=planned)


def _by_prompts(
    configs: Mapping[str, TrainConfig], usable: tuple[str, ...], left_out: int, budget: float | None
) -> Matched:
    _check_rows(configs)
    units = {arm: prompts_unit(one) for arm, one in configs.items()}
    own = {arm: one.max_steps // units[arm][0] * units[arm][1] for arm, one in configs.items()}
    common = math.lcm(*(prompts for _, prompts in units.values()))
    wanted = int(budget) if budget else min(own.values())
    number = wanted // common * common
    if not number:
        listed = ", ".join(f"{arm} {prompts}" for arm, (_, prompts) in units.items())
        raise UsageError(
            f"--match prompts: the arms take pairs in units of {common} only (a batch of "
            f"{listed}), and {wanted} are fewer. Raise max_steps, or change "
            "per_device_train_batch_size or steps_per_generation so that the batches fit one "
            "another."
        )
    drawn = number < len(usable)
    if drawn:
        chosen = set(random.Random(_DRAW).sample(usable, number))
        usable = tuple(pair for pair in usable if pair in chosen)
    passes = number / len(usable)
    steps = {arm: number // prompts * per for arm, (per, prompts) in units.items()}
    text = f"prompts: {number:,} of every arm ({len(usable):,} pairs, {passes:.3g} passes)"
    return Matched(steps, usable, left_out, drawn=drawn, text=text)


def _check_rows(configs: Mapping[str, TrainConfig]) -> None:
    """Raise `UsageError` for an arm whose steps count rows of several answers, not prompts."""
    for arm, one in configs.items():
        if one.packing and not one.samples and not one.method.compares:
            raise UsageError(
                f"--match prompts: arm {arm} packs several answers into a row (packing), so its "
                "steps do not say how many prompts it sees. Set packing=false, or match by "
                "updates, tokens or seconds."
            )


def prompts_unit(config: TrainConfig) -> tuple[int, int]:
    """Return the fewest updates that use up whole generations, and the prompts that they take.

    >>> from recode_train import TrainConfig
    >>> prompts_unit(TrainConfig(algorithm="grpo", model="m", preset="cpu-demo"))
    (2, 8)
    >>> prompts_unit(TrainConfig(algorithm="sft", model="m", preset="cpu-demo"))
    (1, 32)
    """
    steps = batch_sizes(config).resume_unit
    return steps, batch_sizes(dataclasses.replace(config, max_steps=steps)).prompts
