"""The trainings of a comparison: each from its start, with its learning rate, in its folder."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from recode_train.comparing.arms import BASE
from recode_train.comparing.budgets import spent
from recode_train.comparing.configs import PAIRS, arm_configs
from recode_train.progress import TrainEvent
from recode_train.stopping import TrainingStoppedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recode_train.comparing.arms import ArmSettings
    from recode_train.comparing.configs import Prepared
    from recode_train.comparing.settings import CompareConfig
    from recode_train.config import TrainConfig
    from recode_train.progress import ProgressCallback
    from recode_train.trainers import TrainResult

ARMS: Final = "arms"
"""The comparison's folder for the trainings that are compared."""
_MERGED: Final = "merged"
"""In a training's folder: its adapter merged into its base, for the arms that start there."""


class Trainings:
    """Trains arms, one after the other; keeps what each cost, and which ended early."""

    def __init__(
        self,
        config: CompareConfig,
        prepared: Prepared,
        rates: Mapping[str, float],
        tell: ProgressCallback,
        place: str = ARMS,
    ) -> None:
        """Train in the folder `place` of the comparison; `rates` are by arm, where chosen."""
        self._config = config
        self._prepared = prepared
        self._tell = tell
        self._place = place
        self.rates = dict(rates)
        self.budgets: dict[str, list[dict[str, Any]]] = {}
        """By arm: what each training has seen and spent, with its seed."""
        self.stopped: list[dict[str, Any]] = []
        """Arm, seed and reason of every training without a result."""
        self._starts: dict[tuple[str, int], str] = {}

    def in_order(self) -> list[ArmSettings]:
        """Return the arms; the one whose cost is the budget of the others comes first."""
        reference = self._prepared.matched.reference
        return sorted(self._config.ways, key=lambda arm: arm.name != reference)

    def train(
        self, arm: ArmSettings, seed: int, rate: float | None = None, name: str | None = None
    ) -> TrainResult | None:
        """Train an arm whose start is there, unless that was done; None if it ended early.

        Another `rate` than that chosen, and another folder than `ARM-seedN`, may be given.
        """
        from recode_train.trainers import train

        name = name or f"{arm.name}-seed{seed}"
        if (missing := self._missing(arm, seed)) is not None:
            self._stop(arm, seed, missing)
            return None
        settings = self._settings(arm, seed, rate, name)
        begin = "" if arm.start == BASE else f", from {arm.start}"
        self._log(f"training: {arm.name}, seed {seed}, {settings.max_steps} steps{begin}"
                  + (f", learning rate {settings.learning_rate:g}" if rate else ""))  # fmt: skip
        try:
            result = train(settings, progress=self._tell)
        except TrainingStoppedError as error:
            self._stop(arm, seed, str(error))
            return None
        if result.stopped:
            self._stop(arm, seed, f"ended early, and is evaluated as it is: {result.stopped}")
        budget = {"seed": seed, "learning_rate": settings.learning_rate, **spent(result)}
        self.budgets.setdefault(arm.name, []).append(budget)
        if rate is None and any(other.start == arm.name for other in self._config.ways):
            self._starts[arm.name, seed] = self._whole(result.final)
        return result

    def adopt(self, arm: ArmSettings, seed: int, result: TrainResult) -> None:
        """Let other arms start from this training."""
        self._starts[arm.name, seed] = self._whole(result.final)

    def _missing(self, arm: ArmSettings, seed: int) -> str | None:
        """Return why an arm cannot be trained: what it rests on has no result."""
        if arm.start != BASE and (arm.start, seed) not in self._starts:
            return f"the training of {arm.start} that it starts from ended early"
        reference = self._prepared.matched.reference
        if self._place == ARMS and reference not in {None, arm.name}:
            known = [budget["seed"] for budget in self.budgets.get(str(reference), ())]
            if seed not in known:
                return f"the training of {reference} that sets its budget ended early"
        return None

    def _settings(self, arm: ArmSettings, seed: int, rate: float | None, name: str) -> TrainConfig:
        """Return the configuration of a training that nothing is missing for."""
        model = self._config.model if arm.start == BASE else self._starts[arm.start, seed]
        file = self._config.folder / PAIRS if self._prepared.restricted else None
        found = arm_configs(self._config, seed, self._prepared.matched, file)[arm.name]
        return dataclasses.replace(
            found,
            **self._limit(arm.name, seed),
            model=model,
            learning_rate=rate or self.rates.get(arm.name, found.learning_rate),
            output=str(self._config.folder / self._place / name),
        )

    def _limit(self, arm: str, seed: int) -> dict[str, Any]:
        """Return the setting that ends a training at the budget that all arms share."""
        matched = self._prepared.matched
        if matched.limit is None or arm == matched.reference:
            return {}
        if matched.budget is not None:
            return {matched.limit: _number(matched.limit, matched.budget)}
        spent = [b for b in self.budgets.get(matched.reference or "", ()) if b["seed"] == seed]
        if not spent:
            return {}
        tokens = spent[0]["tokens_generated"] + spent[0]["tokens_trained"]
        value = tokens if matched.limit == "stop_after_tokens" else spent[0]["seconds"]
        return {matched.limit: _number(matched.limit, max(value, 1e-3))}

    def _whole(self, final: Path) -> str:
        """Return the folder of a complete model; an adapter is merged into its base."""
        from recode_train.merging import merge

        if not (final / "adapter_config.json").exists():
            return str(final)
        merged = final.parent / _MERGED
        if not merged.exists():
            merge(str(final), merged)
        return str(merged)

    def _stop(self, arm: ArmSettings, seed: int, reason: str) -> None:
        self._log(f"without a result: {arm.name}, seed {seed}: {reason}")
        self.stopped.append({"arm": arm.name, "seed": seed, "reason": reason})

    def _log(self, message: str) -> None:
        self._tell(TrainEvent("log", message=message))


def _number(limit: str, value: float) -> float:
    return max(1, int(value)) if limit == "stop_after_tokens" else value
