"""The configuration of each training of a comparison, and what decides the comparison's results."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, UsageError
from recode_train.comparing.arms import BASE, OF_THE_COMPARISON
from recode_train.comparing.matching import Matched, match
from recode_train.comparing.settings import current_match
from recode_train.config import SETTINGS, TrainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_train.comparing.arms import ArmSettings
    from recode_train.comparing.settings import CompareConfig

_SHARED: Final = (
    "model", "model_revision", "data", "limit", "skip_bad_rows", "prompt", "max_prompt_length",
    "max_completion_length",
)  # fmt: skip
"""Settings that all arms must share: the base, the pairs and the prompts."""


PAIRS: Final = "pairs.json"
"""File of the comparison's folder: ids of the pairs, where they are not all."""


def arm_configs(
    config: CompareConfig, seed: int, matched: Matched | None = None, file: Path | None = None
) -> dict[str, TrainConfig]:
    """Return the configuration of every arm for one seed; all name the base as their model.

    Without `matched`, they are the arms' own. The `file` has the ids of the pairs (None: all).

    Raises:
        UsageError: a setting is unknown or out of its range, or the arms would not have the same
            base, pairs and prompts.
    """
    _check_owners(config)
    configs = {arm.name: _config(config, arm, seed) for arm in config.ways}
    (one, first), *others = configs.items()
    for name, other in others:
        for key in _SHARED:
            if getattr(first, key) != getattr(other, key):
                raise UsageError(
                    f"{key} is {getattr(first, key)!r} for {one} and {getattr(other, key)!r} for "
                    f"{name}: arms with different bases, pairs or prompts are not comparable. Set "
                    f"it for all arms: --set {key}=VALUE"
                )
    if matched is None:
        return configs
    listed = None if file is None else str(file)
    return {
        arm: dataclasses.replace(one, max_steps=matched.steps[arm], pairs=listed)
        for arm, one in configs.items()
    }


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of a comparison before it begins."""

    matched: Matched
    data_hash: str
    """Of all pairs."""
    prompt: str
    """The prompt variant that the arms are trained on."""
    restricted: bool
    """Whether the arms are trained on a part of the pairs."""

    @property
    def ids_hash(self) -> str | None:
        """The hash of the pairs' ids; None: all of them."""
        text = json.dumps(self.matched.pairs)
        return hashlib.sha256(text.encode()).hexdigest() if self.restricted else None


def prepare(config: CompareConfig, *, whole: bool = True) -> Prepared:
    """Plan every arm, and match them; raises as `make_plan` and `match` do.

    With `whole`, the pairs are measured with the model's tokenizer, wherever it is; otherwise only
    where its folder is here.
    """
    from recode_train.planning import make_plan

    configs = arm_configs(config, config.seeds[0])
    model = _local(config) if whole else config.model
    plans = [make_plan(dataclasses.replace(one, model=model)) for one in configs.values()]
    pairs = [pair.id for pair in plans[0].pairs.pairs]
    unusable = {key for plan in plans if plan.prompts for key in plan.prompts.unusable}
    matched = match(
        config.match, configs, pairs, frozenset(unusable), config.budget,
        [arm.name for arm in config.ways if arm.start == BASE],
    )  # fmt: skip
    return Prepared(
        matched,
        plans[0].pairs.content_hash,
        plans[0].prompt,
        restricted=len(matched.pairs) < len(pairs),
    )


def _local(config: CompareConfig) -> str:
    """Return the model's folder or file; the hub's models are fetched."""
    from recode_eval.models.checkpoint import resolve_checkpoint
    from recode_eval.models.options import ModelOptions

    options = ModelOptions(revision=revision(config))
    return str(resolve_checkpoint(config.model, options).model.location)


def training_folder(config: CompareConfig, arm: str, seed: int) -> Path:
    """Return where the training of an arm lies."""
    return config.folder / "arms" / f"{arm}-seed{seed}"


def revision(config: CompareConfig) -> str | None:
    """Return the revision of the base on the hub, which all arms share."""
    return next(iter(arm_configs(config, config.seeds[0]).values())).model_revision


