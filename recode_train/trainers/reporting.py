"""What a run records of itself: its identity, and the report `train.json`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from recode_train.config import TrainConfig
    from recode_train.trainers.loading import ModelSource
    from recode_train.trainers.training_data import TrainingData

SCHEMA_VERSION: Final = 1


def new_report(config: TrainConfig, source: ModelSource, data: TrainingData) -> dict[str, Any]:
    """Return the report of a run that has begun."""
    from recode_eval.run import provenance
    from recode_train.batch_math import batch_sizes, warnings
    from recode_train.fidelity import deviations

    return {
        "schema_version": SCHEMA_VERSION,
        "method": config.label,
        "rewarded": config.samples,
        "config": config.as_dict(),
        "model": dict(source.checkpoint.model.identity),
        "data": dict(data.provenance),
        "data_hash": data.data_hash,
        "sizes": dataclasses.asdict(batch_sizes(config, data.count)),
        "warnings": [*warnings(config), *deviations(config)],
        "invocation": {**provenance.invocation(), "trainer": _versions()},
        "finished": False,
    }


def _versions() -> dict[str, str]:
    import importlib.metadata

    return {name: importlib.metadata.version(name) for name in ("trl", "accelerate", "peft")}


def run_identity(config: TrainConfig, source: ModelSource, data: TrainingData) -> dict[str, Any]:
    """Return what a run must have in common with the one that it continues."""
    read = ("prompt_hash", "conversations", "reward_sources", "answers_hash")
    return {
        "config": config.as_dict(),
        "data_hash": data.data_hash,
        "model": dict(source.checkpoint.model.identity),
        "data": {name: data.provenance[name] for name in read if name in data.provenance},
    }
