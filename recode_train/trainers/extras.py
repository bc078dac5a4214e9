"""What settings add to a trainer: evaluations, the gate, the hub; and what they take from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_train import checkpoints
from recode_train.callbacks import Evaluator, Keeper, as_callback
from recode_train.hub_upload import make_repository

if TYPE_CHECKING:
    from recode_train.config import TrainConfig
    from recode_train.trainers.training_data import TrainingData


def evaluator(config: TrainConfig, data: TrainingData, keeper: Keeper) -> list[Any]:
    """Return the callback that evaluates, if the settings ask for one."""
    from recode_train.evaluation import TrainingEvaluation

    if config.eval_steps is None or not config.eval_tasks:
        return []
    deciding = {k: v for k, v in config.as_dict().items() if k not in checkpoints.FREE_SETTINGS}
    evaluation = TrainingEvaluation(
        config,
        data.tokenizer,
        {"config": deciding, "data_hash": data.data_hash},
        data.sandboxes,
        data.prompt,
    )
    return [as_callback(Evaluator(evaluation, config.eval_steps, keeper))]


def gate(config: TrainConfig) -> list[Any]:
    """Return the callback that gates checkpoints, if the settings ask for one."""
    from recode_train.checkpoint_gate import gate_callback

    if config.gate is None:
        return []
    out = Path(config.output) / checkpoints.GATE
    return [gate_callback(config.gate, config.gate_options, out=out, wait=config.gate_wait)]


def gated(config: TrainConfig, trainer: Any) -> str | None:
    """Return what the gate found wrong, in all processes; None: nothing."""
    from accelerate.utils import broadcast_object_list

    from recode_train.checkpoint_gate import first_regression

    if config.gate is None:
        return None
    found: list[str | None] = [None]
    if trainer.is_world_process_zero():
        name = first_regression(Path(config.output) / checkpoints.GATE)
        found = [name and f"The gate found a regression: {name}."]
    broadcast_object_list(found)
    return found[0]


def repository(config: TrainConfig) -> str | None:
    """Make the repository that the result is to be uploaded to, if it is."""
    if not config.push_to_hub:
        return None
    name = config.hub_model_id or Path(config.output).resolve().name
    return make_repository(name, private=config.hub_private_repo)


def prepare(trainer: Any, config: TrainConfig, data: TrainingData) -> None:
    """Set what is logged of completions; take out what libraries do unasked, and dropout."""
    from transformers import PrinterCallback

    # Standard output is for results, and the result has a card of its own.
    trainer.remove_callback(PrinterCallback)
    trainer.create_model_card = lambda *_, **__: None
    trainer.samples_wanted = config.completion_samples
    trainer.samples_every = config.completion_steps
    trainer.copied = getattr(data.rewards, "copied", None)
    if config.disable_dropout:
        from trl.trainer.utils import disable_dropout_in_model

        disable_dropout_in_model(trainer.model)
