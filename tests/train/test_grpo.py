"""GRPO: it learns, TRL's private methods are those we override, prompts are those checked."""

import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from tiny_training import (
    config,
    letter_share,
    make_tokenizer,
    start,
    training_data,
    weights_hash,
)

from recode_eval.errors import ExitCode, UsageError
from recode_train.checkpoints import read_log
from recode_train.stopping import BarrenError

pytestmark = pytest.mark.slow

NAMES = [f"p{i}" for i in range(6)]
LEARNING = {
    "max_steps": 40,
    "save_steps": 40,
    "per_device_train_batch_size": 8,
    "num_generations": 8,
    "learning_rate": 5e-3,
    "lr_scheduler_type": "constant",
}


def rewards_of(output: Path) -> list[float]:
    return [line["reward"] for line in read_log(output / "train.jsonl") if "reward" in line]


def test_overridden_methods_are_those_of_trl_1_16(libraries: None) -> None:
    """TRL 1.16 does not document them; another version may rename or change them."""
    import trl

    from recode_train.trainers.recording import HOOKS, TRL_VERSION

    assert trl.__version__.startswith(f"{TRL_VERSION}.")
    assert TRL_VERSION == "1.16"
    for name, parameters in HOOKS.items():
        method = getattr(trl.GRPOTrainer, name)
        assert tuple(inspect.signature(method).parameters) == parameters, name


def test_loss_types_are_those_of_trl_1_16(libraries: None) -> None:
    """TRL checks the name only when it computes the first loss."""
    import trl

    from recode_train.setting_types import Loss

    source = inspect.getsource(trl.GRPOTrainer._compute_loss)
    named = re.findall(r"self\.loss_type (?:==|in) (\[.*?\]|\".*?\")", source)
    known = {name for text in named for name in re.findall(r'"(\w+)"', text)}
    assert known == set(get_args(Loss))


def test_reward_rises(tiny_model: Path, tmp_path: Path) -> None:
    """The share of small letters, about 0.1 at random, at least doubles; the seed is fixed."""
    settings = config("grpo", tiny_model, tmp_path / "run", beta=0.001, **LEARNING)
    start(settings, training_data(NAMES, letter_share(make_tokenizer())))
    rewards = rewards_of(tmp_path / "run")
    assert sum(rewards[-3:]) / 3 > 2 * sum(rewards[:3]) / 3
    assert sum(rewards[-3:]) / 3 > 0.3


def test_settings_reach_trl(tiny_model: Path, tmp_path: Path) -> None:
    from recode_train.budget import Budget
    from recode_train.trainers import grpo, loading

    settings = config(
        "grpo", tiny_model, tmp_path / "run", epsilon_high=0.3, top_p=0.9, delta=10,
        importance_sampling_level="sequence",
    )  # fmt: skip
    source = loading.find(settings)
    stuff = training_data(NAMES, letter_share(make_tokenizer()))
    trainer = grpo.build(settings, stuff, loading.model(source, settings, 8), [], Budget())
    arguments = trainer.args
    assert (arguments.loss_type, arguments.beta) == ("grpo", 0.001)
    assert arguments.use_bias_correction_kl is False
    assert (arguments.epsilon, arguments.epsilon_high, arguments.top_p) == (0.2, 0.3, 0.9)
    assert (arguments.delta, arguments.importance_sampling_level) == (10.0, "sequence")
    assert arguments.generation_batch_size == 8
    # Neither is of use on a CPU; TRL's defaults are on.
    assert arguments.bf16 is False or not arguments.use_cpu
    assert arguments.gradient_checkpointing is False or not arguments.use_cpu
    # With a KL penalty on all weights the reference is read again: from the model's own folder.
    assert trainer.ref_model is not None
    assert trainer.ref_model.config._name_or_path == str(tiny_model.resolve())


