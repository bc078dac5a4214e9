"""The public interface of the trainer: what it offers, and how it behaves for a caller."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from migration_rows import write_pairs
from training_pairs import training_row

import recode_train
from recode_eval.errors import UsageError
from recode_train import (
    Algorithm,
    CompareConfig,
    EvaluationSettings,
    TrainConfig,
    TrainEvent,
    load_pairs,
    make_plan,
    train,
)
from recode_train.progress import ProgressLines, resolve_progress


def modules() -> list[str]:
    found = pkgutil.walk_packages(recode_train.__path__, "recode_train.")
    return [m.name for m in found if not m.name.endswith("__main__") and ".task" not in m.name]


def test_no_module_hides_a_public_name() -> None:
    """A module named like a function would replace it as soon as the module is imported."""
    for name in modules():
        importlib.import_module(name)
    for name in recode_train.__all__:
        assert not isinstance(getattr(recode_train, name), types.ModuleType), name
    assert dir(recode_train) == sorted(recode_train.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trainn'"):
        recode_train.trainn  # noqa: B018


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, recode_train; from recode_train import TrainConfig, train, compare_methods\n"
        "TrainConfig(algorithm='grpo', model='m')\n"
        "heavy = {'numpy', 'scipy', 'torch', 'transformers', 'trl', 'docker'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_commands_read_arguments() -> None:
    root = Path(recode_train.__file__).parent
    using = {
        file.relative_to(root)
        for file in root.rglob("*.py")
        if {"argparse", "CommandParser"}.intersection(re.findall(r"\w+", file.read_text()))
    }
    assert {path.parts[0] for path in using} == {"cli.py", "commands"}


@pytest.mark.parametrize(
    "module", ["comparing.settings", "config", "data", "planning", "progress", "rewards"]
)
def test_examples_run(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"recode_train.{module}"))
    assert (found.failed, found.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: TrainConfig(algorithm="grpo", model="m", max_step=3), "Did you mean max_steps"),
        (lambda: TrainConfig(algorithm="gpro", model="m"), "Did you mean grpo"),
        (lambda: TrainConfig(algorithm="grpo", model="m", max_steps="x"), "a whole number"),
        (lambda: TrainConfig(algorithm="grpo"), "No model"),
        (lambda: TrainConfig(model="m"), "Known: sft, grpo, dapo"),
        (lambda: TrainConfig(algorithm="sft", model="m", preset="paper-dapo"), "for sft there"),
        (lambda: CompareConfig(model="m", arm=["sft"]), "Did you mean arms"),
        (lambda: EvaluationSettings(task=["arena"]), "Did you mean tasks"),
    ],
)
def test_a_wrong_option_is_named(make: Any, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        make()


def test_what_is_not_given_comes_from_the_preset_and_the_algorithm() -> None:
    """The constructor alone gave DAPO without dynamic sampling once."""
    dapo = TrainConfig(algorithm="dapo", model="m")
    assert (dapo.dynamic_sampling, dapo.loss_type, dapo.output) == (True, "dapo", "train-runs/dapo")
    preset = TrainConfig(algorithm="dapo", model="m", preset="released-dapo", max_steps=7)
    assert (preset.learning_rate, preset.tuning, preset.max_steps) == (1e-6, "full", 7)
    assert preset == TrainConfig.from_sources(
        "dapo", preset="released-dapo", overrides=["max_steps=7"], model="m"
    )
    assert TrainConfig(**preset.as_dict()) == preset


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Algorithm:
    """An algorithm that another package brings."""
    algorithm = Algorithm(
        name="toy",
        label="Toy",
        summary="a toy",
        samples=False,
        build=lambda *_: None,
        defaults={"max_steps": 3},
    )
    home = types.ModuleType("toy_package")
    home.ALGORITHM = algorithm  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_package", home)
    entry = EntryPoint("toy", "toy_package:ALGORITHM", "recode_train.algorithms")

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [entry] if group == entry.group and name in {None, "toy"} else []

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    return algorithm


def test_another_package_can_add_an_algorithm(
    toy: Algorithm, capsys: pytest.CaptureFixture[str]
) -> None:
    from recode_train import batch_math
    from recode_train.cli import run

    config = TrainConfig(algorithm="toy", model="m")
    assert (config.max_steps, config.samples, config.method) == (3, False, toy)
    assert batch_math.batch_sizes(config).completions == 3 * config.per_device_train_batch_size
    assert CompareConfig(model="m", arms=["sft", "toy"]).trained == ("sft", "toy")
    assert run(["--help"]) == 0
    assert "toy" in capsys.readouterr().out
    assert run(["toy", "--model", "a-model", "--dry-run"]) == 0
    assert "3 steps, 24 examples" in capsys.readouterr().out


def test_lines_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ProgressLines(every_s=3600)
    for step in (1, 2, 3):
        lines(TrainEvent("step", "grpo", step, 3, {"loss": 0.5, "reward": None}))
    lines(TrainEvent("evaluation", "grpo", 3, 3, {"arena": {"pass@1": 0.25, "folder": "x"}}))
    lines(TrainEvent("log", message="evaluating: base\x1b[2J"))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "\x1b" not in shown.err
    assert shown.err.splitlines()[:3] == [
        "grpo: step 1 of 3, loss 0.5",
        "grpo: step 3 of 3, loss 0.5",
        "grpo: step 3 of 3, evaluated: arena (pass@1 0.25)",
    ]
    resolve_progress(None)(TrainEvent("log", message="unseen"))
    assert capsys.readouterr().err == ""


def test_a_prompt_that_does_not_ask_for_the_rewarded_form_is_named() -> None:
    def warnings(**more: Any) -> list[str]:
        config = TrainConfig(algorithm="grpo", model="a-model", limit=8, **more)
        return [text for text in make_plan(config).warnings if "think/answer" in text]

    assert warnings() == []
    assert len(warnings(prompt="plain")) == 1
    assert warnings(prompt="plain", rewards={"em_star": 1}) == []


def test_rewards_by_themselves(tmp_path: Path) -> None:
    """A trainer of one's own needs no more than the pairs."""
    from training_pairs import NEW, turn

    from recode_train import build_rewards

    pairs = load_pairs(str(write_pairs(tmp_path / "pairs.jsonl", training_row())))
    rewards = build_rewards({"format": 1, "em": 2}, pairs)
    values = [
        function(completions=[turn(NEW), "no"], pair_id=["string-shout"] * 2)
        for function in rewards.functions
    ]
    assert values == [[1.0, -1.0], [1.0, 0.0]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("trl", reason="training needs the extra train")
    from tiny_training import save_model

    return str(save_model(tmp_path_factory.mktemp("api") / "model", context=16384))


def small(model: str, out: Path, **more: Any) -> TrainConfig:
    return TrainConfig(
        **{
            "algorithm": "sft", "model": model, "output": str(out), "limit": 4, "max_steps": 3,
            "save_steps": 1, "tuning": "full", "per_device_train_batch_size": 1,
            "max_prompt_length": 8000, "max_completion_length": 8000, **more,
        }
    )  # fmt: skip


@pytest.mark.slow
def test_the_examples_of_training_run(model: str, tmp_path: Path) -> None:
    from recode_train import checkpoint_gate
    from recode_train.comparing import running as comparing
    from recode_train.trainers import running

    assert doctest.testmod(checkpoint_gate).failed == 0

    names = {"model": model, "folder": str(tmp_path / "run")}
    assert doctest.testmod(running, extraglobs=names).failed == 0
    row = {"dependency": "x", "update_info": "n", "old_code": "a = 1", "new_code": "a = 2"}
    names = {**names, "folder": tmp_path / "compare",
             "pairs": str(write_pairs(tmp_path / "pairs.jsonl", row))}  # fmt: skip
    assert doctest.testmod(comparing, extraglobs=names).failed == 0


@pytest.mark.slow
def test_an_interruption_leaves_a_run_that_the_same_call_continues(
    model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from tiny_training import weights_hash

    def interrupt(event: TrainEvent) -> None:
        if event.step == 2:
            raise KeyboardInterrupt

    config = small(model, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(config, progress=interrupt)
    capfd.readouterr()
    events: list[TrainEvent] = []
    result = train(config, progress=events.append)
    assert capfd.readouterr() == ("", "")  # the library prints nothing
    assert result.resumed_from == 1
    assert [(e.kind, e.training, e.step, e.steps) for e in events] == [
        ("step", "run", 2, 3), ("step", "run", 3, 3),
    ]  # fmt: skip
    whole = train(small(model, tmp_path / "whole"))
    assert weights_hash(result.final) == weights_hash(whole.final)


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from recode_train.trainers import running

    finder = SimpleNamespace(find_spec=lambda name: None if name == "trl" else object())
    monkeypatch.setattr(running.importlib, "util", finder)
    with pytest.raises(UsageError, match=r"needs trl: pip install 'recode-eval\[train\]'"):
        train(small("m", tmp_path / "run"))
