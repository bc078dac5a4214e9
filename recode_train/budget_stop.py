"""End a training when it has spent a budget of tokens or seconds, whatever its number of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recode_train.budget import Budget
    from recode_train.config import TrainConfig


class BudgetStop:
    """A callback that ends the training after the step with which the budget is spent."""

    def __init__(self, config: TrainConfig, budget: Budget) -> None:
        """Look at `stop_after_tokens` and `stop_after_seconds`; without them never stop."""
        self._tokens = config.stop_after_tokens
        self._seconds = config.stop_after_seconds
        self._budget = budget
        self._trainer: Any = None

    @property
    def spent(self) -> bool:
        """Whether this process has spent the budget; tokens are those of all processes."""
        budget = self._budget
        tokens = budget.tokens_generated + budget.tokens_trained
        if self._tokens is not None and tokens >= self._tokens:
            return True
        return self._seconds is not None and budget.elapsed() >= self._seconds

    def watch(self, trainer: Any) -> None:
        """Agree with the other processes of this trainer."""
        self._trainer = trainer

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        """Stop if any process has spent the budget: their clocks differ."""
        import torch

        if self._tokens is None and self._seconds is None:
            return
        accelerator = self._trainer.accelerator
        mine = torch.tensor([self.spent], device=accelerator.device)
        if bool(accelerator.gather(mine).any()):
            control.should_training_stop = True
