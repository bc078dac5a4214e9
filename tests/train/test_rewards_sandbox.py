"""The reward `tests` in a real sandbox: what runs there is what is paid for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from test_rewards import build, call, turn
from training_pairs import NEW, OLD, pair_set, training_row

from recode_eval.sandbox import landlock, open_sandbox
from recode_eval.sandbox.base import SandboxBuildError

if TYPE_CHECKING:
    from pathlib import Path

_FORGED = (
    "class Same:\n    def __eq__(self, other):\n        return True\n\n"
    "def shout(text):\n    return Same()\n"
)
_NAUGHTY = "import sys\n\ndef shout(text):\n    sys.exit(0)\n"


def test_the_reward_of_tests_comes_from_execution(tmp_path: Path) -> None:
    """A program that ends its process with success in the middle of a test has not passed it."""
    if reason := landlock.reason_against():
        pytest.skip(f"Landlock does not work here: {reason}")
    with contextlib.ExitStack() as closing:
        try:
            sandbox = closing.enter_context(open_sandbox("landlock", environment="mini", workers=1))
        except SandboxBuildError as error:
            pytest.skip(f"the sandbox's environment cannot be built here: {error}")
        # The environment of the task has libraries that these programs do not use.
        rewards = build(pair_set(tmp_path, training_row()), "tests", sandbox=lambda: sandbox)
        completions = [turn(NEW), turn(OLD), turn(_NAUGHTY), "no code"]
        assert call(rewards, completions, ["string-shout"] * 4) == [[1.0, 0.0, 0.0, 0.0]]


@pytest.mark.slow
def test_a_training_does_not_pay_for_forged_answers(
    libraries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers ran in one process with their tests, so a model could learn to beat the tests.

    An object that equals everything passed them. Evaluations grade in two processes.
    """
    if reason := landlock.reason_against():
        pytest.skip(f"Landlock does not work here: {reason}")
    from tiny_training import config, make_tokenizer

    from recode_train.trainers.training_data import prepare

    opened = []

    def get(self: Any, environment: str, isolation: str, language: str) -> Any:
        opened.append(open_sandbox("landlock", environment="mini", isolation=isolation, workers=1))
        return opened[-1]

    monkeypatch.setattr("recode_eval.run.sandboxes.Sandboxes._get", get)
    rows = [training_row(id=f"pair-{n}", apis=[f"numpy.f{n}"]) for n in range(2)]
    settings = config(
        "grpo", tmp_path, tmp_path / "run", rewards={"tests": 1}, max_prompt_length=9000
    )
    try:
        data = prepare(settings, pair_set(tmp_path, *rows), make_tokenizer())
        assert data.rewards is not None
        found = call(data.rewards, [turn(NEW), turn(_FORGED), turn(OLD)], ["pair-0"] * 3)
    except SandboxBuildError as error:
        pytest.skip(f"the sandbox's environment cannot be built here: {error}")
    finally:
        for sandbox in opened:
            sandbox.close()
    assert found == [[1.0, 0.0, 0.0]]
