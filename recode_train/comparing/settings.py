"""Settings of a comparison, and the configuration of each of its trainings."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.checks import named_fields_only
from recode_eval.errors import DataError, UsageError
from recode_eval.plugins import unknown
from recode_train.algorithms import ALGORITHMS
from recode_train.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BASE: Final = "base"
MATCHES: Final = ("steps", "none")
_SHARED: Final = (
    "model", "model_revision", "data", "limit", "skip_bad_rows", "prompt", "max_prompt_length",
    "max_completion_length",
)  # fmt: skip
"""Settings that all arms must share: the base, the pairs and the prompts."""


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
    sandbox: str = "auto"


@named_fields_only
@dataclass(frozen=True, slots=True, kw_only=True)
class CompareConfig:
    """One model, trained in several ways on the same pairs.

    Raises:
        UsageError: an option does not exist (the message has the nearest one), or the values make
            no comparison.

    >>> config = CompareConfig(model="my-model", arms=["sft", "grpo"], seeds=[1])
    >>> config.trained
    ('sft', 'grpo')
    """

    model: str
    """Folder or hub id that all arms start from."""
    out: Path | str = Path("comparison")
    """Trainings, runs and results; the same settings continue what lies there."""
    arms: Sequence[str] = ("sft", "grpo", "dapo")
    """Algorithms; the untrained model (`base`) is always evaluated and need not be named."""
    seeds: Sequence[int] = (1, 2, 3)
    data: str = "migration"
    presets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """By arm."""
    overrides: Sequence[str] = ()
    """`KEY=VALUE` for all arms, `ARM.KEY=VALUE` for one."""
    match: str = "steps"
    """`steps`: every arm makes as many updates as the arm with the fewest. `none`: each makes those
    of its own settings."""
    evaluated: EvaluationSettings = EvaluationSettings()

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", Path(self.out))
        trained = self.trained
        for arm in (*trained, *self.presets):
            if arm not in ALGORITHMS:
                raise UsageError(unknown("arm", arm, (BASE, *ALGORITHMS.names())))
        if not trained:
            raise UsageError(
                f"No arm to train; name at least one of {', '.join(ALGORITHMS.names())} in --arms."
            )
        if idle := set(self.presets) - set(trained):
            raise UsageError(f"--preset names {min(idle)}, which is not among the arms.")
        for what, values in (("arm", trained), ("seed", self.seeds), ("task", self.tasks)):
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

    @property
    def trained(self) -> tuple[str, ...]:
        """The arms without the base."""
        return tuple(arm for arm in self.arms if arm != BASE)

    @property
    def folder(self) -> Path:
        """`out` as a path."""
        return Path(self.out)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(text.partition("=")[0] for text in self.evaluated.tasks)


def arm_configs(config: CompareConfig, seed: int) -> dict[str, TrainConfig]:
    """Return the configuration of every arm for one seed.

    Raises:
        UsageError: a setting is unknown or out of its range, or the arms would not have the same
            base, pairs and prompts.
    """
    configs = {arm: _config(config, arm, seed) for arm in config.trained}
    first, *others = configs.values()
    for other in others:
        for name in _SHARED:
            if getattr(first, name) != getattr(other, name):
                raise UsageError(
                    f"{name} is {getattr(first, name)!r} for {first.algorithm} and "
                    f"{getattr(other, name)!r} for {other.algorithm}: arms with different bases, "
                    f"pairs or prompts are not comparable. Set it for all arms: --set {name}=VALUE"
                )
    if config.match == "steps":
        steps = min(one.max_steps for one in configs.values())
        configs = {arm: dataclasses.replace(one, max_steps=steps) for arm, one in configs.items()}
    return configs


def revision(config: CompareConfig) -> str | None:
    """Return the revision of the base on the hub, which all arms share."""
    return next(iter(arm_configs(config, config.seeds[0]).values())).model_revision


def _config(config: CompareConfig, arm: str, seed: int) -> TrainConfig:
    overrides = []
    for text in config.overrides:
        owner, dot, _rest = text.partition(".")
        if not (dot and owner in ALGORITHMS):
            overrides.append(text)
        elif owner not in config.trained:
            raise UsageError(f"--set {text}: {owner} is not among the arms.")
    own = [text.partition(".")[2] for text in config.overrides if text.startswith(f"{arm}.")]
    return TrainConfig.from_sources(
        arm,
        preset=config.presets.get(arm),
        overrides=[*overrides, *own],
        model=config.model,
        data=config.data,
        output=str(config.folder / "arms" / f"{arm}-seed{seed}"),
        seed=seed,
    )


def identity(config: CompareConfig, data_hash: str, prompts: Mapping[str, str]) -> dict[str, Any]:
    """Return everything that decides the results, as plain values; it must not change later.

    `prompts` are those of the evaluations, by task.

    Raises `UsageError` if the model is missing, `DataError` if a task's file cannot be read.
    """
    from recode_eval.models.checkpoint import resolve_checkpoint
    from recode_eval.models.options import ModelOptions

    return {
        "model": dict(
            resolve_checkpoint(config.model, ModelOptions(revision=revision(config))).model.identity
        ),
        "data_hash": data_hash,
        "seeds": list(config.seeds),
        "match": config.match,
        "arms": {
            arm: {k: v for k, v in one.as_dict().items() if k not in {"output", "seed"}}
            for arm, one in arm_configs(config, config.seeds[0]).items()
        },
        "evaluated": {
            **{k: v for k, v in dataclasses.asdict(config.evaluated).items() if k != "sandbox"},
            "tasks": {text.partition("=")[0]: _file_hash(text) for text in config.evaluated.tasks},
            "include_paths": list(config.evaluated.include_paths),
            "prompts": dict(prompts),
        },
    }


def _file_hash(task: str) -> str | None:
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
