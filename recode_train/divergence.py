"""Stop a training whose numbers are not finite any more: what it would go on with is no model.

The trainers of transformers go on, and even show the average of earlier losses in place of a NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from recode_train.stopping import DivergedError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Guard:
    """A callback that checks the loss and the gradients of every step, before they are applied."""

    def __init__(self) -> None:
        """Begin before the first step."""
        self.begun = False
        """Whether a step has begun: what fails before is a matter of the settings."""
        self._trainer: Any = None
        self._step = 0

    def watch(self, trainer: Any) -> None:
        """Look at every loss of a trainer of transformers."""
        inner = trainer.training_step
        self._trainer = trainer

        def training_step(*arguments: Any, **named: Any) -> Any:
            loss = inner(*arguments, **named)
            self.check_loss(float(loss))
            return loss

        trainer.training_step = training_step

    def on_step_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Note which step it is."""
        self.begun = True
        self._step = state.global_step + 1

    def check_loss(self, loss: float) -> None:
        """Raise `DivergedError` for a loss that is not finite."""
        if not math.isfinite(loss):
            raise _diverged(f"the loss of step {self._step} is {loss}")

    def on_pre_optimizer_step(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Raise `DivergedError` for gradients that are not finite.

        With a gradient scaler (float16) they may be: it skips such steps and lowers its scale.
        """
        if getattr(self._trainer.accelerator, "scaler", None) is not None:
            return
        # Asked anew: sharding replaces the parameters once the training begins.
        weights = self._trainer.model.parameters()
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if not _all_finite(gradients):
            raise _diverged(f"the gradient of step {self._step} is not finite")


def check_weights(model: Any, step: int) -> None:
    """Raise `DivergedError` if the last update left weights that are no finite numbers."""
    if not _all_finite(weight for weight in model.parameters() if weight.requires_grad):
        raise _diverged(f"after step {step} the weights are not finite")


def _all_finite(tensors: Iterable[Any]) -> bool:
    import torch

    # One question per device: each answer waits for the device.
    answers: dict[Any, Any] = {}
    for tensor in tensors:
        local = tensor.to_local() if hasattr(tensor, "to_local") else tensor  # a shard of it
        found = torch.isfinite(local.detach()).all()
        known = answers.get(found.device)
        answers[found.device] = found if known is None else known & found
    return all(bool(answer) for answer in answers.values())


def _diverged(what: str) -> DivergedError:
    return DivergedError(
        f"The training diverged: {what}. Lower learning_rate, raise warmup_steps, or lower "
        "max_grad_norm, and start over in another output folder (or with --restart). Checkpoints "
        "from before are kept."
    )
