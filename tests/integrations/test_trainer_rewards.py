"""Reward functions as TRL and verl call them."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from peers import CHECKOUT

import recode_eval
from recode_eval import GradedAnswer, RewardGrader, load_task, rewards
from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.run.reward import Rewarding

if TYPE_CHECKING:
    from pathlib import Path

TASK = load_task("arena-mini")
FIRST, SECOND = TASK.problems[:2]


@pytest.mark.parametrize(("tier", "told"), [("landloc", "Did you mean landlock"),
                                            ("none", "i-know-this-is-unsafe")])  # fmt: skip
def test_a_wrong_sandbox_is_refused_before_the_training(tier: str, told: str) -> None:
    """The error came with the first answer that held code, when the model was long loaded."""
    with pytest.raises(UsageError, match=told):
        rewards.trl("arena-mini", sandbox=tier)


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


class Scripted(Rewarding):
    """1 for `good`, None for `odd`, else 0; keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def submit(self, problem_id: str, text: str) -> Future[GradedAnswer]:
        self.asked.append((problem_id, text))
        future: Future[GradedAnswer] = Future()
        reward = {"good": 1.0, "odd": None}.get(text.strip(), 0.0)
        future.set_result(GradedAnswer(reward, "the sandbox was lost"))
        return future


def test_completions_of_trl_are_texts_or_messages() -> None:
    scripted = Scripted()
    reward = rewards.trl(scripted)
    parts = [{"type": "text", "text": "go"}, {"type": "text", "text": "od"}]
    messages: list[Any] = [
        [{"role": "assistant", "content": "good"}],
        [
            {"role": "assistant", "content": "bad"},
            {"role": "tool", "content": "good"},
            {"role": "assistant", "content": "good"},
            {"role": "tool", "content": "bad"},
        ],
        [{"role": "assistant", "content": parts}],
        [{"role": "assistant", "content": None, "tool_calls": []}],
        [],
    ]
    found = reward(
        prompts=["?"] * 5,
        completions=messages,
        completion_ids=[[1]] * 5,
        problem_id=list("abcde"),
        trainer_state=None,
        log_metric=print,
    )
    assert found == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert [key for key, _ in scripted.asked] == list("abcde")
    assert reward(completions=["odd", "x"], problem_id=["a", "b"]) == [None, 0.0]
    with pytest.raises(UsageError, match=r"needs a column problem_id .* has: prompts"):
        reward(completions=["x"], prompts=["y"])
    with pytest.raises(UsageError, match="2 completions have 1 values"):
        reward(completions=["x", "y"], problem_id=["a"])
    with pytest.raises(UsageError, match="a text or a list of messages"):
        reward(completions=[3], problem_id=["a"])


@pytest.mark.slow
def test_trl_itself_trains_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of GRPO; an unscored completion is left out of the reward's mean."""
    pytest.importorskip("trl", reason="trl is missing: pip install 'recode-eval[train]'")
    monkeypatch.syspath_prepend(str(CHECKOUT / "tests" / "train"))
    from datasets import Dataset
    from tiny_training import save_model
    from trl import GRPOConfig, GRPOTrainer

    class Mixed(Scripted):
        def submit(self, problem_id: str, text: str) -> Future[GradedAnswer]:
            scripts = ("good", "odd", "bad", "good")
            return super().submit(problem_id, scripts[len(self.asked) % 4])

    scripted = Mixed()
    reward = rewards.trl(scripted)
    with RewardGrader(TASK, "landlock") as grader:
        real = rewards.trl(grader)
        real.__name__ = "real"
        trainer = GRPOTrainer(
            model=str(save_model(tmp_path / "model")),
            reward_funcs=[reward, real],
            args=GRPOConfig(
                output_dir=str(tmp_path / "out"), max_steps=1, num_generations=2,
                per_device_train_batch_size=4, max_completion_length=8, report_to=[],
                use_cpu=True, logging_steps=1, save_strategy="no", bf16=False,
            ),
            train_dataset=Dataset.from_list(
                [{"prompt": "x =", "problem_id": problem.id} for problem in TASK.problems[:4]]
            ),
        )  # fmt: skip
        trainer.train()
    logged = trainer.state.log_history[0]
    assert logged["rewards/recode_reward/mean"] == pytest.approx(2 / 3)
    assert logged["rewards/real/mean"] == 0
    known = {problem.id for problem in TASK.problems[:4]}
    assert len(scripted.asked) == 4
    assert {key for key, _ in scripted.asked} <= known


