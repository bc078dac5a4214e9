"""DPO on graded answers and RLOO: what TRL gets, real steps, an exact resume, and the plans."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path
from typing import Any, get_args

import pytest
from answered import BAD, store
from test_answers_training import (
    killed_at,
    long_model,
    rows,
    same_but_for_time,
    says,
    settings,
    told,
)
from tiny_training import (
    KilledError,
    config,
    killing_at,
    letter_share,
    make_tokenizer,
    start,
    training_data,
    weights_hash,
)
from training_pairs import NEW, pair_set, turn

from recode_eval.errors import ExitCode, UsageError
from recode_train import batch_math, cli
from recode_train.checkpoints import LOG, read_log
from recode_train.config import TrainConfig
from recode_train.setting_types import DpoLoss
from recode_train.stopping import BarrenError
from recode_train.trainers import train

__all__ = ["long_model", "rows"]  # fixtures
pytestmark = pytest.mark.slow
NAMES = ["a", "b", "c"]


def test_overridden_methods_are_those_of_trl_1_16(libraries: None) -> None:
    import trl

    from recode_train.trainers import dpo
    from recode_train.trainers.recording import HOOKS

    for name, parameters in dpo.HOOKS.items():
        method = getattr(trl.DPOTrainer, name)
        assert tuple(inspect.signature(method).parameters) == parameters, name
    for name in set(HOOKS) - {"_get_tool_suffix_ids"}:  # RLOO has no tools
        method = getattr(trl.RLOOTrainer, name)
        assert tuple(inspect.signature(method).parameters) == HOOKS[name], name


def test_losses_of_dpo_are_trl_s(libraries: None) -> None:
    """TRL checks the name only when it computes the first loss."""
    import trl

    source = inspect.getsource(trl.DPOTrainer._compute_loss)
    assert all(f'loss_type == "{name}"' in source for name in get_args(DpoLoss))


def test_dpo_learns_the_pairs_of_a_run(long_model: Path, tmp_path: Path, rows: Path) -> None:
    """The rows have our token ids; the first loss is log 2, as model and reference are equal."""
    from recode_train.trainers import training_data as preparing
    from recode_train.trainers.dpo import comparisons

    pairs = pair_set(tmp_path, *map(json.loads, rows.read_text().splitlines()))
    folder = store(tmp_path / "runs", pairs, says, n=3)
    made = settings(
        "dpo", long_model, tmp_path / "run", rows, completions=str(folder), learning_rate=1e-3
    )
    data = preparing.prepare(made, pairs, make_tokenizer())
    decode = make_tokenizer().decode
    found = [(decode(row["chosen_ids"]), decode(row["rejected_ids"])) for row in comparisons(data)]
    good = [turn(NEW, f"thoughts {sample}") for sample in (0, 1, 2)]
    assert found == [(f"{text}<eos>", f"{BAD}<eos>") for text in good]
    prompts = {prompt.pair_id: list(prompt.token_ids) for prompt in data.prompts}
    assert [row["prompt_ids"] for row in comparisons(data)] == [
        prompts["pair-0"], prompts["pair-1"], prompts["pair-1"],
    ]  # fmt: skip
    result = train(made)
    lines = [line for line in read_log(result.output / LOG) if "loss" in line]
    assert lines[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[-1]["rewards/margins"] > 0
    # 2 pairs a step; both answers and their ends have a loss.
    sizes = sorted(len(a) + len(b) - 2 * len("<eos>") + 2 for a, b in found)
    assert 4 * sizes[0] <= 2 * lines[1]["tokens_trained"] <= 8 * sizes[-1]
    assert result.report["method"] == "DPO"


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_dpo_resumes_exactly(
    long_model: Path, tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch, tuning: str
) -> None:
    """The reference of a continued run is the untrained model, not the checkpoint."""
    more: dict[str, Any] = {"tuning": tuning, "lora_r": 4, "learning_rate": 1e-3}
    told(monkeypatch, says)
    whole = train(settings("dpo", long_model, tmp_path / "whole", rows, **more))
    assert whole.budgets["completions_generated"] == 9
    made = settings("dpo", long_model, tmp_path / "killed", rows, **more)
    with pytest.raises(KilledError):
        train(made, progress=killed_at(5))
    model = told(monkeypatch, says)
    again = train(made)
    assert model.asked == []
    assert again.resumed_from == 4
    assert weights_hash(again.final) == weights_hash(whole.final)
    assert same_but_for_time(again.budgets, whole.budgets)


def test_dpo_needs_a_good_and_a_bad_answer(
    long_model: Path, tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, lambda *_: BAD)
    with pytest.raises(BarrenError, match="No prompt has both a good and a bad answer"):
        train(settings("dpo", long_model, tmp_path / "run", rows))


@pytest.mark.parametrize("loss", ["ipo", "hinge", "apo_zero"])
def test_losses_of_dpo(
    long_model: Path, tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    told(monkeypatch, says)
    made = settings(
        "dpo", long_model, tmp_path / "run", rows, dpo_loss=loss, max_steps=2, learning_rate=1e-3
    )
    result = train(made)
    lines = [line for line in read_log(result.output / LOG) if "loss" in line]
    assert lines[0]["loss"] != pytest.approx(math.log(2), abs=1e-3)
    assert weights_hash(result.final) != weights_hash(long_model)


def test_the_plans(
    long_model: Path, tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(long_model), "--data", str(rows), "--set", "max_prompt_length=4096"]
    assert cli.run(["dpo", *words, "--set", "tuning=full", "--dry-run"]) == ExitCode.OK
    text = capsys.readouterr().out
    assert "learnt are pairs of a good and a bad one" in text
    assert "8 pairs of answers" in text
    assert "reference model" in text
    assert cli.run(["rloo", *words, "--set", "steps_per_generation=2", "--dry-run", "--json"]) == 0
    sizes = json.loads(capsys.readouterr().out)["sizes"]
    assert (sizes["completions_per_generation"], sizes["updates_per_generation"]) == (16, 2.0)

    def said(algorithm: str, **more: Any) -> str:
        return " ".join(batch_math.warnings(TrainConfig(algorithm=algorithm, model="m", **more)))

    assert "delta: without effect, because RLOO has a loss of its own" in said("rloo", delta=3)
    assert "dpo_loss: without effect" in said("grpo", dpo_loss="ipo")
    assert "loss_type" not in said("dpo", beta=0.2, dpo_loss="ipo", temperature=0.9)
    with pytest.raises(UsageError, match="RLOO cannot train with tools"):
        TrainConfig(algorithm="rloo", model="m", tools=["run"])


def rewarded(kill_at: int | None = None) -> Any:
    reward = letter_share(make_tokenizer())
    return training_data(NAMES, reward if kill_at is None else killing_at(kill_at, reward))


@pytest.mark.parametrize("beta", [0.0, 0.05])
def test_rloo_trains_and_resumes_exactly(tiny_model: Path, tmp_path: Path, beta: float) -> None:
    more: dict[str, Any] = {"max_steps": 8, "save_steps": 4, "beta": beta, "learning_rate": 3e-3}
    whole = start(config("rloo", tiny_model, tmp_path / "whole", **more), rewarded())
    assert whole.report["method"] == "RLOO"
    budgets = whole.budgets
    # 8 steps of 4 completions, two steps a generation.
    assert budgets["completions_generated"] == 8 * 4
    assert 0 < budgets["tokens_trained"] == budgets["tokens_generated"] <= 32 * 8
    settings = config("rloo", tiny_model, tmp_path / "killed", **more)
    with pytest.raises(KilledError):
        start(settings, rewarded(kill_at=4))
    again = start(settings, rewarded())
    assert again.resumed_from == 4
    assert weights_hash(again.final) == weights_hash(whole.final)
    assert same_but_for_time(again.budgets, budgets)


def test_rloo_learns(tiny_model: Path, tmp_path: Path) -> None:
    """The share of small letters, about 0.1 at random, at least doubles; the seed is fixed."""
    settings = config(
        "rloo", tiny_model, tmp_path / "run", max_steps=40, save_steps=40, learning_rate=5e-3,
        per_device_train_batch_size=8, num_generations=8, lr_scheduler_type="constant", beta=0.0,
    )  # fmt: skip
    start(settings, training_data([f"p{i}" for i in range(6)], letter_share(make_tokenizer())))
    found = [line["reward"] for line in read_log(tmp_path / "run" / LOG) if "reward" in line]
    assert sum(found[-3:]) > 2 * sum(found[:3])


def test_rloo_s_advantage_is_the_distance_to_the_others(tiny_model: Path, tmp_path: Path) -> None:
    """For rewards 0, 0, 0, 1 in a group: -1/3 three times, and 1; equal rewards have none."""
    from recode_train.trainers.rloo import RlooRecording

    seen: list[Any] = []
    original = RlooRecording._round

    def spying(self: Any, inputs: Any) -> Any:
        output = original(self, inputs)
        seen.append(output["advantages"].tolist())
        return output

    def last(*, completion_ids: list[list[int]], pair_id: list[str], **_: Any) -> list[float]:
        return [
            1.0 if name == "a" else float(i % 4 == 3)
            for i, name in zip(range(len(completion_ids)), pair_id, strict=True)
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RlooRecording, "_round", spying)
        made = config("rloo", tiny_model, tmp_path / "run", max_steps=6, beta=0.0)
        start(made, training_data(NAMES, last))
    groups = [tuple(batch[i : i + 4]) for batch in seen for i in range(0, len(batch), 4)]
    one = pytest.approx((-1 / 3, -1 / 3, -1 / 3, 1.0))
    assert all(group in {(0.0,) * 4} or group == one for group in groups)
    assert any(group == one for group in groups)
    assert any(group == (0.0,) * 4 for group in groups)
