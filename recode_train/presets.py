"""Named settings: those of the ReCode paper and its released scripts, of losses, and of a demo.

Source of the paper's: Wu et al., *ReCode: Updating Code API Knowledge with Reinforcement Learning*,
arXiv 2506.20495, and `scripts/` of github.com/zjunlp/ReCode. `docs/training-presets.md` compares
them with the scripts setting by setting; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError
from recode_eval.plugins import unknown
from recode_train.algorithms import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Mapping

_DORA: Final = {
    "tuning": "dora",
    "lora_r": 64,
    "lora_alpha": 64,
    "lora_dropout": 0.01,
    # The script names no modules; these are PEFT's for Qwen2 and Llama.
    "lora_target_modules": ("q_proj", "v_proj"),
}
_PAPER: Final = {
    "max_steps": 5000,
    "learning_rate": 5e-5,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 150,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "max_prompt_length": 2048,
    "max_completion_length": 1024,
    "save_steps": 500,
}
_SAMPLING: Final = {"num_generations": 8, "temperature": 1.0, "top_p": 1.0}
_REWARDS: Final = {"format_paper": 1.0, "es_star": 1.0}


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings under a name."""

    name: str
    algorithms: tuple[str, ...]
    """The algorithms that it is for."""
    description: str
    settings: Mapping[str, Any]
    """For one process: with more, `recode_train.fidelity` says how the batch differs."""
    label: str | None = None
    """In tables and on the leaderboard, where the settings make a method of its own."""


_DAPO: Final = {
    **_SAMPLING,
    "loss_type": "dapo",
    "beta": 0.0,
    "epsilon": 0.2,
    "epsilon_high": 0.28,
    "dynamic_sampling": True,
    "dynamic_sampling_rounds": 10,
    # 8 prompts (64 completions) a generation, in two updates of 4 prompts each.
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 4,
    "steps_per_generation": 8,
}

