"""Settings, presets and what they amount to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from recode_eval.errors import UsageError
from recode_train import batch_math
from recode_train.algorithms import ALGORITHMS
from recode_train.config import TrainConfig
from recode_train.presets import PRESETS


def config(algorithm: str = "grpo", *overrides: str, **options: Any) -> TrainConfig:
    return TrainConfig.from_sources(algorithm, overrides=overrides, **{"model": "m", **options})


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("max_steps: 7\nlearning_rate: 5e-6\nrewards.em: 2\n")
    made = config("grpo", "max_steps=9", preset="paper-grpo", file=file, seed=3, limit=None)
    assert (made.max_steps, made.warmup_steps, made.seed, made.limit) == (9, 150, 3, None)
    assert made.learning_rate == 5e-6  # YAML reads 5e-6 as text
    assert made.rewards == {"format_paper": 1.0, "es_star": 1.0, "em": 2.0}
    assert made.preset == "paper-grpo"


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["learning_rat=1"], ["'learning_rat'", "Did you mean learning_rate?"]),
        (["rewards.es_sta=1"], ["'es_sta'", "Did you mean es_star?"]),
        (["tuning=lorra"], ["lorra", "Did you mean lora?"]),
        (["max_steps=ten"], ["max_steps", "whole number", "'ten'"]),
        (["max_steps=1.5"], ["max_steps", "whole number"]),
        (["max_steps=true"], ["max_steps", "whole number"]),
        (["max_steps=0"], ["max_steps", "at least 1"]),
        (["max_steps=.inf"], ["max_steps"]),
        (["learning_rate=0"], ["learning_rate", "above 0"]),
        (["learning_rate=.nan"], ["learning_rate"]),
        (["beta=-1"], ["beta", "at least 0"]),
        (["num_generations=1"], ["num_generations", "at least 2"]),
        (["dynamic_sampling=1"], ["dynamic_sampling", "true or false"]),
        (["top_p=1.5"], ["top_p", "[0, 1]"]),
        (["rewards.format=0", "rewards.es_star=0"], ["No reward"]),
        (["rewards=3"], ["rewards", "mapping"]),
        (["rewards.es=.nan"], ["es", "finite"]),
        (["beta.x=1"], ["beta", "no parts"]),
        (["beta"], ["KEY=VALUE"]),
        (["beta=[1"], ["YAML"]),
        (["algorithm=dapo"], ["dapo", "grpo"]),
        (["trainer_args.beta=1"], ["trainer_args", "set beta"]),
    ],
)
def test_bad_settings_are_named_with_what_is_right(overrides: list[str], parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        config("grpo", *overrides)
    for part in parts:
        assert part in str(caught.value)


def test_bad_sources(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Did you mean paper-grpo\?"):
        config(preset="paper-gpro")
    with pytest.raises(UsageError, match="for grpo there are: paper-grpo, cpu-demo"):
        config(preset="paper-sft")
    with pytest.raises(UsageError, match="No model"):
        config(model=None)
    with pytest.raises(UsageError, match="Cannot read the settings file"):
        config(file=tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(UsageError, match="found a list"):
        config(file=tmp_path / "list.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="Cannot read"):
        config(file=tmp_path / "binary.yaml")
    (tmp_path / "typo.yaml").write_text("max_stepps: 3\n")
    with pytest.raises(UsageError, match="unknown setting"):
        config(file=tmp_path / "typo.yaml")


@pytest.mark.parametrize("algorithm", ALGORITHMS.names())
def test_a_file_of_the_resolved_settings_gives_them_again(tmp_path: Path, algorithm: str) -> None:
    made = config(algorithm, preset="cpu-demo")
    file = tmp_path / "again.yaml"
    file.write_text(yaml.safe_dump(json.loads(json.dumps(made.as_dict()))))
    assert TrainConfig.from_sources(algorithm, file=file) == made


def test_a_file_may_name_its_preset(tmp_path: Path) -> None:
    """It would be recorded and have no effect otherwise."""
    file = tmp_path / "settings.yaml"
    file.write_text("preset: paper-grpo\nmax_steps: 7\n")
    made = config("grpo", file=file)
    assert (made.preset, made.max_steps, made.warmup_steps) == ("paper-grpo", 7, 150)
    assert config("grpo", "preset=cpu-demo").max_steps == 80
    assert config("grpo", file=file, preset="cpu-demo").warmup_steps == 5
    with pytest.raises(UsageError, match="Did you mean cpu-demo"):
        config("grpo", "preset=cpu-dem")


def test_algorithms_differ_where_their_papers_say() -> None:
    grpo, dapo = config("grpo"), config("dapo")
    assert (grpo.loss_type, grpo.beta, grpo.use_bias_correction_kl) == ("grpo", 0.001, False)
    assert (dapo.loss_type, dapo.beta, dapo.dynamic_sampling) == ("dapo", 0.0, True)
    assert (dapo.epsilon, dapo.epsilon_high, dapo.dynamic_sampling_rounds) == (0.2, 0.28, 10)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_sound(name: str) -> None:
    for algorithm in PRESETS[name].algorithms:
        made = config(algorithm, preset=name)
        batch_math.validate(made, pairs=100)
        assert batch_math.batch_sizes(made).steps == made.max_steps


def test_the_paper_s_figures() -> None:
    """ReCode, arXiv 2506.20495: DoRA 64, 5,000 steps, lr 5e-5, 150 warm-up steps, 8 generations."""
    for name, algorithm in (("paper-grpo", "grpo"), ("paper-dapo", "dapo"), ("paper-sft", "sft")):
        made = config(algorithm, preset=name)
        adapter = (made.tuning, made.lora_r, made.lora_alpha, made.lora_dropout)
        assert adapter == ("dora", 64, 64, 0.01)
        assert (made.max_steps, made.warmup_steps, made.learning_rate) == (5000, 150, 5e-5)
        assert (made.lr_scheduler_type, made.num_generations) == ("cosine", 8)
        assert (made.max_prompt_length, made.max_completion_length) == (2048, 1024)
    assert config("dapo", preset="paper-dapo").rewards["overlong"] == 1.0
    released = config("dapo", preset="released-dapo")
    assert (released.learning_rate, released.warmup_steps, released.tuning) == (1e-6, 20, "full")
    assert "overlong" not in released.rewards


def test_a_batch_of_eight_is_completions_here_and_prompts_there() -> None:
    grpo = batch_math.batch_sizes(config("grpo", preset="paper-grpo"), pairs=1000)
    assert (grpo.completions_per_step, grpo.prompts_per_step) == (8, 1.0)
    assert (grpo.completions_per_generation, grpo.updates_per_generation) == (8, 1.0)
    assert (grpo.generations, grpo.completions, grpo.epochs) == (5000, 40_000, 5.0)
    dapo = batch_math.batch_sizes(config("dapo", preset="paper-dapo"), pairs=1000)
    assert (dapo.completions_per_step, dapo.prompts_per_step) == (32, 4.0)
    assert (dapo.completions_per_generation, dapo.prompts_per_generation) == (64, 8)
    assert (dapo.updates_per_generation, dapo.resume_unit) == (2.0, 2)
    assert (dapo.generations, dapo.completions, dapo.tokens_at_most) == (
        2500, 160_000, 163_840_000,
    )  # fmt: skip


def test_arithmetic_of_several_processes_and_iterations() -> None:
    made = replace(
        config("grpo"), per_device_train_batch_size=4, num_processes=2, num_generations=8,
        gradient_accumulation_steps=3, steps_per_generation=4, num_iterations=2, max_steps=10,
    )  # fmt: skip
    sizes = batch_math.batch_sizes(made)
    assert (sizes.completions_per_step, sizes.completions_per_generation) == (24, 32)
    assert sizes.updates_per_generation == pytest.approx(8 / 3)
    assert sizes.generations == 4  # 30 backward passes, 8 from each generation
    assert sizes.resume_unit == 8  # 24 passes are the first at which both end together
    assert sizes.epochs is None


@pytest.mark.parametrize(
    ("overrides", "pairs", "parts"),
    [
        (["per_device_train_batch_size=4"], None, ["4 completions", "steps_per_generation=2"]),
        (["num_generations=6"], None, ["num_generations 6", "steps_per_generation=3"]),
        (["steps_per_generation=4", "save_steps=6"], None, ["save_steps=8", "multiple of 4"]),
        (["per_device_train_batch_size=80"], 9, ["10 different prompts", "only 9"]),
    ],
)
def test_what_cannot_work_is_refused(
    overrides: list[str], pairs: int | None, parts: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        batch_math.validate(config("grpo", *overrides), pairs)
    for part in parts:
        assert part in str(caught.value)


def test_the_advice_on_a_batch_helps() -> None:
    batch_math.validate(
        config("grpo", "num_generations=6", "steps_per_generation=3", "save_steps=99")
    )
    batch_math.validate(config("grpo", "steps_per_generation=4", "save_steps=8"))


@pytest.mark.parametrize(
    ("algorithm", "overrides", "part"),
    [
        ("grpo", [], "epsilon and epsilon_high: without effect"),
        ("dapo", [], "dynamic_sampling: little effect"),
        ("grpo", ["overlong_cache=9"], "overlong_cache: without effect"),
        ("dapo", ["overlong_cache=0"], "the reward overlong: without effect"),
        ("dapo", ["overlong_cache=2000"], "any length"),
        ("dapo", ["mask_truncated_completions=true"], "weakened"),
        ("dapo", ["dynamic_sampling_rounds=1"], "never replaces"),
        ("grpo", ["dynamic_sampling_rounds=3"], "dynamic_sampling_rounds: without effect"),
        ("grpo", ["tuning=full", "lora_r=8"], "lora_r: without effect"),
        ("grpo", ["beta=0", "use_bias_correction_kl=true"], "use_bias_correction_kl: without"),
        ("grpo", ["vllm_mode=server"], "vllm_mode: without effect"),
        ("grpo", ["sandbox=docker"], "sandbox: without effect"),
        ("grpo", ["warmup_steps=2000"], "learning rate never"),
        ("grpo", ["eval_steps=5", "eval_tasks=[]"], "eval_steps: without effect"),
        ("grpo", ["eval_tasks=arena-mini"], "eval_tasks: without effect"),
        ("grpo", ["eval_tasks=arena-mini", "eval_steps=5000"], "the training evaluates nothing"),
        ("grpo", ["eval_tasks=migration", "eval_steps=5"], "is chosen on the test"),
        ("sft", ["temperature=0.5", "rewards.em=1"], "rewards, temperature: without effect"),
    ],
)
def test_settings_without_effect_are_named(algorithm: str, overrides: list[str], part: str) -> None:
    assert any(part in text for text in batch_math.warnings(config(algorithm, *overrides)))


@pytest.mark.parametrize(
    ("algorithm", "overrides"),
    [
        ("sft", []),
        ("grpo", ["steps_per_generation=2"]),
        ("grpo", ["num_iterations=2"]),
        ("dapo", ["rewards.es_star=0", "rewards.em_star=1"]),
        ("grpo", ["num_iterations=2", "rewards.tests=1", "sandbox=docker"]),
    ],
)
def test_settings_with_an_effect_are_not(algorithm: str, overrides: list[str]) -> None:
    assert batch_math.warnings(config(algorithm, *overrides)) == []