def test_budgets_count_every_token(tiny_model: Path, tmp_path: Path) -> None:
    seen = []

    def reward(*, completion_ids: list[list[int]], **_: object) -> list[float]:
        seen.extend(len(ids) for ids in completion_ids)
        return [float(len(ids)) for ids in completion_ids]

    settings = config("grpo", tiny_model, tmp_path / "run")
    result = start(settings, training_data(NAMES, reward))
    # 6 steps, a generation of 8 completions every second one.
    assert len(seen) == result.budgets["completions_generated"] == 24
    assert result.budgets["tokens_generated"] == sum(seen)
    assert result.budgets["tokens_trained"] == sum(seen)
    assert result.report["finished"] is True
    assert result.report["invocation"]["trainer"]["trl"].startswith("1.16.")


def test_prompt_with_a_doubled_bos_stops_the_run(tiny_model: Path, tmp_path: Path) -> None:
    """TRL tokenises prompts with special tokens: a BOS in the text would come twice."""
    from recode_train.prompts import TrainingPrompt

    stuff = training_data(["p0"], letter_share(make_tokenizer()))
    tokenizer = make_tokenizer(bos=True)
    text = "<bos>p0: say"
    ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert ids.count(tokenizer.bos_token_id) == 1
    stuff = dataclasses.replace(
        stuff, tokenizer=tokenizer, prompts=[TrainingPrompt("p0", text, "say", ids)]
    )
    with pytest.raises(RuntimeError, match="doubled BOS"):
        start(config("grpo", tiny_model, tmp_path / "run"), stuff)


def test_prompts_come_in_an_order_of_epochs(tiny_model: Path, tmp_path: Path) -> None:
    """Each pair once before any comes twice, although a generation spans two epochs."""
    seen: list[str] = []

    def reward(*, pair_id: list[str], **_: object) -> list[float]:
        seen.extend(pair_id[::4])
        return [float(i % 3) for i, _ in enumerate(pair_id)]

    start(config("grpo", tiny_model, tmp_path / "run"), training_data(["a", "b", "c"], reward))
    assert len(seen) == 6
    assert sorted(seen[:3]) == sorted(seen[3:]) == ["a", "b", "c"]


def test_flat_groups_are_counted_and_stay(tiny_model: Path, tmp_path: Path) -> None:
    """Without dynamic sampling they stay, with advantages of zero; their share is known."""

    def reward(*, pair_id: list[str], **_: object) -> list[float]:
        return [float(i % 2) if name == "a" else 1.0 for i, name in enumerate(pair_id)]

    result = start(
        config("grpo", tiny_model, tmp_path / "run"), training_data(["a", "b", "c"], reward)
    )
    assert result.budgets["groups_sampled"] == 6
    assert result.budgets["groups_flat"] == 4
    assert result.budgets["groups_masked"] == 0


