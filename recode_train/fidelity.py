"""Tell where a run leaves the preset that it names, in ways that its settings do not show.

A preset's batch is that of one process, and its warm-up a share of its own length. More processes,
or fewer steps, change both without a word.
"""

from __future__ import annotations

from recode_train.batch_math import batch_sizes
from recode_train.config import TrainConfig


def deviations(config: TrainConfig) -> list[str]:
    """Return a sentence for each way in which the run is not its preset's.

    >>> from recode_train import TrainConfig
    >>> config = TrainConfig(algorithm="grpo", model="m", preset="paper-grpo", num_processes=4)
    >>> [text.partition(":")[0] for text in deviations(config)]
    ['num_processes 4']
    """
    if config.preset is None:
        return []
    return [*_batch(config), *_warm_up(config)]


def _own(config: TrainConfig) -> TrainConfig:
    """Return the preset itself."""
    return TrainConfig(algorithm=config.algorithm, model=config.model, preset=config.preset)


def _batch(config: TrainConfig) -> list[str]:
    wanted, found = (batch_sizes(one).completions_per_step for one in (_own(config), config))
    if config.num_processes == 1 or wanted == found:
        return []
    unit = "completions" if config.samples else "examples"
    share, rest = divmod(config.per_device_train_batch_size, config.num_processes)
    advice = (
        f"per_device_train_batch_size={share} keeps the preset's"
        if share and not rest and found == wanted * config.num_processes
        else "choose per_device_train_batch_size and gradient_accumulation_steps for all processes"
    )
    text = (
        f"num_processes {config.num_processes}: a step has {found} {unit}, and {wanted} with the "
        f"preset {config.preset} in one process; {advice}."
    )
    return [text]


def _warm_up(config: TrainConfig) -> list[str]:
    own = _own(config)
    if config.max_steps >= own.max_steps or config.warmup_steps != own.warmup_steps:
        return []
    if config.warmup_steps >= config.max_steps or not own.warmup_steps:
        return []  # the first is said elsewhere
    before, now = (one.warmup_steps / one.max_steps for one in (own, config))
    same = round(before * config.max_steps)
    text = (
        f"warmup_steps {config.warmup_steps}: {now:.0%} of max_steps {config.max_steps}, and "
        f"{before:.1%} of the preset {config.preset}; warmup_steps={same} keeps the share."
    )
    return [text]
