"""What a training run is asked to do: one flat, checked, immutable value.

Settings that TRL has carry TRL's names and units. The type of a setting states its range. Values
come from four places: `--set` wins over the YAML file, the file over the preset, the preset over
the defaults of the algorithm and of the class.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from recode_eval.checks import completed_by
from recode_eval.errors import UsageError
from recode_eval.plugins import did_you_mean, unknown
from recode_train.algorithms import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from recode_train.algorithms import Algorithm

REWARDS: Final = (
    "format", "es", "em", "es_star", "em_star", "overlong", "tests", "api",
)  # fmt: skip
"""Names of the reward functions; `recode_train.rewards` has their formulas."""

_FINITE: Final = sys.float_info.max
Count = Annotated[int, Meta(ge=1, description="a whole number of at least 1")]
Natural = Annotated[int, Meta(ge=0, description="a whole number of at least 0")]
GroupSize = Annotated[int, Meta(ge=2, description="a whole number of at least 2")]
Seed = Annotated[int, Meta(ge=0, le=2**31 - 1, description="a whole number in [0, 2147483647]")]
Amount = Annotated[float, Meta(ge=0, le=_FINITE, description="a number of at least 0")]
Positive = Annotated[float, Meta(gt=0, le=_FINITE, description="a number above 0")]
Share = Annotated[float, Meta(ge=0, le=1, description="a number in [0, 1]")]
PositiveShare = Annotated[float, Meta(gt=0, le=1, description="a number in [0, 1], above 0")]
Text = Annotated[str, Meta(pattern=r"\S", description="text, and not empty")]
Switch = Annotated[bool, Meta(description="true or false")]
Names = Annotated[tuple[str, ...], Meta(description="a list of names")]
_Finite = Annotated[float, Meta(ge=-_FINITE, le=_FINITE)]
Weights = Annotated[Mapping[str, _Finite], Meta(description="a mapping of names to finite numbers")]
Arguments = Annotated[Mapping[str, Any], Meta(description="a mapping of names to values")]
Tuning = Literal["full", "lora", "dora"]
NumberFormat = Literal["auto", "float32", "bfloat16", "float16"]
Loss = Literal["grpo", "dapo", "dr_grpo", "bnpo"]
RewardScale = Literal["group", "batch", "none"]
VllmMode = Literal["colocate", "server"]
Tools = Annotated[
    tuple[Literal["run", "read"], ...], Meta(description="a list of the tools run and read")
]
Turns = Annotated[int, Meta(ge=1, le=20, description="a whole number in [1, 20]")]
Tier = Literal["auto", "docker", "bubblewrap", "landlock"]


@completed_by(lambda given: _resolve(given))
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of a run.

    What is not given comes from the `preset`, then from the algorithm's own defaults, then from
    those below. A *completion* is one sampled answer, or for SFT one example; a *step* is one
    update of the weights.

    Raises:
        UsageError: a setting or a reward does not exist (the message has the nearest one), a value
            is of the wrong type or out of its range, or the preset is for another algorithm.

    >>> config = TrainConfig(algorithm="dapo", model="my-model", preset="paper-dapo", max_steps=200)
    >>> config.dynamic_sampling, config.learning_rate, config.max_steps
    (True, 5e-05, 200)
    >>> TrainConfig(algorithm="sft", model="my-model", max_steps=0)
    Traceback (most recent call last):
    ...
    recode_eval.errors.UsageError: max_steps must be a whole number of at least 1, not 0.
    """

    algorithm: Text
    """`sft`, `grpo` or `dapo`."""
    model: Text
    """Folder, hub id or GGUF file of the model to train."""
    data: Text = "migration"
    """Training pairs: `migration`, `recode-train-data`, `recode-train-data=FILE` or a file."""
    output: Text = "train-runs/ALGORITHM"
    """Folder of the run: log, provenance, checkpoints, and the trained weights in `final`. Without
    one it is `train-runs/` and the algorithm's name."""
    preset: Text | None = None
    """Settings to begin with; `recode-train presets` lists them."""
    seed: Seed = 0

    # Data and prompts
    limit: Count | None = None
    """Only the first so many pairs."""
    skip_bad_rows: Switch = False
    prompt: Text | None = None
    """A prompt variant of the data's task, or a .jinja2 file. None: `recode`, which asks for the
    think/answer form that the reward `format` needs; the task's default where it has no `recode`.
    Evaluations use the same variant where the evaluated task has it, else that task's default."""
    max_prompt_length: Count = 2048
    """Tokens; pairs with a longer prompt are left out and counted."""
    max_completion_length: Count = 1024
    """Tokens of a completion at most."""

    # Weights
    tuning: Tuning = "dora"
    """`full`, `lora` or `dora`."""
    lora_r: Count = 64
    lora_alpha: Count = 64
    lora_dropout: Share = 0.01
    lora_target_modules: Names = ("all-linear",)
    dtype: NumberFormat = "auto"
    """Number format the weights are loaded in; `auto`: float32 on a CPU and when all weights are
    trained (shorter formats lose small updates), else that of the checkpoint."""
    bf16: Switch | None = None
    """Compute in bfloat16; None: where the accelerator can, never on a CPU."""
    gradient_checkpointing: Switch | None = None
    """Trade time for memory; None: on an accelerator, not on a CPU."""
    model_revision: Text | None = None
    trust_remote_code: Switch = False

    # Optimisation
    max_steps: Count = 1000
    """Updates of the weights."""
    learning_rate: Positive = 5e-5
    lr_scheduler_type: Text = "cosine"
    warmup_steps: Natural = 30
    weight_decay: Amount = 0.0
    max_grad_norm: Amount = 1.0
    optim: Text = "adamw_torch"
    per_device_train_batch_size: Count = 8
    """Completions (SFT: examples) of one process in one backward pass."""
    gradient_accumulation_steps: Count = 1
    """Backward passes of one step."""
    num_processes: Count = 1
    """Processes that share a step; a run started by `accelerate launch` knows it by itself."""

    # Generation and reinforcement learning
    num_generations: GroupSize = 8
    """Completions of one prompt: a group."""
    steps_per_generation: Count = 1
    """Backward passes fed by one generation."""
    num_iterations: Count = 1
    """How often the completions of one generation are trained on."""
    temperature: Positive = 1.0
    top_p: PositiveShare = 1.0
    top_k: Natural = 0
    """0: all tokens."""
    loss_type: Loss = "grpo"
    beta: Amount = 0.0
    """Weight of the KL divergence from the untrained model."""
    epsilon: Share = 0.2
    """The ratio of probabilities is clipped at 1 - epsilon ..."""
    epsilon_high: Amount | None = None
    """... and at 1 + epsilon_high; None: `epsilon`."""
    scale_rewards: RewardScale = "group"
    """What an advantage is divided by: the standard deviation of the `group`, the `batch`, or
    `none`."""
    mask_truncated_completions: Switch = False
    use_bias_correction_kl: Switch = False
    dynamic_sampling: Switch = False
    """Drop groups whose rewards are all equal and sample other prompts in their place."""
    dynamic_sampling_rounds: Count = 10
    """Generations for one batch at most."""
    rewards: Weights = field(
        default_factory=lambda: MappingProxyType({"format": 1.0, "es_star": 1.0})
    )
    """Weight of each reward (`REWARDS`); those of weight 0 are not computed."""
    overlong_cache: Natural = 256
    """Tokens before `max_completion_length` from which the overlong penalty grows."""
    tools: Tools = ()
    """What the model may call before it answers: `run` a program, `read` the installed library."""
    tool_calls: Count = 16
    """Calls of `tools` in one rollout at most."""
    tool_seconds: Positive = 120.0
    """Seconds that `tools` take in one rollout at most."""
    turns: Turns = 1
    """Above 1 the model hands in its program by the tool `submit`, at most so many times, and
    learns how it fails its visible test."""
    sandbox: Tier = "auto"
    """Tier that the reward `tests` and the evaluation run programs in."""
    sandbox_workers: Count | None = None
    """Programs at once in each process (null: a machine's processes share its cores)."""

    # vLLM
    use_vllm: Switch = False
    vllm_mode: VllmMode = "colocate"
    """`colocate` (in the training process) or `server` (started with `trl vllm-serve`)."""
    vllm_server_base_url: Text | None = None
    vllm_gpu_memory_utilization: Share = 0.3
    vllm_tensor_parallel_size: Count = 1

    # Logging, checkpoints, evaluation during training
    logging_steps: Count = 1
    save_steps: Count = 100
    """Steps between checkpoints."""
    save_total_limit: Count = 2
    eval_steps: Count | None = None
    """Steps between evaluations with recode-eval; None: no evaluation."""
    eval_tasks: Names = ()
    eval_limit: Count | None = None
    """Only the first so many problems of each task."""
    eval_n: Count = 1
    """Samples per problem."""
    eval_temperature: Amount = 0.0

    trainer_args: Arguments = field(default_factory=lambda: MappingProxyType({}))
    """More arguments of TRL's SFTConfig or GRPOConfig, for what has no name here."""

    def __post_init__(self) -> None:
        for name in self.rewards:
            if name not in REWARDS:
                raise UsageError(unknown("reward", name, REWARDS))
        if self.samples and not any(
            weight for name, weight in self.rewards.items() if name != "overlong"
        ):
            raise UsageError(
                "No reward has a weight, so the model would learn nothing; set rewards."
            )
        if self.samples and self.turns > 1 and self.rewards.get("format"):
            raise UsageError(
                "The reward format judges the form of a written answer, and with turns above 1 an "
                "answer is a program handed in by a tool; set rewards.format=0."
            )
        if taken := sorted(set(self.trainer_args) & set(SETTINGS)):
            raise UsageError(
                f"trainer_args: {taken[0]} has its own setting; set {taken[0]} instead."
            )

    @property
    def method(self) -> Algorithm:
        """The algorithm itself."""
        return ALGORITHMS.get(self.algorithm)

    @property
    def samples(self) -> bool:
        """Whether the algorithm samples completions and has rewards; SFT does neither."""
        return self.method.samples

    @classmethod
    def from_sources(
        cls,
        algorithm: str,
        *,
        preset: str | None = None,
        file: Path | None = None,
        overrides: Iterable[str] = (),
        **settings: Any,
    ) -> TrainConfig:
        """Build a configuration of a YAML file and `KEY=VALUE` texts, as the command line does.

        `overrides` win over the `file`, and `settings` over both; settings that are None do not
        count. `rewards.NAME=WEIGHT` sets a single reward.

        Raises `UsageError` as the constructor does, and for a file that cannot be read.

        >>> made = TrainConfig.from_sources("grpo", model="m", overrides=["rewards.tests=2"])
        >>> dict(made.rewards)
        {'format': 1.0, 'es_star': 1.0, 'tests': 2.0}
        """
        sources = [] if file is None else [(str(file), _read_yaml(file))]
        sources += [(f"--set {text}", _parse_override(text)) for text in overrides]
        for _, stated in sources if preset is None else ():
            preset = stated.get("preset", preset)
        merged: dict[str, Any] = _defaults(algorithm, preset)
        for where, stated in sources:
            _merge(merged, stated, where)
        merged |= {name: value for name, value in settings.items() if value is not None}
        if merged.setdefault("algorithm", algorithm) != algorithm:
            raise UsageError(
                f"The settings are for {merged['algorithm']}, but the command is {algorithm}."
            )
        return cls(**{**merged, "preset": preset})

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON and for a YAML file that repeats them."""
        return {name: _plain(getattr(self, name)) for name in SETTINGS}


SETTINGS: Final[Mapping[str, Any]] = MappingProxyType(
    typing.get_type_hints(TrainConfig, include_extras=True)
)
"""Every setting and its type."""


def setting_defaults() -> list[tuple[str, str, str]]:
    """Return name, range and default of every setting, as text for people."""
    rows = []
    for item in dataclasses.fields(TrainConfig):
        default: Any = "(needed)"
        if item.default_factory is not dataclasses.MISSING:
            default = _plain(item.default_factory())
        elif item.default is not dataclasses.MISSING:
            default = _plain(item.default)
        rows.append((item.name, _expected(SETTINGS[item.name]), str(default)))
    return rows


def _defaults(algorithm: str, preset: object) -> dict[str, Any]:
    """Return the settings that an algorithm and a preset bring."""
    from recode_train.presets import preset_settings

    settings = {"output": f"train-runs/{algorithm}", **ALGORITHMS.get(algorithm).defaults}
    if preset is not None:
        settings |= preset_settings(str(preset), algorithm)
    return settings


def _resolve(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a constructor's call, in their types."""
    algorithm = str(given.get("algorithm", ""))
    settings = {**_defaults(algorithm, given.get("preset")), **given}
    if not settings.get("model"):
        raise UsageError("No model given; set model=... (--model PATH).")
    return {name: _convert(name, value) for name, value in settings.items()}


