"""Settings of a comparison, checked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recode_eval.checks import named_fields_only
from recode_eval.errors import UsageError
from recode_eval.metrics import TRAINED
from recode_eval.metrics import metric as metric_of
from recode_eval.plugins import unknown
from recode_train.comparing.arms import BASE, ArmSettings, in_order, parse_arm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MATCHES: Final = ("prompts", "updates", "tokens", "seconds", "none")
_OLD_NAMES: Final = {"steps": "updates"}
"""Of ways to match, in commands and plans of earlier versions."""


@named_fields_only
@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """How every model is evaluated: greedily, and with `samples` samples per problem.

    The prompt is not among the settings: it is the one that the arms are trained on, where the
    evaluated task has it, else the task's default.
    """

    tasks: Sequence[str] = ("migration", "arena-mini")
    """`TASK` or `TASK=FILE`."""
    include_paths: Sequence[str] = ()
    """Folders in which tasks are looked for too."""
    samples: int = 10
    """0: greedy evaluation only."""
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    """None: the task's own."""
    limit: int | None = None
    """Only the first so many problems of each task."""
    problems: Sequence[str] = ()
    """Only problems whose id contains one of these patterns (`*` and `?` as in file names)."""
    sandbox: str = "auto"


@named_fields_only
@dataclass(frozen=True, slots=True, kw_only=True)
class CompareConfig:
    """One model, trained in several ways on the same pairs.

    Raises:
        UsageError: an option does not exist (the message has the nearest one), or the values make
            no comparison.

    >>> config = CompareConfig(model="my-model", arms=["sft", "then=grpo,start=sft"], seeds=[1])
    >>> config.trained
    ('sft', 'then')
    """

    model: str
    """Folder or hub id that all arms start from."""
    out: Path | str = Path("comparison")
    """Trainings, runs and results; the same settings continue what lies there."""
    arms: Sequence[str | ArmSettings] = ("sft", "grpo", "dapo")
    """Algorithms, texts `NAME=ALGORITHM[,KEY=VALUE...]`, or `ArmSettings`; the untrained model
    (`base`) is always evaluated and need not be named."""
    seeds: Sequence[int] = (1, 2, 3)
    data: str = "migration"
    presets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """By arm."""
    overrides: Sequence[str] = ()
    """`KEY=VALUE` for all arms, `ARM.KEY=VALUE` for one."""
    match: str = "updates"
    """What the arms have in common, that of the smallest unless `budget` says how much.

    `prompts`: all see the same pairs equally often. `updates`: all make as many updates. `tokens`
    (generated and trained on) and `seconds`: all end when they have spent as much. `none`: each
    follows its settings."""
    budget: float | None = None
    """How much of what is matched; None: as much as the smallest arm's settings say."""
    evaluated: EvaluationSettings = EvaluationSettings()
    primary: str | None = None
    """The metric that decides, of those compared; None: the one that ranks models on the task."""
    learning_rates: Sequence[float] = ()
    """Rates to try for every arm that names none of its own; empty: those of the settings."""
    validation: str = "migration-validation"
    """`TASK` or `TASK=FILE` on which learning rates are chosen."""
    tuning_seed: int = 0
    """Seed of the trainings that try learning rates; none of `seeds`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", Path(self.out))
        object.__setattr__(self, "match", current_match(self.match))
        made = [parse_arm(arm) if isinstance(arm, str) else arm for arm in self.arms if arm != BASE]
        if any(arm.name == BASE for arm in made):
            raise UsageError("An arm cannot be called base, which is the untrained model.")
        object.__setattr__(self, "arms", in_order(made))
        if not made:
            raise UsageError("No arm to train; name at least one, such as sft or grpo.")
        for arm in self.presets:
            if arm not in self.trained:
                raise UsageError(f"--preset names {arm}, which is not among the arms.")
        for what, values in (("seed", self.seeds), ("task", self.tasks)):
            if len(set(values)) < len(values):
                raise UsageError(f"One {what} occurs twice.")
        if not self.seeds:
            raise UsageError("Name at least one seed.")
        if not self.evaluated.tasks:
            raise UsageError("Name at least one task to evaluate on.")
        if self.evaluated.samples < 0:
            raise UsageError(f"samples must be at least 0, not {self.evaluated.samples}.")
        if self.match not in MATCHES:
            raise UsageError(unknown("way to match budgets", self.match, MATCHES))
        self._check_choices()
        if self.budget is not None and (self.match == "none" or not 1 <= self.budget < 1e15):
            raise UsageError(
                "A budget is a number of at least 1, of what --match names; with --match none "
                "there is none."
            )

    def _check_choices(self) -> None:
        """Raise `UsageError` for a choice that could not be made, or would be made on the test."""
        if self.primary is not None and self.primary not in TRAINED:
            raise UsageError(unknown("metric", self.primary, TRAINED))
        k = None if self.primary is None else metric_of(self.primary).k
        if k is not None and k > max(1, self.evaluated.samples):
            raise UsageError(
                f"The metric {self.primary} needs {k} samples per problem, not "
                f"{max(1, self.evaluated.samples)} (--n): nothing would decide."
            )
        for rate in self.learning_rates:
            if not 0 < rate < float("inf"):
                raise UsageError(f"A learning rate is above 0, not {rate!r}.")
        if len(set(self.learning_rates)) < len(self.learning_rates):
            raise UsageError("One learning rate occurs twice.")
        if not self.learning_rates and not any(arm.learning_rates for arm in self.ways):
            return
        if self.validation in self.evaluated.tasks:
            raise UsageError(
                f"Learning rates would be chosen on {self.validation}, which the arms are compared "
                "on: the best of several tries is no fair measure. Name another --validation."
            )
        if self.tuning_seed in self.seeds:
            raise UsageError(
                f"The seed {self.tuning_seed} tries learning rates and cannot be among the seeds."
            )

    @property
    def ways(self) -> tuple[ArmSettings, ...]:
        """The arms to train, each after the one it starts from."""
        return tuple(arm for arm in self.arms if isinstance(arm, ArmSettings))

    @property
    def trained(self) -> tuple[str, ...]:
        """The names of the arms to train."""
        return tuple(arm.name for arm in self.ways)

    @property
    def folder(self) -> Path:
        """`out` as a path."""
        return Path(self.out)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(text.partition("=")[0] for text in self.evaluated.tasks)


def current_match(name: str) -> str:
    """Return a way to match by the name it has now."""
    return _OLD_NAMES.get(name, name)
