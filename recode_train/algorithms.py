"""The algorithms a model can be trained with: the one list of them, and what each has to bring.

A new algorithm is a module with an `Algorithm` (like `trainers/sft.py`) and a line in `ALGORITHMS`;
another package names its own under the entry point group `recode_train.algorithms`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from recode_eval.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recode_train.budget import Budget
    from recode_train.config import TrainConfig
    from recode_train.trainers.training_data import TrainingData

    BuildTrainer = Callable[[TrainConfig, TrainingData, Any, list[Any], Budget], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """One way to train."""

    name: str
    """In commands and settings."""
    label: str
    """In tables and on the leaderboard."""
    summary: str
    """Half a sentence for the help."""
    samples: bool
    """True: the model samples completions, and rewards score them. False: it learns the reference
    answers."""
    build: BuildTrainer
    """Makes the trainer, ready for `train()`, of settings, data, the loaded model, callbacks of
    transformers, and the counts to keep up to date. Raises `UsageError`."""
    trl_arguments: tuple[str, ...] = ()
    """Settings that TRL's configuration class of this algorithm has under the same name, beyond
    those that all classes share."""
    check: Callable[[TrainConfig], None] | None = None
    """Raises what `build` would raise for the settings alone: builds TRL's configuration, and loads
    neither model nor data. None: plans check nothing of the kind."""
    asks: bool = False
    """Whether the model first answers the pairs, and is then trained on its graded answers. With
    the setting `completions` the answers are those of another run."""
    compares: bool = False
    """Whether it learns from pairs of a good and a bad answer; otherwise from good ones."""
    converses: bool = True
    """Whether the model may use tools and turns while completions are sampled."""
    uses: tuple[str, ...] = ()
    """Settings of sampling that it reads although no rewards score completions while it trains."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Settings where it differs from the defaults of `TrainConfig`."""
    trained_tokens: Callable[[TrainConfig, TrainingData], Sequence[int]] | None = None
    """Tokens with a loss after 0, 1, 2, ... steps, where that is known beforehand; otherwise the
    trainer counts them."""


ALGORITHMS: Final = Registry[Algorithm](
    "algorithm",
    "recode_train.algorithms",
    {
        "sft": "recode_train.trainers.sft:ALGORITHM",
        "grpo": "recode_train.trainers.grpo:ALGORITHM",
        "dapo": "recode_train.trainers.dapo:ALGORITHM",
        "rloo": "recode_train.trainers.rloo:ALGORITHM",
        "rft": "recode_train.trainers.rft:ALGORITHM",
        "dpo": "recode_train.trainers.dpo:ALGORITHM",
    },
    needs=[item.name for item in fields(Algorithm)],
)
