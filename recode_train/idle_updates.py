"""Skip updates that nothing was learned for: no gradient, but an optimizer's momentum would move.

In a generation whose groups are all flat, or all unscored, every gradient is zero without a KL
penalty. Adam would still move the weights, by what it remembers.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from recode_train.budget import Budget

_LOG: Final = logging.getLogger(__name__)


class IdleUpdates:
    """A callback that takes gradients of zero from the optimizer, which then leaves the weights."""

    def __init__(self, budget: Budget) -> None:
        """Count in `budget`."""
        self._budget = budget
        self._trainer: Any = None

    def watch(self, trainer: Any) -> None:
        """Look at the gradients of a trainer of transformers."""
        self._trainer = trainer

    def on_pre_optimizer_step(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Drop the gradients if all of them are zero, in all processes."""
        accelerator = self._trainer.accelerator
        # A gradient scaler (float16) refuses a step without any gradient.
        if getattr(accelerator, "scaler", None) is not None:
            return
        weights = [w for w in self._trainer.model.parameters() if w.grad is not None]
        if not weights:  # a library with an engine of its own keeps them elsewhere
            return
        if accelerator.gather(_any_nonzero(weights, accelerator.device)).any():
            return
        for weight in weights:
            weight.grad = None
        self._budget.updates_idle += 1

    def on_train_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Warn if the training ends as it began."""
        if state.is_world_process_zero and 0 < state.global_step <= self._budget.updates_idle:
            _LOG.warning(
                "none of the %d updates had a gradient: the model is the one that the training "
                "began with. The task may be too hard or too easy for it, or a reward never "
                "varies.",
                state.global_step,
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
