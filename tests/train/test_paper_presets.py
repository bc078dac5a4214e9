"""The paper's presets are what the documentation says, and a plan says where a run leaves them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from recode_train import batch_math
from recode_train.config import TrainConfig
from recode_train.fidelity import deviations
from recode_train.planning import make_plan
from recode_train.presets import PRESETS

PAGE = Path(__file__).parents[2] / "docs" / "training-presets.md"


def made(preset: str, **settings: Any) -> TrainConfig:
    algorithm = PRESETS[preset].algorithms[0]
    return TrainConfig(algorithm=algorithm, model="m", preset=preset, **settings)


def table(name: str) -> dict[str, Any]:
    """Return the column `ours` of a preset's table."""
    section = PAGE.read_text().split(f"## `{name}`\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| `([^|]+)` \| [^|]*\|$", section, re.MULTILINE)
    assert len(rows) == section.count("\n| `")
    return {setting: yaml.safe_load(value) for setting, value in rows}


@pytest.mark.parametrize("name", ["paper-grpo", "released-dapo"])
def test_a_preset_is_its_table(name: str) -> None:
    """`released-dapo` had the paper's schedule, weight decay and steps instead of the script's."""
    config = made(name).as_dict()
    rows = table(name)
    assert {setting: config[setting] for setting in rows} == rows
    assert set(PRESETS[name].settings) == set(rows)


def test_the_arithmetic_of_the_scripts() -> None:
    """GRPO: 2 GPUs x 4 completions, one prompt. DAPO: 8 prompts a generation, 2 updates, 10,000."""
    grpo = batch_math.batch_sizes(made("paper-grpo"))
    assert (grpo.completions_per_step, grpo.prompts_per_step) == (8, 1.0)
    pair = batch_math.batch_sizes(
        made("paper-grpo", per_device_train_batch_size=4, num_processes=2)
    )
    assert pair.completions_per_step == grpo.completions_per_step
    dapo = batch_math.batch_sizes(made("released-dapo"))
    assert (dapo.prompts_per_generation, dapo.updates_per_generation) == (8, 2.0)
    assert (dapo.steps, dapo.generations) == (10_000, 5_000)


def test_more_processes_than_the_preset_has_are_named() -> None:
    """Four processes made 4 prompts a step of the paper's one, without a word."""
    (text,) = deviations(made("paper-grpo", num_processes=4))
    assert "32 completions, and 8 with the preset paper-grpo" in text
    assert "per_device_train_batch_size=2 keeps" in text
    plan = make_plan(made("paper-grpo", num_processes=4, limit=8))
    assert text in plan.warnings
    kept = made("paper-grpo", num_processes=4, per_device_train_batch_size=2)
    assert deviations(kept) == []
    (odd,) = deviations(made("paper-grpo", num_processes=3))
    assert "for all processes" in odd
    (sft,) = deviations(made("paper-sft", num_processes=2))
    assert "16 examples" in sft


def test_a_warm_up_that_outlives_fewer_steps_is_named() -> None:
    """150 steps are 3 % of the paper's 5,000; they stayed 150 of 500."""
    (text,) = deviations(made("paper-grpo", max_steps=500))
    assert "30% of max_steps 500" in text
    assert "warmup_steps=15 keeps" in text
    assert deviations(made("paper-grpo", max_steps=500, warmup_steps=15)) == []
    assert deviations(made("paper-grpo", max_steps=9000)) == []
    # A warm-up as long as the run is named once, by the plan's other warning.
    short = made("released-dapo", max_steps=20, save_steps=20)
    assert deviations(short) == []
    assert any("warmup_steps 20" in text for text in batch_math.warnings(short))


def test_without_a_preset_there_is_nothing_to_leave() -> None:
    assert deviations(TrainConfig(algorithm="grpo", model="m", num_processes=4)) == []
