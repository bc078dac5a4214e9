"""Named settings: those of the ReCode paper and its released scripts, and a demonstration.

Source: Wu et al., *ReCode: Updating Code API Knowledge with Reinforcement Learning*,
arXiv 2506.20495, and its public scripts. A description says where a value is our own choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError
from recode_eval.plugins import unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAPER: Final = {
    "tuning": "dora",
    "lora_r": 64,
    "lora_alpha": 64,
    "lora_dropout": 0.01,
    "max_steps": 5000,
    "learning_rate": 5e-5,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 150,
    "max_prompt_length": 2048,
    "max_completion_length": 1024,
    "save_steps": 500,
}
_PAPER_SAMPLING: Final = {"num_generations": 8, "temperature": 1.0, "top_p": 1.0}
_TOTAL: Final = {"format": 1.0, "es_star": 1.0}


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings under a name."""

    name: str
    algorithms: tuple[str, ...]
    """The algorithms that it is for."""
    description: str
    settings: Mapping[str, Any]


_DAPO: Final = {
    **_PAPER_SAMPLING,
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

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(
                "paper-grpo",
                ("grpo",),
                "The paper's GRPO: DoRA, 5,000 steps; its batch of 8 is 8 completions of one "
                "prompt, so one update per generation.",
                {
                    **_PAPER,
                    **_PAPER_SAMPLING,
                    "loss_type": "grpo",
                    "beta": 0.001,
                    "use_bias_correction_kl": False,
                    "per_device_train_batch_size": 8,
                    "gradient_accumulation_steps": 1,
                    "steps_per_generation": 1,
                    "rewards": _TOTAL,
                },
            ),
            Preset(
                "paper-dapo",
                ("dapo",),
                "DAPO as the paper describes it: DoRA, 5,000 steps, clip 0.2/0.28, dynamic "
                "sampling, overlong penalty; its batch of 8 is 8 prompts. The penalty's last 256 "
                "tokens are our choice: the paper names no figure.",
                {**_PAPER, **_DAPO, "rewards": {**_TOTAL, "overlong": 1.0}, "overlong_cache": 256},
            ),
            Preset(
                "released-dapo",
                ("dapo",),
                "DAPO as the released script runs it, which differs from the paper: all weights, "
                "learning rate 1e-6, 10 warm-up steps, no overlong penalty. The number of steps "
                "is the paper's.",
                {
                    **_PAPER,
                    **_DAPO,
                    "tuning": "full",
                    "learning_rate": 1e-6,
                    "warmup_steps": 10,
                    "rewards": _TOTAL,
                },
            ),
            Preset(
                "paper-sft",
                ("sft",),
                "The paper's SFT: the same pairs and budget, loss on the completion only.",
                {**_PAPER, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1},
            ),
            Preset(
                "cpu-demo",
                ("sft", "grpo", "dapo"),
                "A tiny model on a CPU, all weights: 80 steps of 32 completions (SFT: examples), "
                "two updates per generation.",
                {
                    **_PAPER_SAMPLING,
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
    }
)


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
