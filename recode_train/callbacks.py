"""Callbacks of a training: the log, the marks of complete checkpoints, evaluations.

The classes do not depend on transformers; `as_callback` turns them into callbacks of its trainers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from recode_train import checkpoints
from recode_train.divergence import check_weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recode_train.budget import Budget
    from recode_train.evaluation import TrainingEvaluation
    from recode_train.trackers import Trackers

OnLog = Callable[[Mapping[str, Any]], None]


def as_callback(instance: Any) -> Any:
    """Return `instance` as a callback of transformers that ignores events it does not handle."""
    from transformers import TrainerCallback

    own = type(instance)
    instance.__class__ = type(own.__name__, (own, TrainerCallback), {})
    return instance


class Keeper:
    """Writes the log line by line, and marks every complete checkpoint."""

    def __init__(
        self,
        output: Path,
        budget: Budget,
        mark: Mapping[str, Any],
        on_log: OnLog | None = None,
        trained: Sequence[int] | None = None,
    ) -> None:
        """Keep the log in `output`; `trained` are the trained tokens by step, if known before."""
        self._output = output
        self.budget = budget
        self._mark = mark
        self._on_log = on_log
        self._trained = trained
        # TRL's own counter restarts from 0 in a resumed SFT run; `tokens_trained` does not.
        self._left_out = set() if trained is None else {"num_tokens"}
        self.accelerator: Any = None
        self.trackers: Trackers | None = None
        self.last: dict[str, Any] = {}
        """The last line of the log."""

    def on_train_begin(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Start the clocks."""
        self.budget.tick()

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Count."""
        if self._trained is not None:
            self.budget.tokens_trained = self._trained[state.global_step]

    def on_log(
        self, _args: Any, state: Any, _control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Write a line, all numbers finite (what is not becomes null)."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        line = {
            "step": state.global_step,
            **{name: _finite(value) for name, value in logs.items() if name not in self._left_out},
            "tokens_generated": self.budget.tokens_generated,
            "tokens_trained": self.budget.tokens_trained,
            "seconds": round(self.budget.elapsed(), 3),
        }
        self.write(line)

    def write(self, line: dict[str, Any]) -> None:
        """Add a line to the log; raises `StorageError`."""
        checkpoints.append_log(self._output / checkpoints.LOG, line)
        self.last = line
        if self._on_log is not None:
            self._on_log(line)

    def on_save(self, _args: Any, state: Any, _control: Any, **more: Any) -> None:
        """Mark the checkpoint as complete once every process has written its part.

        Raises `DivergedError` for weights that are not finite: nothing may continue from them.
        """
        check_weights(more["model"], state.global_step)
        self.count_time()
        self.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            folder = self._output / f"checkpoint-{state.global_step}"
            content = {"step": state.global_step, "progress": self.budget.as_dict()}
            checkpoints.mark(folder, {**content, **self._mark})

    def count_time(self) -> None:
        """Add the time since the last call, over all processes."""
        import torch

        spent = torch.tensor([self.budget.tick()], device=self.accelerator.device)
        self.budget.cpu_seconds += float(self.accelerator.gather(spent).sum())


class Evaluator:
    """Evaluates the model in training every so many steps, and before the first one."""

    def __init__(self, evaluation: TrainingEvaluation, every: int, keeper: Keeper) -> None:
        """Evaluate at the multiples of `every`; a line of the log has the figures."""
        self._evaluation = evaluation
        self._every = every
        self._keeper = keeper

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **more: Any) -> None:
        """Evaluate the untrained model, unless this run continues."""
        if state.global_step == 0:
            self._evaluate(state, more["model"])

    def on_step_end(self, _args: Any, state: Any, _control: Any, **more: Any) -> None:
        """Evaluate if it is time."""
        if state.global_step % self._every == 0:
            self._evaluate(state, more["model"])

    def _evaluate(self, state: Any, model: Any) -> None:
        self._keeper.count_time()
        # One process works, the others wait: the weights are the same everywhere.
        if state.is_world_process_zero:
            figures = self._evaluation.run(
                self._keeper.accelerator.unwrap_model(model), state.global_step
            )
            self._keeper.write({"step": state.global_step, "evaluation": figures})
            if self._keeper.trackers is not None:
                self._keeper.trackers.show_evaluation(state.global_step, figures)
        self._keeper.accelerator.wait_for_everyone()
        self._keeper.budget.skip()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