# Losses: only what makes the method; batch, optimizer and adapter are the algorithm's defaults. A
# ratio of 1 is neither clipped nor weighted, so each generation feeds several updates.
_DR_GRPO: Final = {"loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0}
_GSPO: Final = {
    "loss_type": "grpo",
    "importance_sampling_level": "sequence",
    "epsilon": 3e-4,
    "epsilon_high": 4e-4,
    "beta": 0.0,
    "steps_per_generation": 4,
}
_CISPO: Final = {
    "loss_type": "cispo",
    "epsilon_high": 5.0,
    "scale_rewards": "batch",
    "mask_truncated_completions": True,
    "beta": 0.0,
    "steps_per_generation": 2,
}
_SAPO: Final = {"loss_type": "sapo", "beta": 0.0, "steps_per_generation": 4}
_LUSPO: Final = {**_GSPO, "loss_type": "luspo", "epsilon": 2e-3, "epsilon_high": 2.5e-3}
_VESPO: Final = {"loss_type": "vespo", "beta": 0.0, "steps_per_generation": 4}

_LOSSES: Final = (
    Preset(
        "dr-grpo",
        ("grpo",),
        "Dr. GRPO (Liu et al. 2025, arXiv 2503.20783): no division by the length of a completion "
        "nor by the standard deviation of its group, no KL.",
        _DR_GRPO,
        "Dr. GRPO",
    ),
    Preset(
        "gspo",
        ("grpo",),
        "GSPO (Zheng et al. 2025, arXiv 2507.18071): one ratio for a whole completion, clipped at "
        "3e-4 and 4e-4, four updates per generation, no KL.",
        _GSPO,
        "GSPO",
    ),
    Preset(
        "cispo",
        ("grpo",),
        "CISPO (MiniMax-M1, arXiv 2506.13585) with the settings of ScaleRL (arXiv 2510.13786): the "
        "ratio is a weight of at most 5, rewards are scaled by the batch, truncated completions "
        "have no loss. Two updates per generation are our choice.",
        _CISPO,
        "CISPO",
    ),
    Preset(
        "sapo",
        ("grpo",),
        "SAPO (arXiv 2511.20347): a smooth gate in place of the clip range, with the paper's "
        "temperatures 1 and 1.05. Four updates per generation are our choice.",
        _SAPO,
        "SAPO",
    ),
    Preset(
        "luspo",
        ("grpo",),
        "LUSPO (arXiv 2602.05261): GSPO with each completion's loss times its length, clipped at "
        "2e-3 and 2.5e-3. Four updates per generation are GSPO's.",
        _LUSPO,
        "LUSPO",
    ),
    Preset(
        "vespo",
        ("grpo",),
        "VESPO (arXiv 2602.10693): a smooth weight of whole completions in place of the clip "
        "range, with TRL's constants. Four updates per generation are our choice.",
        _VESPO,
        "VESPO",
    ),
)

_PRESETS: Final = (
    Preset(
        "paper-grpo",
        ("grpo",),
        "The paper's GRPO as its script runs it: DoRA of q_proj and v_proj, 5,000 steps; its batch "
        "of 8 is 8 completions of one prompt, so one update per generation.",
        {
            **_DORA,
            **_PAPER,
            **_SAMPLING,
            "loss_type": "grpo",
            "beta": 0.001,
            "use_bias_correction_kl": False,
            "per_device_train_batch_size": 8,
            "gradient_accumulation_steps": 1,
            "steps_per_generation": 1,
            "save_steps": 100,
            "rewards": _REWARDS,
        },
    ),
    Preset(
        "paper-dapo",
        ("dapo",),
        "DAPO as the paper describes it: DoRA, 5,000 steps, clip 0.2/0.28, dynamic sampling, "
        "overlong penalty; its batch of 8 is 8 prompts. The penalty's last 256 tokens and the "
        "adapted modules are our choice: the paper names neither.",
        {
            **_DORA,
            **_PAPER,
            **_DAPO,
            "rewards": {**_REWARDS, "overlong": 1.0},
            "overlong_cache": 256,
        },
    ),
    Preset(
        "released-dapo",
        ("dapo",),
        "DAPO as the released script runs it, which differs from the paper: all weights, learning "
        "rate 1e-6, constant after 20 updates, weight decay 0.1, dual clip at 10, no overlong "
        "penalty, 10,000 updates (5,000 steps of two).",
        {
            **_PAPER,
            **_DAPO,
            "tuning": "full",
            "max_steps": 10_000,
            "learning_rate": 1e-6,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 20,
            "weight_decay": 0.1,
            "delta": 10.0,
            "save_steps": 1000,
            "rewards": _REWARDS,
        },
    ),
    Preset(
        "paper-sft",
        ("sft",),
        "A reconstruction: of its SFT the paper says only that pairs and budget are the same, and "
        "no script is published. The optimizer and the adapter are those of paper-grpo.",
        {
            **_DORA,
            **_PAPER,
            "per_device_train_batch_size": 8,
            "gradient_accumulation_steps": 1,
        },
    ),
    Preset(
        "cpu-demo",
        ("sft", "grpo", "dapo", "rloo", "rft", "dpo"),
        "A tiny model on a CPU, all weights: 80 steps of 32 completions (SFT: examples), two "
        "updates per generation.",
        {
            **_SAMPLING,
            "tuning": "full",
            "max_steps": 80,
            "learning_rate": 5e-4,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 5,
            "max_prompt_length": 512,
            "max_completion_length": 128,
            "overlong_cache": 32,
            "per_device_train_batch_size": 32,
            "gradient_accumulation_steps": 1,
            "steps_per_generation": 2,
            "save_steps": 40,
        },
    ),
)
PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {preset.name: preset for preset in (*_PRESETS, *_LOSSES)}
)
_DEFINING: Final = ("loss_type", "importance_sampling_level", "scale_rewards")
"""Settings without which a preset's label would be wrong."""


def preset_settings(name: str, algorithm: str) -> Mapping[str, Any]:
    """Return the settings of a preset; raises `UsageError` if it is unknown or for another one."""
    if name not in PRESETS:
        raise UsageError(unknown("preset", name, PRESETS))
    preset = PRESETS[name]
    if algorithm not in preset.algorithms:
        fitting = [other.name for other in PRESETS.values() if algorithm in other.algorithms]
        raise UsageError(
            f"The preset {name} is for {', '.join(preset.algorithms)}, not for {algorithm}; "
            f"for {algorithm} there are: {', '.join(fitting)}."
        )
    return preset.settings


def method_label(algorithm: str, preset: str | None, settings: Mapping[str, Any]) -> str:
    """Return what tables call a method: the algorithm's label, or the preset's if it has one.

    `settings` that contradict the preset's loss make it the algorithm's again.

    >>> method_label("grpo", "dr-grpo", {"loss_type": "dr_grpo"})
    'Dr. GRPO'
    >>> method_label("grpo", "dr-grpo", {"loss_type": "bnpo"})
    'GRPO'
    """
    named = PRESETS.get(preset or "")
    if named is None or named.label is None:
        return ALGORITHMS.get(algorithm).label
    own = {key: named.settings[key] for key in _DEFINING if key in named.settings}
    kept = all(settings.get(key, value) == value for key, value in own.items())
    return named.label if kept else ALGORITHMS.get(algorithm).label