def _convert(name: str, value: Any) -> Any:
    """Return the value in the setting's type; raises `UsageError` where it does not fit."""
    wanted = SETTINGS[name]
    if wanted in {Names, Tools} and isinstance(value, str):
        value = tuple(text for part in value.split(",") if (text := part.strip()))
    try:
        # YAML reads 5e-5, which has no dot, as text; "true" in quotes stays text.
        made = msgspec.convert(value, wanted, strict=not _is_numeric(wanted))
    except (msgspec.ValidationError, OverflowError):
        near = did_you_mean(str(value), _choices(wanted)) if _choices(wanted) else ""
        raise UsageError(f"{name} must be {_expected(wanted)}, not {value!r}.{near}") from None
    return MappingProxyType(made) if isinstance(made, dict) else made


def _members(wanted: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type alone."""
    if typing.get_origin(wanted) in {typing.Union, types.UnionType}:
        return typing.get_args(wanted)
    return (wanted,)


def _is_numeric(wanted: Any) -> bool:
    return not any(member in {Text, Switch, Names, Tools} for member in _members(wanted))


def _choices(wanted: Any) -> tuple[str, ...]:
    return typing.get_args(wanted) if typing.get_origin(wanted) is Literal else ()


def _expected(wanted: Any) -> str:
    """Say what fits a type."""
    if choices := _choices(wanted):
        return f"one of {', '.join(choices)}"
    first, *others = _members(wanted)
    return f"{first.__metadata__[0].description}{' or null' if others else ''}"


def _merge(into: dict[str, Any], settings: Mapping[str, Any], where: str) -> None:
    """Put `settings` over those in `into`; single rewards over the rewards."""
    for key, value in settings.items():
        name, dot, part = str(key).partition(".")
        if name not in SETTINGS:
            raise UsageError(
                f"{where}: unknown setting {name!r}.{did_you_mean(name, SETTINGS)} "
                "`recode-train presets --settings` lists them all."
            )
        if not dot:
            into[name] = value
        elif name in {"rewards", "trainer_args"}:
            default = {"rewards": {"format": 1.0, "es_star": 1.0}, "trainer_args": {}}[name]
            into[name] = {**into.get(name, default), part: value}
        else:
            raise UsageError(f"{where}: {name} has no parts; write {name}=VALUE.")


def _parse_override(text: str) -> dict[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise UsageError(f"--set {text}: write KEY=VALUE, for example --set max_steps=200.")
    return {key.strip(): _yaml(value, f"--set {text}")}


def _read_yaml(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or error
        raise UsageError(f"Cannot read the settings file {file}: {cause}.") from error
    content = _yaml(text, str(file))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{file}: expected `setting: value` lines, found a {_kind(content)}.")
    return content


def _yaml(text: str, where: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{where}: not readable as YAML ({reason}).") from error


def _kind(value: object) -> str:
    return {dict: "mapping", list: "list", str: "text", bool: "truth value"}.get(
        type(value), type(value).__name__
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
