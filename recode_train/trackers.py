"""What a run shows beside its log: a table of completions, and Weights & Biases and its like.

The log's lines reach the trackers through the library's own callbacks. This module adds what these
do not know: completions with their rewards, and the figures of evaluations.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError
from recode_train import checkpoints

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_COLUMNS: Final = ("step", "pair", "completion", "rewards", "advantage")


def require(names: Sequence[str]) -> None:
    """Raise `UsageError` for a tracker whose package is missing."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UsageError(
                f"report_to={name} needs the package {name}, which is missing: pip install {name}, "
                "or leave it out; train.jsonl has the same figures."
            )


class Trackers:
    """The trackers of a run; only the first process tells them anything."""

    def __init__(self, names: Sequence[str], output: Path) -> None:
        """Write completions to `output`, and tell the trackers called `names`."""
        self._names = names
        self._output = output
        self._trainer: Any = None

    def watch(self, trainer: Any) -> None:
        """Use the connections that a trainer of transformers opens."""
        self._trainer = trainer

    def show_completions(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write completions to the run's table, a line each; raises `StorageError`."""
        for row in rows:
            checkpoints.append_log(self._output / checkpoints.COMPLETIONS, row)
        cells = [[str(row[name]) for name in _COLUMNS] for row in rows]
        if "wandb" in self._names:
            import wandb

            wandb.log({"completions": wandb.Table(columns=list(_COLUMNS), data=cells)})
        if "trackio" in self._names:
            import pandas as pd
            import trackio

            frame = pd.DataFrame(cells, columns=list(_COLUMNS))
            trackio.log({"completions": trackio.Table(dataframe=frame)})
        if (writer := self._tensorboard()) is not None:
            text = "\n\n".join(f"    {line}" for row in cells for line in row)
            writer.add_text("completions", text, int(rows[0]["step"]))

    def show_evaluation(self, step: int, figures: Mapping[str, Mapping[str, Any]]) -> None:
        """Tell the trackers the figures of an evaluation, by task."""
        values = {
            f"eval/{task}/{name}": value
            for task, found in figures.items()
            for name, value in found.items()
            if isinstance(value, int | float)
        }
        if "wandb" in self._names:
            import wandb

            wandb.log({**values, "train/global_step": step})
        if "trackio" in self._names:
            import trackio

            trackio.log({**values, "train/global_step": step})
        if (writer := self._tensorboard()) is not None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

    def _tensorboard(self) -> Any:
        """Return the writer that the library's callback has opened, if there is one."""
        if "tensorboard" not in self._names:
            return None
        found = [getattr(c, "tb_writer", None) for c in self._trainer.callback_handler.callbacks]
        return next((writer for writer in found if writer is not None), None)
