"""A dry run refuses what the run would refuse, and neither leaves a folder behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from migration_rows import write_pairs
from tiny_training import save_model
from training_pairs import training_row

from recode_eval.errors import ExitCode
from recode_train import cli

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "tiny", context=8192)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [training_row(id=f"string-shout-{i}", apis=[f"numpy.shout{i}"]) for i in range(3)]
    return write_pairs(tmp_path / "pairs.jsonl", *rows)


def words(algorithm: str, model: Path, pairs: Path, out: Path, *settings: str) -> list[str]:
    base = [
        "tuning=full", "max_prompt_length=4096", "max_completion_length=1024", "max_steps=2",
        "per_device_train_batch_size=4", "num_generations=4", "save_steps=2",
    ]  # fmt: skip
    found = [algorithm, "--model", str(model), "--data", str(pairs), "--out", str(out), "--quiet"]
    for text in (*base, *settings):
        found += ["--set", text]
    return found


@pytest.mark.parametrize(
    ("algorithm", "settings", "sentence"),
    [
        ("grpo", ["trainer_args.epsilonn=1"], "Did you mean epsilon?"),
        ("sft", ["trainer_args.adam_beta3=1"], "Did you mean adam_beta"),
        ("sft", ["optim=adamw_tortch"], "adamw_tortch"),
        ("sft", ["lr_scheduler_type=cosinus"], "cosinus"),
        ("grpo", ["lr_scheduler_type=cosine_with_min_lr"], "min_lr"),
        ("grpo", ["eval_steps=1", "eval_tasks=arena-mni"], "Did you mean arena-mini?"),
        ("grpo", ["max_completion_length=8000"], "The model takes 8192 tokens"),
        ("dapo", ["scale_rewards=batch"], "exclude each other"),
        ("grpo", ["tuning=lora", "lora_target_modules=q_proj,v_prj"], "Did you mean v_proj?"),
        ("grpo", ["trainer_args.model_init_kwargs={dtype: float32}"], "has no effect"),
        ("sft", ["trainer_args.num_train_epochs=2"], "max_steps decides"),
        ("sft", ["trainer_args.use_liger_kernel=true"], "pip install liger-kernel"),
        ("grpo", ["use_vllm=true"], "pip install vllm"),
    ],
)
def test_a_dry_run_refuses_what_the_run_refuses(
    model: Path,
    pairs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    algorithm: str,
    settings: list[str],
    sentence: str,
) -> None:
    """It accepted all of these; some of them were bugs (exit 70) of the run."""
    asked = words(algorithm, model, pairs, tmp_path / "new" / "run", *settings)
    for more in ([], ["--dry-run"]):
        assert cli.run([*asked, *more]) == ExitCode.USAGE
        error = capsys.readouterr().err
        assert error.startswith("recode-train: error: ")
        assert error.count("\n") == 1
        assert sentence in error
        assert not (tmp_path / "new").exists()


def test_a_plan_for_several_processes_is_no_mistake(
    model: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TRL knows the processes that run, which in a dry run are not those of the training."""
    settings = ["num_processes=4", "per_device_train_batch_size=1"]
    asked = words("grpo", model, pairs, tmp_path / "run", *settings)
    assert cli.run([*asked, "--dry-run"]) == 0
    assert "4 process(es)" in capsys.readouterr().out


def test_a_run_that_fails_at_its_start_leaves_no_folder(
    model: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it take away one that was there."""
    from recode_train.trainers import loading

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(loading, "model", fail)
    asked = words("sft", model, pairs, tmp_path / "new" / "run")
    assert cli.run(asked) != 0
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    assert cli.run(asked) != 0
    assert list((tmp_path / "new").iterdir()) == []


def test_quiet_is_quiet(
    model: Path, pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Libraries' warnings about their next versions came through."""
    assert cli.run(words("sft", model, pairs, tmp_path / "run")) == 0
    assert capfd.readouterr().err == ""
