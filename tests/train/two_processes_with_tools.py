"""Run by two processes (see test_tool_training): a group with a half in each, one tool fails."""

import sys
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from launched import finish
from tiny_tools import answer, call, scripted, tool_config, train_pairs
from tiny_training import weights_hash
from training_pairs import NEW, OLD, pair_set, training_row

from recode_eval.sandbox import open_sandbox
from recode_eval.sandbox.base import Sandbox, SandboxCrashError
from recode_train.trainers.recording import Recording


def failing(sandbox: Sandbox, word: str) -> Any:
    """Return a sandbox that loses the workers of programs with a word."""

    def submit(program: Any, limits: Any) -> Any:
        if word not in repr(program):
            return sandbox.submit(program, limits)
        lost: Future[Any] = Future()
        lost.set_exception(SandboxCrashError("lost"))
        return lost

    return SimpleNamespace(info=sandbox.info, submit=submit, close=lambda: None)


def main(model: Path, output: Path) -> None:
    torch.set_num_threads(1)
    state = PartialState(cpu=True)
    rank = state.process_index
    folder = output / f"pairs{rank}"
    folder.mkdir()
    tests = "def test_a():\n    assert shout('a') == 'A'\n"
    pairs = pair_set(folder, *(training_row(id=name, tests=tests) for name in ("a", "b")))
    advantages: list[float] = []
    inner = Recording._batch

    def batch(self: Any, inputs: Any) -> Any:
        made = inner(self, inputs)
        advantages.extend(made["advantages"].tolist())
        return made

    turns: list[str] = []

    def script(text: str, results: int, number: float) -> str:
        first = (len(turns) - 1) % 2 == 0
        if results == 0:
            return call("run", {"code": "fail_me()" if rank and first else "print(1)"})
        return answer(OLD if not rank and first else NEW)

    settings = tool_config(model, output / "run", num_processes=2, per_device_train_batch_size=2)
    with (
        open_sandbox("landlock", environment="mini", isolation="split", workers=1) as sandbox,
        pytest.MonkeyPatch.context() as patch,
    ):
        broken = failing(sandbox, "fail_me")
        patch.setattr("recode_eval.run.sandboxes.Sandboxes._get", lambda *_: broken)
        patch.setattr(Recording, "_batch", batch)
        scripted(patch, script, turns)
        result = train_pairs(settings, pairs)
    found = {
        "advantages": gather_object([advantages]),
        "weights": gather_object([weights_hash(result.final)]),
        "budgets": dict(result.budgets),
        "log": result.report["last_log"],
    }
    finish(state, output, found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
