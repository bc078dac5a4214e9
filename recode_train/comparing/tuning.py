"""Choose each arm's learning rate among some, on a validation task, never on what is compared.

Every rate is tried with one training, of a seed that no compared training has. The rate whose
model has the highest primary metric is taken, the lower one of two equals.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError
from recode_eval.metrics import metric as metric_of
from recode_eval.metrics import primary_of
from recode_train.comparing.arms import ancestors
from recode_train.comparing.evaluating import (
    Evaluations,
    evaluation_prompts,
    problems_of,
    ways_to_sample,
)
from recode_train.comparing.training import Trainings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.run.results_file import ResultsFile
    from recode_train.comparing.arms import ArmSettings
    from recode_train.comparing.configs import Prepared
    from recode_train.comparing.settings import CompareConfig
    from recode_train.progress import ProgressCallback
    from recode_train.trainers import TrainResult

RECORD: Final = "learning_rates.json"
_PLACE: Final = "tuning"


@dataclass(frozen=True, slots=True)
class Tried:
    """A learning rate, and what a model trained with it reaches on the validation task."""

    learning_rate: float
    value: float | None
    """None: the training ended early, or nothing was scored."""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The learning rates that were tried for an arm, and the one taken."""

    arm: str
    task: str
    sampling: str
    metric: str
    seed: int
    tried: tuple[Tried, ...]
    chosen: float

    @property
    def at_edge(self) -> bool:
        """Whether a wider grid might have a better rate."""
        rates = [item.learning_rate for item in self.tried]
        return len(rates) > 1 and self.chosen in {min(rates), max(rates)}

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**dataclasses.asdict(self), "at_edge": self.at_edge}


def choose_rates(
    config: CompareConfig, prepared: Prepared, evaluations: Evaluations, tell: ProgressCallback
) -> list[Choice]:
    """Try the learning rates of the arms that name some; what was done is not done again.

    Raises `UsageError` if no rate of an arm leads to a model.
    """
    from recode_eval.run.store import write_json

    tuned = [arm for arm in config.ways if rates_of(config, arm)]
    if not tuned:
        return []
    names = {arm.name for arm in tuned}
    needed = {*names, *(other.name for arm in tuned for other in ancestors(arm, config.ways))}
    prompts = evaluation_prompts(config, prepared.prompt, (config.validation,))
    validation = Evaluations(config, {**evaluations.prompts, **prompts}, tell)
    trainings = Trainings(config, prepared, {}, tell, _PLACE)
    choices: list[Choice] = []
    for arm in config.ways:
        if arm.name not in needed:
            continue
        if arm.name not in names:
            trainings.train(arm, config.tuning_seed)
            continue
        choice, best = _choose(config, arm, trainings, validation)
        choices.append(choice)
        trainings.rates[arm.name] = choice.chosen
        trainings.adopt(arm, config.tuning_seed, best)
    write_json(config.folder / RECORD, {"choices": [choice.as_dict() for choice in choices]})
    return choices


def check_validation(config: CompareConfig, prompt: str) -> None:
    """Raise `UsageError` for a validation task that cannot be used, before any training.

    `prompt` is the variant that the arms are trained on. Rates chosen on a problem that the arms
    are compared on, whatever the file or the task that it is in, would be chosen on the test.
    Raises `DataError` for rows that cannot be read.
    """
    if not any(rates_of(config, arm) for arm in config.ways):
        return
    prompts = evaluation_prompts(config, prompt, (config.validation,))
    sampling = list(ways_to_sample(config).values())[-1]
    Evaluations(config, prompts, lambda _: None).check((config.validation,), [sampling])
    chosen = problems_of(config, config.validation)
    for task in config.evaluated.tasks:
        common = sorted(chosen.keys() & problems_of(config, task).keys())
        if common:
            raise UsageError(
                f"Learning rates would be chosen on {config.validation}, of whose {len(chosen)} "
                f"problems {len(common)} are among those of {task}, which the arms are compared "
                f"on (first: {chosen[common[0]]}): the best of several tries is no fair measure. "
                "Name another --validation."
            )


def rates_of(config: CompareConfig, arm: ArmSettings) -> Sequence[float]:
    """Return the learning rates to try for an arm; none: that of its settings is taken."""
    return arm.learning_rates or config.learning_rates


def _choose(
    config: CompareConfig, arm: ArmSettings, trainings: Trainings, validation: Evaluations
) -> tuple[Choice, TrainResult]:
    how, sampling = list(ways_to_sample(config).items())[-1]
    tried: list[Tried] = []
    results: dict[float, TrainResult] = {}
    metric = ""
    for rate in sorted(rates_of(config, arm)):
        name = f"{arm.name}-lr{rate}"  # whole: two rates may differ in the seventh digit
        result = trainings.train(arm, config.tuning_seed, rate, name)
        if result is None:
            tried.append(Tried(rate, None))
            continue
        folder = config.folder / _PLACE / "runs" / name
        run = validation.run(config.validation, str(result.final), folder, sampling)
        metric = config.primary or primary_of(run.results.metrics)
        results[rate] = result
        tried.append(_tried(rate, run, metric))
    known = [item for item in tried if item.value is not None]
    if not known:
        rates = ", ".join(f"{item.learning_rate:g}" for item in tried)
        reasons = "; ".join(stop["reason"] for stop in trainings.stopped[-1:])
        raise UsageError(
            f"Arm {arm.name}: no learning rate of {rates} leads to a model that can be scored on "
            f"{config.validation}. {reasons}".rstrip()
        )
    better = metric_of(metric).higher_is_better
    best = max(known, key=lambda item: (item.value or 0) * (1 if better else -1))
    task = config.validation.partition("=")[0]
    choice = Choice(arm.name, task, how, metric, config.tuning_seed, tuple(tried),
                    best.learning_rate)  # fmt: skip
    return choice, results[best.learning_rate]


def _tried(rate: float, run: ResultsFile, metric: str) -> Tried:
    found = run.results.metrics.get(metric)
    return Tried(rate, None) if found is None else Tried(rate, found.value, found.low, found.high)