def _check_owners(config: CompareConfig) -> None:
    """Raise `UsageError` for a setting of an arm that there is not, or of the comparison."""
    for text in config.overrides:
        owner, dot, rest = text.partition("=")[0].strip().partition(".")
        key = rest if dot and owner in config.trained else owner
        if key in OF_THE_COMPARISON:
            raise UsageError(
                f"--set {text}: the comparison sets {key} itself, the same for all arms. Name "
                "model, data, seeds and output folder of the comparison (--model, --data, "
                "--seeds, --out), and the algorithm of an arm in --arm."
            )
        if dot and owner not in SETTINGS and owner not in config.trained:
            raise UsageError(
                f"--set {text}: {owner} is not among the arms ({', '.join(config.trained)})."
            )


def _config(config: CompareConfig, arm: ArmSettings, seed: int) -> TrainConfig:
    def owner(text: str) -> str:
        return text.partition("=")[0].partition(".")[0]

    general = [text for text in config.overrides if owner(text) not in config.trained]
    own = [text.partition(".")[2] for text in config.overrides if owner(text) == arm.name]
    return TrainConfig.from_sources(
        arm.algorithm,
        preset=arm.preset or config.presets.get(arm.name),
        overrides=[*general, *arm.overrides, *own],
        model=config.model,
        data=config.data,
        output=str(training_folder(config, arm.name, seed)),
        seed=seed,
    )


def identity(
    config: CompareConfig, prepared: Prepared, prompts: Mapping[str, str]
) -> dict[str, Any]:
    """Return everything that decides the results, as plain values; it must not change later.

    `prompts` are those of the evaluations, by task.

    Raises `UsageError` if the model is missing, `DataError` if a task's file cannot be read.
    """
    from recode_eval.models.checkpoint import resolve_checkpoint
    from recode_eval.models.options import ModelOptions

    checkpoint = resolve_checkpoint(config.model, ModelOptions(revision=revision(config)))
    return {
        "model": dict(checkpoint.model.identity),
        "data_hash": prepared.data_hash,
        "pairs": prepared.ids_hash,
        "seeds": list(config.seeds),
        "match": config.match,
        "arms": {
            arm: {k: v for k, v in one.as_dict().items() if k not in {"output", "seed"}}
            for arm, one in arm_configs(config, config.seeds[0], prepared.matched).items()
        },
        "tuning": {
            arm.name: list(rates)
            for arm in config.ways
            if (rates := arm.learning_rates or config.learning_rates)
        },
        "validation": file_hash(config.validation) or config.validation,
        "tuning_seed": config.tuning_seed,
        "starts": {arm.name: arm.start for arm in config.ways if arm.start != BASE},
        "evaluated": {
            **{k: v for k, v in dataclasses.asdict(config.evaluated).items() if k != "sandbox"},
            "tasks": {text.partition("=")[0]: file_hash(text) for text in config.evaluated.tasks},
            "include_paths": list(config.evaluated.include_paths),
            "problems": list(config.evaluated.problems),
            "prompts": dict(prompts),
        },
    }


def file_hash(task: str) -> str | None:
    """Return the hash of the file in `TASK=FILE`; None if the task has its own data."""
    _, separator, file = task.partition("=")
    if not separator:
        return None
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"Cannot read {file}, the data of --eval {task}: {error}.") from error


def changed(before: Mapping[str, Any], now: Mapping[str, Any], above: str = "") -> list[str]:
    """Return the names of the entries that differ, parts joined by dots."""
    found = []
    for key in sorted({*before, *now}):
        one, other = before.get(key), now.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found += changed(one, other, f"{above}{key}.")
        elif one != other:
            found.append(f"{above}{key}")
    return found


def as_now(plan: dict[str, Any]) -> dict[str, Any]:
    """Return the plan of an earlier version with what it lacks, at the values that it had."""
    defaults = {
        item.name: item.default
        for item in dataclasses.fields(TrainConfig)
        if item.default is not dataclasses.MISSING
    }
    defaults = {name: list(v) if isinstance(v, tuple) else v for name, v in defaults.items()}
    for name in ("output", "seed"):
        del defaults[name]
    arms = {arm: {**defaults, **settings} for arm, settings in plan.get("arms", {}).items()}
    usual: dict[str, Any] = {
        "pairs": None,
        "tuning": {},
        "validation": "migration-validation",
        "tuning_seed": 0,
    }
    return {**usual, **plan, "arms": arms, "starts": plan.get("starts", {}),
            "match": current_match(plan.get("match", ""))}  # fmt: skip
