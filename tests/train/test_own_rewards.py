"""Rewards of the user's own: called like TRL's, checked, and blamed for what they do wrong."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest
from training_pairs import NEW, OLD, PREFILL, pair_set, training_row, turn

from recode_eval.errors import DataError, UsageError
from recode_train import TrainConfig
from recode_train.own_rewards import load_own, source_hash
from recode_train.rewards import build_rewards

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
from recode_eval.errors import DataError

def short(completions, codes, references, old_codes, **_):
    names = [{new.strip(): 1, old.strip(): -1.5} for new, old in zip(references, old_codes)]
    return [known.get((code or "").strip()) for known, code in zip(names, codes)]

async def later(completions, **_):
    return [len(text) for text in completions]

def broken(completions, **_):
    return [1 / 0]

def data(**_):
    raise DataError("a row is bad")

def few(**_):
    return [1.0]

def text(completions, **_):
    return ["good"] * len(completions)

def endless(completions, **_):
    return [float("inf")] * len(completions)

def single(**_):
    return 1.0

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module in the current folder, which is not on the path of a console script."""
    name = f"own_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return name


def call(name: str) -> Any:
    found = load_own(name, lambda **_: {"codes": [None, None]})
    result = found(completions=["a", "bb"], pair_id=["x", "x"])
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


def test_it_gets_programs_beside_what_trl_passes(module: str, tmp_path: Path) -> None:
    pairs = pair_set(tmp_path, training_row())
    sys.path.insert(0, str(tmp_path))
    before = list(sys.path)
    weights = {f"{module}:short": 2.0, "es": 1.0}
    rewards = build_rewards(weights, pairs, prefills={"string-shout": PREFILL})
    assert sys.path == before
    sys.path.remove(str(tmp_path))
    assert rewards.names == ["es", f"{module}:short"]
    assert rewards.functions[1].__name__ == f"{module}:short"
    assert rewards.weights == [1.0, 2.0]
    completions = [turn(NEW), turn(OLD), "nothing"]
    (_, values) = [f(completions=completions, pair_id=["string-shout"] * 3, prompts=[])
                   for f in rewards.functions]  # fmt: skip
    assert values == [1.0, -1.5, None]


def test_an_asynchronous_function(module: str) -> None:
    assert call(f"{module}:later") == [1.0, 2.0]


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("broken", r"failed in line 12 of own_\d+\.py: ZeroDivisionError"),
        ("few", "returned 1 values for 2 completions"),
        ("text", "returned 'good': a reward is a finite number"),
        ("endless", "returned inf"),
        ("single", "returned float, not a list"),
        ("number", "no such function"),
        ("none", "no such function"),
        ("a-b", "write module:function"),
    ],
)
def test_its_faults_are_its_own(module: str, function: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        call(f"{module}:{function}")


def test_an_error_of_ours_stays_what_it_is(module: str) -> None:
    with pytest.raises(DataError, match="a row is bad"):
        call(f"{module}:data")


def test_a_module_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_bad_import.py").write_text("import no_such_library\n")
    (tmp_path / "own_bad_start.py").write_text("raise RuntimeError('no')\n")
    with pytest.raises(UsageError, match="there is no module no_such_library"):
        load_own("own_bad_import:f", lambda **_: {})
    with pytest.raises(UsageError, match=r"line 1 of own_bad_start\.py: RuntimeError: no"):
        load_own("own_bad_start:f", lambda **_: {})


def test_settings_name_it_and_the_source_is_known(module: str) -> None:
    config = TrainConfig.from_sources(
        "grpo", model="m", overrides=[f"rewards.{module}:short=0.5", "rewards.format=null"]
    )
    assert dict(config.rewards) == {"es_star": 1.0, f"{module}:short": 0.5}
    first = source_hash(f"{module}:short")
    assert len(first) == 64
    with pytest.raises(UsageError, match="no source file"):
        source_hash("math:sqrt")


def test_what_hands_back_the_old_program_is_counted(tmp_path: Path) -> None:
    """Doing nothing pays: on real pairs, the old program earns most of ES*."""
    rewards = build_rewards(
        {"es": 1.0}, pair_set(tmp_path, training_row()), prefills={"string-shout": PREFILL}
    )
    assert rewards.copied is not None
    completions = [turn(OLD), turn(OLD + "\n\n# done\n"), turn(NEW), "nothing"]
    copied = rewards.copied(completions=completions, pair_id=["string-shout"] * 4)
    assert copied == [True, True, False, False]
