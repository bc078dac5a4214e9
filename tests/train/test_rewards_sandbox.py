"""The reward `tests` in a real sandbox: what runs there is what is paid for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from test_rewards import build, call, turn
from training_pairs import NEW, OLD, pair_set, training_row

from recode_eval.sandbox import landlock, open_sandbox
from recode_eval.sandbox.base import SandboxBuildError

if TYPE_CHECKING:
    from pathlib import Path

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
