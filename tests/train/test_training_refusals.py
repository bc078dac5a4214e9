"""Trainings that must not end in a result: refused, diverged, or beside another one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")
from tiny_training import config, save_model, start, training_data

from recode_eval.errors import ExitCode, UsageError
from recode_train import CompareConfig, compare_methods
from recode_train.divergence import check_weights
from recode_train.locks import only_writer
from recode_train.stopping import DivergedError
from recode_train.trainers.refusals import refusals

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "tiny")


def train(model: Path, output: Path, **settings: Any) -> Any:
    return start(config("sft", model, output, **settings), training_data(NAMES, None))


@pytest.mark.parametrize("logging_steps", [1, 100])
def test_a_diverged_training_is_stopped(model: Path, tmp_path: Path, logging_steps: int) -> None:
    """It ended with NaN weights, exit 0 and `finished: true`; the log showed no NaN either."""
    with pytest.raises(DivergedError, match=r"diverged: .* Lower learning_rate") as caught:
        train(model, tmp_path / "run", learning_rate=1e30, max_grad_norm=0, save_steps=100,
              logging_steps=logging_steps)  # fmt: skip
    assert caught.value.exit_code == ExitCode.CHECK_FAILED
    assert json.loads((tmp_path / "run" / "train.json").read_text())["finished"] is False
    assert not (tmp_path / "run" / "final").exists()


def test_a_checkpoint_of_a_diverged_training_is_no_result(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last checkpoint was marked as complete, and the same command made it the result."""
    import torch

    from recode_train.divergence import Guard

    def ruin(_self: Any, _args: Any, _state: Any, _control: Any, **more: Any) -> None:
        with torch.no_grad():
            next(iter(more["model"].parameters())).fill_(float("nan"))

    monkeypatch.setattr(Guard, "on_optimizer_step", ruin, raising=False)
    for _ in range(2):
        with pytest.raises(DivergedError, match="after step 1 the weights are not finite"):
            train(model, tmp_path / "run", max_steps=1)
    assert not (tmp_path / "run" / "final").exists()


def test_an_update_that_ruins_the_weights_at_the_end() -> None:
    """Loss and gradient of the last step may be finite, and the weights after it not."""
    import torch

    layer = torch.nn.Linear(2, 2)
    check_weights(layer, 7)
    with torch.no_grad():
        layer.weight[1, 0] = float("inf")
    with pytest.raises(DivergedError, match="after step 7 the weights are not finite"):
        check_weights(layer, 7)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"optim": "adamw_tortch"}, "adamw_tortch"),
        ({"lr_scheduler_type": "cosinus"}, "cosinus"),
        ({"lr_scheduler_type": "cosine_with_min_lr"}, "min_lr"),
        ({"tuning": "lora", "lora_target_modules": ["nothing"]}, "'nothing'"),
        ({"tuning": "lora", "lora_target_modules": ["q_proj", "v_prj"]}, "Did you mean v_proj"),
    ],
)
def test_what_a_library_refuses_is_a_wrong_setting(
    model: Path, tmp_path: Path, settings: dict[str, Any], sentence: str
) -> None:
    """They were reported as bugs (exit 70); a misspelt target beside a right one was ignored."""
    with pytest.raises(UsageError, match=sentence) as caught:
        train(model, tmp_path / "run", **settings)
    assert caught.value.exit_code in {ExitCode.USAGE, ExitCode.UNAVAILABLE}


def test_our_own_errors_stay_ours() -> None:
    """Only what a library raises while it is set up is its refusal."""
    with pytest.raises(UsageError, match="refuses the settings"), refusals():
        json.loads("{")
    with pytest.raises(ValueError, match="Expecting"), refusals(until=lambda: True):
        json.loads("{")
    with pytest.raises(AttributeError), refusals():
        check_weights(None, 1)


def test_a_tracker_s_own_kind_of_error_is_its_refusal() -> None:
    """Without a login it was reported as a bug, after the model had been loaded."""
    error = type("UsageError", (Exception,), {"__module__": "wandb.errors.errors"})
    with pytest.raises(UsageError, match=r"api_key not configured.*WANDB_MODE=offline"), refusals():
        raise error("api_key not configured.")
    with pytest.raises(error), refusals(until=lambda: True):
        raise error("gone")


def test_a_refusal_at_the_start_of_the_training_leaves_no_folder(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracker without a login fails there; the report of the run had been written."""
    from recode_train.callbacks import Keeper

    def refuse(*_: Any, **__: Any) -> None:
        raise type("CommError", (Exception,), {"__module__": "wandb.errors"})("no login")

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "on_train_begin", refuse)
        # As if the tracker's own code had raised it.
        patch.setattr("recode_train.trainers.refusals._is_ours", lambda _: False)
        with pytest.raises(UsageError, match="A tracker refuses the run: no login"):
            train(model, tmp_path / "new" / "run", max_steps=1)
    assert not (tmp_path / "new").exists()
    assert train(model, tmp_path / "new" / "run", max_steps=1).steps == 1


def test_two_trainings_do_not_share_a_folder(model: Path, tmp_path: Path) -> None:
    """Both ended as done, with a mixed log, and one result was gone."""
    with only_writer(tmp_path / "run"), pytest.raises(UsageError, match="Another process trains"):
        train(model, tmp_path / "run", max_steps=1)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
    assert train(model, tmp_path / "run", max_steps=1).steps == 1


def test_two_comparisons_do_not_share_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recode_train.comparing import running

    model = save_model(tmp_path / "tiny", context=4096)
    compared = CompareConfig(model=str(model), arms=["sft"], seeds=[1], out=tmp_path / "out")
    monkeypatch.setattr(running, "_compare", lambda *_: {"compared": True})
    with only_writer(compared.folder), pytest.raises(UsageError, match="Another process trains"):
        compare_methods(compared)
    assert compare_methods(compared) == {"compared": True}


def test_a_token_without_an_embedding_is_refused(model: Path, tmp_path: Path) -> None:
    """It was an IndexError in the first step."""
    stuff = training_data(NAMES, None)
    stuff.tokenizer.add_tokens(["<|tool|>"])
    with pytest.raises(UsageError, match="no embedding"):
        start(config("sft", model, tmp_path / "run"), stuff)