def as_verl_calls(function: Any, kwargs: dict[str, Any], **call: Any) -> Any:
    """As `reward_loop.reward_manager.naive` of verl 0.9.1 calls what the user configured."""
    return partial(function, **kwargs)(
        **call, reward_router_address="127.0.0.1:1", reward_model_tokenizer=None
    )


@pytest.mark.usefixtures("closed_rewards")
def test_verl_gets_a_score_per_answer() -> None:
    [row] = [row for row in rewards.verl_rows(TASK) if row["extra_info"]["index"] == 0]
    assert row["reward_model"]["ground_truth"] == FIRST.id
    assert inspect.iscoroutinefunction(rewards.verl_compute_score_async)
    for text, score in (
        (fenced(FIRST.solutions["reference"]), 1.0),
        (fenced(FIRST.solutions["stale"]), 0.0),
        ("I cannot.", 0.0),
    ):
        call = {
            "data_source": row["data_source"],
            "solution_str": text,
            "ground_truth": row["reward_model"]["ground_truth"],
            "extra_info": {**row["extra_info"], "num_turns": None, "rollout_reward_scores": {}},
        }
        kwargs = {"sandbox": "landlock"}
        assert as_verl_calls(rewards.verl_compute_score, kwargs, **call) == score
        async_score = as_verl_calls(rewards.verl_compute_score_async, kwargs, **call)
        assert asyncio.run(async_score) == score


def test_what_verl_cannot_be_told_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verl has no None; a 0 would teach the model to avoid what the machine did not grade."""
    monkeypatch.setattr("recode_eval.integrations.rewards._grader", lambda *_: Scripted())
    assert rewards.verl_compute_score("recode_eval/arena-mini", "good", FIRST.id) == 1.0
    with pytest.raises(InfrastructureError, match="could not be graded: the sandbox was lost"):
        rewards.verl_compute_score("recode_eval/arena-mini", "odd", FIRST.id)
    with pytest.raises(InfrastructureError, match="It has no score"):
        asyncio.run(rewards.verl_compute_score_async("recode_eval/arena-mini", "odd", FIRST.id))
    for wrong in ("openai/gsm8k", "recode_eval/", "", None):
        with pytest.raises(UsageError, match="data_source must be"):
            rewards.verl_compute_score(wrong, "good", FIRST.id)  # type: ignore[arg-type]


def test_one_pool_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECODE_EVAL_REWARDS_URL", "http://127.0.0.1:9")
    from recode_eval.integrations.rewards import _grader

    client = _grader("arena-mini", None, None)
    assert isinstance(client, recode_eval.RewardClient)
    assert client is _grader("arena-mini", "http://127.0.0.1:9", None)
    assert client is not _grader("arena-mini", "http://127.0.0.1:10", None)


def test_rows_hold_prompts_and_nothing_of_the_answer() -> None:
    for rows in (rewards.trl_rows("arena-mini"), rewards.verl_rows(TASK)):
        assert len(rows) == len(TASK.problems)
        for row, problem in zip(rows, TASK.problems, strict=True):
            text = str(row)
            assert problem.solutions["reference"] not in text
            assert all(test.code not in text for test in problem.payload.unit_tests)
    with pytest.raises(UsageError, match="has no prompt gone"):
        rewards.trl_rows(TASK, "gone")
    with pytest.raises(UsageError, match="opens the answer"):
        rewards.trl_rows(TASK, "recode")


def test_the_core_loads_no_trainer_and_no_server() -> None:
    code = (
        "import sys, recode_eval; recode_eval.rewards.trl; recode_eval.RewardClient;"
        "print([n for n in ('trl', 'verl', 'torch', 'fastapi', 'pydantic', 'uvicorn', 'httpx')"
        " if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