def test_a_hole_in_another_process_blanks_the_function_for_the_group(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function sees its process's part of a group, so the trainer must see to the rest.

    Equal completions got advantages of +-0.87 where two of four had no verdict of the tests.
    """
    from recode_train.trainers.recording import Recording

    advantages: list[float] = []
    inner = Recording._batch

    def batch(self: Any, inputs: Any) -> Any:
        output = inner(self, inputs)
        advantages.extend(output["advantages"].tolist())
        return output

    monkeypatch.setattr(Recording, "_batch", batch)

    def half(*, pair_id: list[str], **_: object) -> list[float | None]:
        return [None if at % 4 < 2 else 1.0 for at in range(len(pair_id))]

    stuff = training_data(NAMES, cast("Any", half), extra=True)
    stuff.rewards.functions[1] = lambda *, pair_id, **_: [2.0] * len(pair_id)
    settings = config("grpo", tiny_model, tmp_path / "run", max_steps=2)
    with pytest.raises(BarrenError):
        start(settings, stuff)
    assert advantages == [0.0] * 8


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_a_batch_without_effect_moves_no_weights(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, beta: float
) -> None:
    """Adam moved them by what it remembered of earlier batches. A KL penalty has an effect."""
    flat_from = 4

    def reward(*, pair_id: list[str], trainer_state: Any, **_: object) -> list[float]:
        known = trainer_state.global_step < flat_from
        return [float(at % 2) if known else 1.0 for at in range(len(pair_id))]

    more: dict[str, Any] = {
        "steps_per_generation": 1,
        "beta": beta,
        "lr_scheduler_type": "constant",
    }
    short = config("grpo", tiny_model, tmp_path / "short", **more, max_steps=flat_from)
    long = config("grpo", tiny_model, tmp_path / "long", **more, max_steps=8)
    before = start(short, training_data(NAMES, reward))
    after = start(long, training_data(NAMES, reward))
    assert (weights_hash(after.final) == weights_hash(before.final)) == (beta == 0)
    assert after.budgets["updates_idle"] == (4 if beta == 0 else 0)
    assert "none of the" not in caplog.text


def equal(value: float) -> Any:
    def reward(*, pair_id: list[str], **_: object) -> list[float]:
        return [value] * len(pair_id)

    return reward


def test_a_training_without_any_effect_is_not_done(tiny_model: Path, tmp_path: Path) -> None:
    """It ended as done, exit 0; the same command then even took its last checkpoint as a result."""
    settings = config("grpo", tiny_model, tmp_path / "run", beta=0.0, max_steps=2)
    for _ in range(2):
        with pytest.raises(BarrenError, match="None of the 2 updates had a gradient") as caught:
            start(settings, training_data(NAMES, equal(1.0)))
        assert caught.value.exit_code == ExitCode.CHECK_FAILED
        report = json.loads((tmp_path / "run" / "train.json").read_text())
        assert report["finished"] is False
        assert not (tmp_path / "run" / "final").exists()


def test_a_learning_rate_of_zero_has_no_effect(tiny_model: Path, tmp_path: Path) -> None:
    """The first update of a warm-up has the rate 0; a run of that one alone ended as done."""

    def reward(*, pair_id: list[str], **_: object) -> list[float]:
        return [float(at % 2) for at in range(len(pair_id))]

    settings = config(
        "grpo", tiny_model, tmp_path / "run", warmup_steps=3, max_steps=1, save_steps=1
    )
    for _ in range(2):  # the second one begins at the checkpoint after the last step
        with pytest.raises(BarrenError, match=r"learning rate above 0.*set warmup_steps=0"):
            start(settings, training_data(NAMES, reward))
        assert not (tmp_path / "run" / "final").exists()
    longer = config("grpo", tiny_model, tmp_path / "longer", warmup_steps=3, max_steps=2)
    assert start(longer, training_data(NAMES, reward)).budgets["updates_at_rate_zero"] == 1


def test_barren_batches_in_a_row_stop_the_training(tiny_model: Path, tmp_path: Path) -> None:
    """Updates with an effect begin a new row; one that continues counts on."""

    def reward(*, pair_id: list[str], trainer_state: Any, **_: object) -> list[float]:
        varies = trainer_state.global_step in {0, 3}
        return [float(at % 2) if varies else 1.0 for at in range(len(pair_id))]

    settings = config(
        "grpo", tiny_model, tmp_path / "run", beta=0.0, max_steps=20, steps_per_generation=1,
        max_barren_batches=4, save_steps=3,
    )  # fmt: skip
    for _ in range(2):
        with pytest.raises(BarrenError, match=r"before step 8: 4 updates in a row"):
            start(settings, training_data(NAMES, reward))
    never = dataclasses.replace(settings, max_barren_batches=None, max_steps=9)
    with pytest.raises(UsageError, match="max_steps"):  # another length is another run
        start(never, training_data(NAMES, reward))
    result = start(never, training_data(NAMES, reward), resume=False)
    assert result.budgets["updates_idle"] == 7


def test_the_last_bit_of_a_mean_is_no_advantage(tiny_model: Path, tmp_path: Path) -> None:
    """The mean of six rewards of 1.7 differs from 1.7, and Adam made a whole update of that."""
    import torch

    rewards = torch.full((6,), 1.7)
    assert (rewards - rewards.mean()).abs().max() > 0
    settings = config(
        "grpo", tiny_model, tmp_path / "run", beta=0.0, max_steps=2, num_generations=6,
        per_device_train_batch_size=6, steps_per_generation=1,
    )  # fmt: skip
    with pytest.raises(BarrenError):
        start(settings, training_data(NAMES, equal(1.7)))
