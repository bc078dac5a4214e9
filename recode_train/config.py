"""What a training run is asked to do: one flat, checked, immutable value.

Settings that TRL has carry TRL's names and units. Their values come from four places, the later
ones first: `--set`, the YAML file, the preset, the defaults of the algorithm (and of the class).
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

ALGORITHMS: Final = ("sft", "grpo", "dapo")
TUNINGS: Final = ("full", "lora", "dora")
REWARDS: Final = (
    "format", "es", "em", "es_star", "em_star", "overlong", "tests", "api",
)  # fmt: skip
"""Names of the reward functions; `recode_train.rewards` has their formulas."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of a run. Raises `UsageError` for a value out of its range.

    A *completion* is one sampled answer, or for SFT one example; a *step* is one update of the
    weights.
    """

    algorithm: str
    """`sft`, `grpo` or `dapo`."""
    model: str
    """Folder or hub id of the model to train."""
    data: str = "migration"
    """Training pairs: `migration`, `recode-train-data`, `recode-train-data=FILE` or a file."""
    output: str = "train-runs"
    """Folder of the run: log, provenance, checkpoints, and the trained weights in `final`."""
    preset: str | None = None
    """The preset these settings began with; provenance only."""
    seed: int = 0

    # Data and prompts
    limit: int | None = None
    """Only the first so many pairs."""
    skip_bad_rows: bool = False
    prompt: str | None = None
    """A prompt variant of the data's task, or a .jinja2 file. None: `recode`, which asks for the
    think/answer form that the reward `format` needs; the task's default where it has no `recode`.
    Evaluations use the same variant where the evaluated task has it, else that task's default."""
    max_prompt_length: int = 2048
    """Tokens; pairs with a longer prompt are left out and counted."""
    max_completion_length: int = 1024
    """Tokens of a completion at most."""

    # Weights
    tuning: str = "dora"
    """`full`, `lora` or `dora`."""
    lora_r: int = 64
    lora_alpha: int = 64
    lora_dropout: float = 0.01
    lora_target_modules: tuple[str, ...] = ("all-linear",)
    dtype: str = "auto"
    """Number format the weights are loaded in; `auto`: float32 on a CPU and when all weights are
    trained (shorter formats lose small updates), else that of the checkpoint."""
    bf16: bool | None = None
    """Compute in bfloat16; None: where the accelerator can, never on a CPU."""
    gradient_checkpointing: bool | None = None
    """Trade time for memory; None: on an accelerator, not on a CPU."""
    model_revision: str | None = None
    trust_remote_code: bool = False

    # Optimisation
    max_steps: int = 1000
    """Updates of the weights."""
    learning_rate: float = 5e-5
    lr_scheduler_type: str = "cosine"
    warmup_steps: int = 30
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    optim: str = "adamw_torch"
    per_device_train_batch_size: int = 8
    """Completions (SFT: examples) of one process in one backward pass."""
    gradient_accumulation_steps: int = 1
    """Backward passes of one step."""
    num_processes: int = 1
    """Processes that share a step; a run started by `accelerate launch` knows it by itself."""

    # Generation and reinforcement learning
    num_generations: int = 8
    """Completions of one prompt: a group."""
    steps_per_generation: int = 1
    """Backward passes fed by one generation."""
    num_iterations: int = 1
    """How often the completions of one generation are trained on."""
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0: all tokens."""
    loss_type: str = "grpo"
    beta: float = 0.0
    """Weight of the KL divergence from the untrained model."""
    epsilon: float = 0.2
    """The ratio of probabilities is clipped at 1 - epsilon ..."""
    epsilon_high: float | None = None
    """... and at 1 + epsilon_high; None: `epsilon`."""
    scale_rewards: str = "group"
    """What an advantage is divided by: the standard deviation of the `group`, the `batch`, or
    `none`."""
    mask_truncated_completions: bool = False
    use_bias_correction_kl: bool = False
    dynamic_sampling: bool = False
    """Drop groups whose rewards are all equal and sample other prompts in their place."""
    dynamic_sampling_rounds: int = 10
    """Generations for one batch at most."""
    rewards: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({"format": 1.0, "es_star": 1.0})
    )
    """Weight of each reward (`REWARDS`); those of weight 0 are not computed."""
    overlong_cache: int = 256
    """Tokens before `max_completion_length` from which the overlong penalty grows."""
    sandbox: str = "auto"
    """Tier that the reward `tests` and the evaluation run programs in."""
    sandbox_workers: int | None = None

    # vLLM
    use_vllm: bool = False
    vllm_mode: str = "colocate"
    """`colocate` (in the training process) or `server` (started with `trl vllm-serve`)."""
    vllm_server_base_url: str | None = None
    vllm_gpu_memory_utilization: float = 0.3
    vllm_tensor_parallel_size: int = 1

    # Logging, checkpoints, evaluation during training
    logging_steps: int = 1
    save_steps: int = 100
    """Steps between checkpoints."""
    save_total_limit: int = 2
    eval_steps: int | None = None
    """Steps between evaluations with recode-eval; None: no evaluation."""
    eval_tasks: tuple[str, ...] = ()
    eval_limit: int | None = None
    """Only the first so many problems of each task."""
    eval_n: int = 1
    """Samples per problem."""
    eval_temperature: float = 0.0

    trainer_args: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """More arguments of TRL's SFTConfig or GRPOConfig, for what has no name here."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise UsageError(
                    f"{name} must be one of {', '.join(choices)}, not {value!r}."
                    f"{did_you_mean(str(value), choices)}"
                )
        for names, low, high in _RANGES:
            for name in names.split():
                value = getattr(self, name)
                if value is not None and not (math.isfinite(value) and low <= value <= high):
                    bounds = f"at least {low:g}" if high == math.inf else f"in [{low:g}, {high:g}]"
                    raise UsageError(f"{name} must be {bounds}, not {value!r}.")
        for name in ("model", "data", "output"):
            if not getattr(self, name).strip():
                raise UsageError(f"{name} must not be empty.")
        for name in ("learning_rate", "temperature", "top_p"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be above 0, not {getattr(self, name)!r}.")
        self._check_rewards()
        if taken := sorted(set(self.trainer_args) & set(SETTINGS)):
            raise UsageError(
                f"trainer_args: {taken[0]} is a setting of its own; set {taken[0]} instead."
            )

    def _check_rewards(self) -> None:
        for name, weight in self.rewards.items():
            if name not in REWARDS:
                raise UsageError(
                    f"Unknown reward {name!r}.{did_you_mean(name, REWARDS)} "
                    f"Known rewards: {', '.join(REWARDS)}."
                )
            if not math.isfinite(weight):
                raise UsageError(f"The weight of the reward {name} must be finite, not {weight!r}.")
        if self.algorithm != "sft" and not any(
            weight for name, weight in self.rewards.items() if name != "overlong"
        ):
            raise UsageError("No reward has a weight, so nothing would be learnt; set rewards.")

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
        """Build a configuration; `overrides` are `KEY=VALUE` texts, `settings` come last of all.

        A reward is set by `rewards.NAME=WEIGHT`. Settings that are None do not count.

        Raises:
            UsageError: an unknown preset, key or reward (the message has the nearest name), a value
                of the wrong type or out of its range, a preset of another algorithm.
        """
        from recode_train.presets import ALGORITHM_DEFAULTS, preset_settings

        if algorithm not in ALGORITHMS:
            raise UsageError(
                f"Unknown algorithm {algorithm!r}.{did_you_mean(algorithm, ALGORITHMS)} "
                f"Known: {', '.join(ALGORITHMS)}."
            )
        sources = [] if file is None else [(str(file), _read_yaml(file))]
        sources += [(f"--set {text}", _parse_override(text)) for text in overrides]
        for _, stated in sources if preset is None else ():
            preset = stated.get("preset", preset)
        merged: dict[str, Any] = {
            "algorithm": algorithm,
            "output": f"train-runs/{algorithm}",
            **ALGORITHM_DEFAULTS[algorithm],
        }
        if preset is not None:
            merged |= preset_settings(str(preset), algorithm)
        for where, stated in sources:
            _merge(merged, stated, where)
        merged["preset"] = preset
        merged |= {name: value for name, value in settings.items() if value is not None}
        if merged["algorithm"] != algorithm:
            raise UsageError(
                f"The settings are for {merged['algorithm']}, but the command is {algorithm}."
            )
        if not merged.get("model"):
            raise UsageError("No model is named; give --model PATH.")
        return cls(**{name: _coerce(name, value) for name, value in merged.items()})

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON and for a YAML file that repeats them."""
        values = {name: getattr(self, name) for name in SETTINGS}
        return {name: _plain(value) for name, value in values.items()}


SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {item.name: str(item.type) for item in dataclasses.fields(TrainConfig)}
)
"""Every setting and its type."""

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "algorithm": ALGORITHMS,
        "tuning": TUNINGS,
        "dtype": ("auto", "float32", "bfloat16", "float16"),
        "loss_type": ("grpo", "dapo", "dr_grpo", "bnpo"),
        "scale_rewards": ("group", "batch", "none"),
        "vllm_mode": ("colocate", "server"),
        "sandbox": ("auto", "docker", "bubblewrap", "landlock"),
    }
)
_RANGES: Final = (
    (
        (
            "limit max_prompt_length max_completion_length lora_r lora_alpha max_steps "
            "num_processes per_device_train_batch_size gradient_accumulation_steps "
            "steps_per_generation num_iterations dynamic_sampling_rounds sandbox_workers "
            "vllm_tensor_parallel_size logging_steps save_steps save_total_limit eval_steps "
            "eval_limit eval_n"
        ),
        1,
        math.inf,
    ),
    ("num_generations", 2, math.inf),
    ("seed", 0, 2**31 - 1),
    (
        (
            "warmup_steps weight_decay max_grad_norm top_k beta overlong_cache eval_temperature "
            "learning_rate temperature epsilon_high"
        ),
        0,
        math.inf,
    ),
    ("lora_dropout top_p epsilon vllm_gpu_memory_utilization", 0, 1),
)


def setting_defaults() -> list[tuple[str, str, str]]:
    """Return name, type and default of every setting, as text for people."""
    rows = []
    for item in dataclasses.fields(TrainConfig):
        default: Any = "(needed)"
        if item.default_factory is not dataclasses.MISSING:
            default = _plain(item.default_factory())
        elif item.default is not dataclasses.MISSING:
            default = _plain(item.default)
        rows.append((item.name, str(item.type), str(default)))
    return rows


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question with the nearest of the names, or nothing."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""


def unknown(what: str, name: str, names: Iterable[str]) -> UsageError:
    """Return the error for a name that does not exist, with the nearest one that does."""
    known = list(names)
    return UsageError(
        f"Unknown {what} {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}."
    )


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


def _coerce(name: str, value: Any) -> Any:
    """Return the value in the setting's type; raises `UsageError` where it does not fit."""
    wanted = SETTINGS[name]
    if wanted.endswith(" | None"):
        if value is None:
            return None
        wanted = wanted.removesuffix(" | None")
    try:
        return _CONVERSIONS[wanted](value)
    except (ValueError, TypeError, OverflowError):
        raise UsageError(
            f"{name} must be {_EXPECTED[wanted]}, not {value!r} ({_kind(value)})."
        ) from None


def _as_int(value: Any) -> int:
    number = _as_float(value)
    if number != int(number):
        raise ValueError
    return int(number)


def _as_float(value: Any) -> float:
    # YAML reads 5e-5, which has no dot, as text.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    return float(value)


def _as_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        # YAML reads a bare `none` as text, but `off` and `no` as false.
        raise TypeError
    if not isinstance(value, str | int | float):
        raise TypeError
    return str(value)


def _as_texts(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise TypeError
    return tuple(text for text in (_as_text(item).strip() for item in items) if text)


def _as_weights(value: Any) -> Mapping[str, float]:
    if not isinstance(value, Mapping):
        raise TypeError
    return MappingProxyType({str(name): _as_float(weight) for name, weight in value.items()})


def _as_mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError
    return MappingProxyType({str(name): item for name, item in value.items()})


_CONVERSIONS: Final[Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        "int": _as_int,
        "float": _as_float,
        "bool": _as_bool,
        "str": _as_text,
        "tuple[str, ...]": _as_texts,
        "Mapping[str, float]": _as_weights,
        "Mapping[str, Any]": _as_mapping,
    }
)
_EXPECTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "str": "text",
        "tuple[str, ...]": "a list of names",
        "Mapping[str, float]": "a mapping of names to numbers",
        "Mapping[str, Any]": "a mapping",
    }
)


def _kind(value: object) -> str:
    return {dict: "mapping", list: "list", str: "text", bool: "truth value"}.get(
        type(value), type(value).__name__
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
