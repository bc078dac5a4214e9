"""Run by two processes (see test_rewards): the reward of tests from one sandbox, and its loss."""

import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object
from fake_sandbox import FakeSandbox
from launched import finish
from training_pairs import NEW, OLD, PREFILL, pair_set, training_row, turn

from recode_eval.errors import RecodeError
from recode_eval.sandbox.base import Sandbox, SandboxUnavailableError
from recode_train.rewards import build_rewards


def main(_model: Path, output: Path) -> None:
    state = PartialState(cpu=True)
    folder = output / f"pairs{state.process_index}"
    folder.mkdir()
    tests = "def test_a():\n    assert shout('a') == 'A'\n"
    pairs = pair_set(folder, *(training_row(id=name, tests=tests) for name in ("a", "b")))
    opened: list[Sandbox] = []
    gone = False

    def opener() -> Sandbox:
        opened.append(FakeSandbox())
        if gone:
            raise SandboxUnavailableError("the daemon is gone")
        return opened[-1]

    def score(*codes: str) -> Any:
        rewards = build_rewards(
            {"tests": 1.0},
            pairs,
            prefills=dict.fromkeys("ab", PREFILL),
            sandbox=opener,
            shared=True,
        )
        try:
            names = ["ab"[state.process_index]] * len(codes)
            return rewards.functions[0](completions=[turn(code) for code in codes], pair_id=names)
        except RecodeError as error:
            return f"{type(error).__name__}: {error}"
        finally:
            rewards.close()

    verdicts = score(NEW, OLD) if state.is_main_process else score(OLD, NEW, NEW)
    found = {"pools": gather_object([len(opened)]), "verdicts": gather_object([verdicts])}
    gone = True
    found["lost"] = gather_object([score(NEW)])
    finish(state, output, found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
