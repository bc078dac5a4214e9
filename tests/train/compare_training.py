"""A comparison of seconds: a model of a few thousand weights on eight pairs of text."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from recode_train.comparing.settings import CompareConfig, EvaluationSettings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def write_pairs(file: Path, count: int = 8, *, first: int = 0, long: int = 0) -> Path:
    """Write text pairs of libraries lib0, lib1, ...; the first `long` have long new programs."""
    rows = [
        {
            "dependency": f"lib{i}",
            "new_version": "2",
            "description": "f is g now",
            "update_info": "f is g now",
            "old_code": f"import lib{i}\nlib{i}.f()",
            "new_code": f"import lib{i}\nlib{i}.g()" + "\nx = 1" * (99 if i < long else 0),
        }
        for i in range(first, first + count)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def vary_rewards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the reward `format` differ from text to text: those of a random model are all alike."""
    monkeypatch.setattr(
        "recode_train.rewards.format_reward", lambda text, *_: zlib.crc32(text.encode()) / 2**32
    )


def small_comparison(
    folder: Path,
    *arms: str,
    tuning: str = "full",
    overrides: tuple[str, ...] = (),
    pairs: int = 8,
    long: int = 0,
    **changes: Any,
) -> CompareConfig:
    """Return a comparison of two updates an arm, on text pairs (nothing is executed)."""
    from tiny_training import save_model

    data = write_pairs(folder / "pairs.jsonl", pairs, long=long)
    settings = {
        "model": str(save_model(folder / "model", context=4096)),
        "out": folder / "out",
        "arms": arms,
        "seeds": (1,),
        "data": f"recode-train-data={data}",
        "overrides": (
            f"tuning={tuning}",
            "max_steps=2",
            "save_steps=2",
            "warmup_steps=0",
            "max_completion_length=400",
            "max_prompt_length=4096",
            "overlong_cache=2",
            "per_device_train_batch_size=2",
            "gradient_accumulation_steps=1",
            "num_generations=2",
            "steps_per_generation=1",
            *overrides,
        ),
        "evaluated": EvaluationSettings(
            tasks=(f"recode-train-data={data}",), samples=2, max_tokens=8, limit=4
        ),
    }
    return CompareConfig(**{**settings, **changes})
