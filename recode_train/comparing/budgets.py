"""What a training of a comparison has seen and spent, in units that all algorithms share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recode_train.trainers.ordering import PromptStream, long_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_train.config import TrainConfig
    from recode_train.trainers import TrainResult


def spent(result: TrainResult) -> dict[str, Any]:
    """Return the counts of a training: those of its budget, and what it has seen of the pairs."""
    from recode_train.batch_math import batch_sizes
    from recode_train.config import TrainConfig

    settings = {**result.report["config"], "max_steps": result.steps}
    config = TrainConfig(**settings)
    pairs = int(result.report["data"]["prompts"])
    prompts = batch_sizes(config, pairs).prompts
    refills = max(0, result.budgets.get("groups_sampled", 0) - prompts)
    packed = config.packing and not config.samples and not config.method.compares
    if packed:  # steps count rows, and what a row holds is known only while it is trained on
        return {"steps": result.steps, "prompts": None, "pairs": None, "passes": None,
                **result.budgets}  # fmt: skip
    # Answers, not pairs, are what RFT and DPO go through; they were asked for every pair.
    answers = "answers" in result.report["data"]
    seen = pairs if answers else len(seen_pairs(config, pairs, prompts, result.budgets))
    return {
        "steps": result.steps,
        "prompts": prompts + refills,
        "pairs": seen,
        "passes": None if answers else round((prompts + refills) / pairs, 3),
        **result.budgets,
    }


def seen_pairs(
    config: TrainConfig, pairs: int, prompts: int, budgets: Mapping[str, Any]
) -> frozenset[int]:
    """Return the positions of the pairs that a training has drawn.

    The order of `trainers.ordering` depends on seed and position alone. Dynamic sampling passes
    over what its batch holds already, which has been seen, so its stream is read as a whole.
    """
    seen = set(long_order(pairs, prompts, str(config.seed)))
    if cursor := int(budgets.get("refill_cursor", 0)):
        seen.update(PromptStream(pairs, f"{config.seed}:refill").take(min(cursor, pairs)))
    return frozenset(seen)
