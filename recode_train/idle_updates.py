"""Skip updates that nothing was learned for: no gradient, but an optimizer's momentum would move.

In a generation whose groups are all flat, or all unscored, every gradient is zero without a KL
penalty. Adam would still move the weights, by what it remembers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recode_train.stopping import BarrenError

if TYPE_CHECKING:
    from recode_train.budget import Budget


class IdleUpdates:
    """A callback that takes gradients of zero from the optimizer, which then leaves the weights."""

    def __init__(self, budget: Budget, most: int | None) -> None:
        """Count in `budget`; stop the training after `most` idle updates in a row (None: never)."""
        self._budget = budget
        self._most = most
        self._trainer: Any = None

    def watch(self, trainer: Any) -> None:
        """Look at the gradients of a trainer of transformers."""
        self._trainer = trainer

    def on_pre_optimizer_step(self, _args: Any, state: Any, _control: Any, **more: Any) -> None:
        """Drop the gradients if all of them are zero, in all processes; raises `BarrenError`."""
        accelerator = self._trainer.accelerator
        # A gradient scaler (float16) refuses a step without any gradient.
        if getattr(accelerator, "scaler", None) is not None:
            return
        weights = [w for w in self._trainer.model.parameters() if w.grad is not None]
        if not weights:  # a library with an engine of its own keeps them elsewhere
            return
        if accelerator.gather(_any_nonzero(weights, accelerator.device)).any():
            self._budget.updates_idle_in_a_row = 0
            groups = getattr(more.get("optimizer"), "param_groups", None)
            if groups and all(float(group["lr"]) == 0 for group in groups):
                self._budget.updates_at_rate_zero += 1
            return
        for weight in weights:
            weight.grad = None
        self._budget.updates_idle += 1
        self._budget.updates_idle_in_a_row += 1
        if self._most is not None and self._budget.updates_idle_in_a_row >= self._most:
            raise BarrenError(
                f"The training stopped before step {state.global_step + 1}: {self._most} updates "
                "in a row had no gradient, because all rewards of each group were equal or "
                f"missing. {_ADVICE} max_barren_batches sets how many updates it waits for (null: "
                "it never stops). Checkpoints are kept."
            )

    def check(self, steps: int) -> None:
        """Raise `BarrenError` if none of the run's `steps` moved a weight."""
        if 0 < steps <= self._budget.updates_idle:
            raise BarrenError(
                f"None of the {steps} updates had a gradient, so the model is the one that the "
                f"training began with; no result was written. {_ADVICE}"
            )
        if 0 < steps <= self._budget.updates_idle + self._budget.updates_at_rate_zero:
            raise BarrenError(
                f"None of the run's {steps} steps had both a gradient and a learning rate above "
                "0, so the model is the one that the training began with; no result was written. "
                "The first step of a warm-up has the rate 0: set warmup_steps=0, or make more "
                "steps (max_steps, or a larger budget)."
            )


_ADVICE = (
    "The task may be too hard or too easy for this model, or a reward never varies: see the "
    "rewards in train.jsonl; choose other rewards or pairs, raise temperature or num_generations."
)


def _any_nonzero(weights: list[Any], device: Any) -> Any:
    """Return a tensor with one truth value: whether any gradient of this process is not zero."""
    import torch

    found = []
    for weight in weights:
        gradient = weight.grad
        local = gradient.to_local() if hasattr(gradient, "to_local") else gradient  # a shard of it
        found.append(local.detach().ne(0).any().to(device))
    return torch.stack(found).any().reshape(1)
