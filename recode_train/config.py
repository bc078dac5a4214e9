"""What a training run is asked to do: one flat, checked, immutable value.

Settings that TRL has carry TRL's names and units. The type of a setting states its range. Values
come from four places: `--set` wins over the YAML file, the file over the preset, the preset over
the defaults of the algorithm and of the class.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from recode_eval.checks import completed_by
from recode_eval.errors import UsageError
from recode_train import config_checks, setting_sources
from recode_train.algorithms import ALGORITHMS
from recode_train.presets import method_label
from recode_train.setting_types import (
    DEFAULT_REWARDS,
    Amount,
    Arguments,
    Count,
    DpoLoss,
    GroupSize,
    ImportanceLevel,
    KeepReward,
    Loss,
    Names,
    Natural,
    Number,
    NumberFormat,
    Positive,
    PositiveShare,
    RewardScale,
    Seed,
    Share,
    Switch,
    Text,
    Tier,
    Tools,
    TrackerNames,
    Tuning,
    Turns,
    VllmMode,
    Weights,
    expected,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from recode_train.algorithms import Algorithm


@completed_by(lambda given: setting_sources.resolve(given, SETTINGS))
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
    """`sft`, `grpo`, `dapo`, `rloo`, `rft`, `dpo` or that of another package."""
    model: Text
    """Folder, hub id or GGUF file of the model to train."""
    data: Text = "migration"
    """Training pairs: `migration`, `recode-train-data`, `recode-train-data=FILE`, a file, or the
    folder of a task of one's own (`FOLDER` or `FOLDER=FILE`)."""
    output: Text = "train-runs/ALGORITHM"
    """Folder of the run: log, provenance, checkpoints, and the trained weights in `final`. Without
    one it is `train-runs/` and the algorithm's name."""
    preset: Text | None = None
    """Settings to begin with; `recode-train presets` lists them."""
    seed: Seed = 0

    # Data and prompts
    limit: Count | None = None
    """Only the first so many pairs."""
    pairs: Text | None = None
    """A JSON file with a list of ids of pairs: only these, in the data's order."""
    skip_bad_rows: Switch = False
    prompt: Text | None = None
    """A prompt variant of the data's task, or a .jinja2 file. None: `recode`, which asks for the
    think/answer form that the reward `format` needs; the task's default where it has no `recode`.
    Evaluations use the same variant where the evaluated task has it, else that task's default."""
    max_prompt_length: Count = 2048
    """Tokens; pairs with a longer prompt are left out and counted."""
    max_completion_length: Count = 1024
    """Tokens of a completion at most."""

    # Answers to learn from, instead of the references
    completions: Text | None = None
    """A run of recode-eval: its folder, or its completions.jsonl. Its good answers are learnt."""
    completions_per_problem: Count = 4
    """Answers (DPO: pairs of answers) of one problem at most."""
    keep_reward: KeepReward = "auto"
    """What makes an answer good: its verdict (`tests`) or a similarity to the reference. `auto`:
    the tests where the pairs have some, else `em_star`."""
    keep_at_least: Number | None = None
    """The least similarity of a good answer; None: that of a perfect one."""

    dpo_loss: DpoLoss = "sigmoid"
    """The loss of DPO; TRL's `loss_type`. `beta` is its strength."""

    # Weights
    tuning: Tuning = "dora"
    """`full`, `lora`, `dora`, or `qlora`: LoRA over weights of four bits (bitsandbytes, a GPU)."""
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
    attn_implementation: Text | None = None
    """How attention is computed: `eager`, `sdpa`, `flash_attention_2`, ...; None: as transformers
    chooses."""
    packing: Switch = False
    """Learning answers: put several into one row, up to the longest prompt and completion."""
    disable_dropout: Switch = False
    """No dropout at all. While completions are sampled there is never any."""
    model_revision: Text | None = None
    trust_remote_code: Switch = False

    # Optimisation
    max_steps: Count = 1000
    """Updates of the weights."""
    stop_after_tokens: Count | None = None
    """End after the step with which so many tokens were generated and trained on, both together."""
    stop_after_seconds: Positive | None = None
    """End after the step with which the training has taken so long, without loading and evaluation.
    """
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
    importance_sampling_level: ImportanceLevel = "token"
    """Whether each `token` has its own ratio of probabilities, or one is shared by a `sequence`."""
    beta: Amount = 0.0
    """Weight of the KL divergence from the untrained model."""
    epsilon: Share = 0.2
    """The ratio of probabilities is clipped at 1 - epsilon ..."""
    epsilon_high: Amount | None = None
    """... and at 1 + epsilon_high; None: `epsilon`."""
    delta: Positive | None = None
    """The ratio's upper bound where the advantage is negative (dual clip); None: none."""
    scale_rewards: RewardScale = "group"
    """What an advantage is divided by: the standard deviation of the `group`, the `batch`, or
    `none`."""
    mask_truncated_completions: Switch = False
    use_bias_correction_kl: Switch = False
    dynamic_sampling: Switch = False
    """Drop groups whose rewards are all equal and sample other prompts in their place."""
    dynamic_sampling_rounds: Count = 10
    """Generations for one batch at most."""
    max_barren_batches: Count | None = 100
    """Updates without any gradient in a row after which the training stops; None: it never does."""
    rewards: Weights = field(default_factory=lambda: DEFAULT_REWARDS)
    """Weight of each reward (`REWARDS`, or `module:function`); one of weight 0 is logged only, and
    null takes a reward out."""
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
    """Programs at once on a machine, and with `tools` in each process (None: as many as there are
    cores, and with tools a process's share of them)."""

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
    report_to: TrackerNames = ()
    """Where the log goes besides `train.jsonl`: `wandb`, `tensorboard`, `trackio`."""
    completion_samples: Natural = 4
    """Completions that `completions.jsonl` and the trackers show at a time."""
    completion_steps: Count = 10
    """Steps between two such tables, at least."""
    gate: Text | None = None
    """Gate every checkpoint against this stored run (or `first`, `previous`, `best`), and stop
    after a regression."""
    gate_options: Names = ()
    """More options of `recode-eval watch`, such as --tasks=arena-mini."""
    gate_wait: Switch = False
    """Whether every checkpoint waits for its verdict."""
    eval_steps: Count | None = None
    """Steps between evaluations with recode-eval; None: no evaluation."""
    eval_tasks: Names = ("migration-validation",)
    """What is evaluated: by default pairs set apart for choosing, so that no step is chosen on a
    test."""
    eval_limit: Count | None = None
    """Only the first so many problems of each task."""
    eval_n: Count = 1
    """Samples per problem."""
    eval_temperature: Amount = 0.0

    push_to_hub: Switch = False
    """Upload the result to the hub."""
    hub_model_id: Text | None = None
    """Where to, as OWNER/NAME; None: the name of the run's folder, of the user logged in."""
    hub_private_repo: Switch = True
    """Whether a new repository is private."""

    trainer_args: Arguments = field(default_factory=lambda: MappingProxyType({}))
    """More arguments of TRL's SFTConfig or GRPOConfig, for what has no name here."""

    def __post_init__(self) -> None:
        config_checks.check(self)

    @property
    def method(self) -> Algorithm:
        """The algorithm itself."""
        return ALGORITHMS.get(self.algorithm)

    @property
    def label(self) -> str:
        """What tables call the method: GRPO, or Dr. GRPO with the preset `dr-grpo`."""
        return method_label(self.algorithm, self.preset, self.as_dict())

    @property
    def samples(self) -> bool:
        """Whether the algorithm samples completions and has rewards; SFT does neither."""
        return self.method.samples

    @property
    def learns_references(self) -> bool:
        """Whether the answers to learn are the pairs' own: neither sampled nor recorded."""
        return not (self.samples or self.method.asks or self.completions is not None)

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
        merged = setting_sources.merge_sources(
            algorithm, SETTINGS, preset=preset, file=file, overrides=overrides
        )
        merged |= {name: value for name, value in settings.items() if value is not None}
        if merged.setdefault("algorithm", algorithm) != algorithm:
            raise UsageError(
                f"The settings are for {merged['algorithm']}, but the command is {algorithm}."
            )
        return cls(**merged)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON and for a YAML file that repeats them."""
        return {name: setting_sources.plain(getattr(self, name)) for name in SETTINGS}


SETTINGS: Final[Mapping[str, Any]] = MappingProxyType(
    typing.get_type_hints(TrainConfig, include_extras=True)
)
"""Every setting and its type."""


def setting_defaults() -> list[tuple[str, str, str]]:
    """Return name, range and default of every setting, as text for people.

    A default is YAML, as `--set` and a settings file take it.

    >>> {name: default for name, _, default in setting_defaults()}["eval_tasks"]
    '["migration-validation"]'
    """
    rows = []
    for item in dataclasses.fields(TrainConfig):
        default = "(needed)"
        if item.default_factory is not dataclasses.MISSING:
            default = setting_sources.as_yaml(item.default_factory())
        elif item.default is not dataclasses.MISSING:
            default = setting_sources.as_yaml(item.default)
        rows.append((item.name, expected(SETTINGS[item.name]), default))
    return rows
