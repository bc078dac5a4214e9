"""Training on answers: recorded ones (SFT), sampled ones (RFT), to the same bits after a kill."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from answered import BAD, GOOD, ToldModel, store, without_sandbox
from launched import in_two_processes
from tiny_training import KilledError, config, make_tokenizer, save_model, weights_hash
from training_pairs import NEW, pair_set, training_row, turn

from recode_eval.errors import ExitCode, UsageError
from recode_train import cli
from recode_train.checkpoints import DONE_SAMPLES, LOG, SAMPLES, read_log
from recode_train.config import TrainConfig
from recode_train.stopping import BarrenError
from recode_train.trainers import train

pytestmark = pytest.mark.slow

TIMES = {"seconds", "cpu_seconds"}


@pytest.fixture(scope="module")
def long_model(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that takes prompts of thousands of bytes."""
    return save_model(tmp_path_factory.mktemp("long-model"), context=8192)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    made = [training_row(id=f"pair-{n}", apis=[f"numpy.f{n}"]) for n in range(3)]
    pair_set(tmp_path, *made)
    return tmp_path / "pairs.jsonl"


def settings(algorithm: str, model: Path, output: Path, rows: Path, **more: Any) -> TrainConfig:
    base = {
        "data": str(rows),
        "max_prompt_length": 4096,
        "max_completion_length": 512,
        "per_device_train_batch_size": 2,
        "num_generations": 3,
        **more,
    }
    return config(algorithm, model, output, **base)


def killed_at(step: int) -> Any:
    def told(event: Any) -> None:
        if event.kind == "step" and event.step == step:
            raise KilledError

    return told


def told(monkeypatch: pytest.MonkeyPatch, says: Any) -> ToldModel:
    """Let the model that is asked before a training answer as it is told."""
    model = ToldModel(says)
    monkeypatch.setattr("recode_train.trainers.sampling._model", lambda _: model)
    without_sandbox(monkeypatch)
    return model


def says(pair: str, sample: int) -> str:
    """One good answer to the first pair, two to the second, none to the third."""
    good = {"pair-0": {0}, "pair-1": {1, 2}, "pair-2": set()}[pair]
    return turn(NEW, f"thoughts {sample}") if sample in good else BAD


def same_but_for_time(a: Any, b: Any) -> bool:
    return {k: v for k, v in a.items() if k not in TIMES} == {
        k: v for k, v in b.items() if k not in TIMES
    }


def test_sft_on_recorded_answers(long_model: Path, tmp_path: Path, rows: Path) -> None:
    """The targets are what the other model wrote, thoughts included; others do not continue it."""
    from recode_train.trainers import training_data
    from recode_train.trainers.sft import IGNORED, examples

    pairs = pair_set(tmp_path, *map(json.loads, rows.read_text().splitlines()))
    folder = store(tmp_path / "runs", pairs, says, n=3)
    made = settings("sft", long_model, tmp_path / "run", rows, completions=str(folder))
    data = training_data.prepare(made, pairs, make_tokenizer())
    targets = [
        make_tokenizer().decode([i for i in row["labels"] if i != IGNORED])
        for row in examples(data)
    ]
    wanted = [turn(NEW, f"thoughts {sample}") + "<eos>" for sample in (0, 1, 2)]
    assert targets == wanted
    whole = train(made)
    report = whole.report
    assert report["data"]["answers"]["used"] == 3
    assert report["data"]["answers"]["left_out"] == {"failed": 6}
    assert report["data"]["answers"]["model"] == "told"
    assert report["sizes"]["epochs"] == pytest.approx(6 * 2 / 3)
    assert report["budgets"]["tokens_generated"] == 0
    assert weights_hash(whole.final) != weights_hash(long_model)
    output = tmp_path / "killed"
    again = dataclasses.replace(made, output=str(output))
    with pytest.raises(KilledError):
        train(again, progress=killed_at(5))
    ended = train(again)
    assert ended.resumed_from == 4
    assert weights_hash(ended.final) == weights_hash(whole.final)
    # The same folder with other answers is another run.
    line = (folder / "completions.jsonl").read_text().splitlines()
    other = store(tmp_path / "runs", pairs, lambda *_: GOOD, n=1)
    assert other == folder
    (folder / "completions.jsonl").write_text("\n".join(line[1:]) + "\n")
    with pytest.raises(UsageError, match="another content of the recorded answers"):
        train(again)


def test_nothing_good_is_not_done(
    long_model: Path, tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = pair_set(tmp_path, *map(json.loads, rows.read_text().splitlines()))
    folder = store(tmp_path / "runs", pairs, lambda *_: BAD, n=2)
    words = [
        "sft", "--model", str(long_model), "--data", str(rows), "--out", str(tmp_path / "run"),
        "--set", f"completions={folder}", "--set", "max_prompt_length=4096",
    ]  # fmt: skip
    for more in ([], ["--dry-run"]):
        assert cli.run([*words, *more]) == ExitCode.CHECK_FAILED
        error = capsys.readouterr().err
        assert "No answer is good (good: those that pass every test)" in error
        assert "left out: 6 failed" in error
    assert not (tmp_path / "run" / "final").exists()


def test_rft_learns_what_passed(
    long_model: Path, tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = told(monkeypatch, says)
    result = train(settings("rft", long_model, tmp_path / "run", rows))
    assert len(model.asked) == 9
    report = result.report
    assert report["method"] == "RFT"
    assert report["finished"] is True
    assert report["data"]["answers"]["used"] == 3
    assert report["data"]["answers"]["left_out"] == {"failed": 6}
    assert report["budgets"]["completions_generated"] == 9
    written = sum(len(says(pair, sample)) for pair, sample in model.asked)
    assert report["budgets"]["tokens_generated"] == written
    spent = json.loads((result.output / SAMPLES / DONE_SAMPLES).read_text())["spent"]
    assert 0 < spent["seconds"] < report["budgets"]["seconds"]
    assert 0 < spent["cpu_seconds"] < report["budgets"]["cpu_seconds"]
    lines = [line for line in read_log(result.output / LOG) if "loss" in line]
    assert lines[-1]["tokens_generated"] == written
    assert lines[-1]["tokens_trained"] > 0
    assert weights_hash(result.final) != weights_hash(long_model)
    # What it learnt is what `sft` learns of the same answers.
    (folder,) = (result.output / SAMPLES).glob("*/*/completions.jsonl")
    sft = train(settings("sft", long_model, tmp_path / "sft", rows, completions=str(folder.parent)))
    assert weights_hash(sft.final) == weights_hash(result.final)


def test_rft_goes_on_where_it_was_killed(
    long_model: Path, tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the sampling, and in the training: nothing is sampled twice, and the bits are the same."""
    whole = told(monkeypatch, says)
    wanted = train(settings("rft", long_model, tmp_path / "whole", rows))

    def dies(pair: str, sample: int) -> str:
        if pair == "pair-1" and sample == 1:
            raise KilledError
        return says(pair, sample)

    made = settings("rft", long_model, tmp_path / "killed", rows)
    first = told(monkeypatch, dies)
    with pytest.raises(KilledError):
        train(made)
    assert not (tmp_path / "killed" / SAMPLES / DONE_SAMPLES).exists()
    second = told(monkeypatch, says)
    with pytest.raises(KilledError):
        train(made, progress=killed_at(5))
    stored = first.asked[:-1]
    assert sorted(stored + second.asked) == sorted(whole.asked)
    third = told(monkeypatch, dies)
    ended = train(made)
    assert third.asked == []
    assert ended.resumed_from == 4
    assert weights_hash(ended.final) == weights_hash(wanted.final)
    assert same_but_for_time(ended.budgets, wanted.budgets)
    # A finished run is only reported; started over, it samples anew.
    assert train(made).steps == 6
    fourth = told(monkeypatch, says)
    train(made, resume=False)
    assert len(fourth.asked) == 9


def test_other_sampling_is_another_run(
    long_model: Path, tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers sampled at another temperature are not those of the settings."""
    told(monkeypatch, lambda *_: BAD)
    made = settings("rft", long_model, tmp_path / "run", rows)
    with pytest.raises(BarrenError, match="No answer is good"):
        train(made)
    assert json.loads((tmp_path / "run" / "train.json").read_text())["finished"] is False
    warmer = told(monkeypatch, says)
    train(dataclasses.replace(made, temperature=1.2))
    assert len(warmer.asked) == 9


def test_rft_asks_the_model_itself(
    long_model: Path, tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An untrained model writes no program: there is nothing to learn, and that is no success."""
    without_sandbox(monkeypatch)
    said: list[str] = []
    made = settings(
        "rft", long_model, tmp_path / "run", rows, max_completion_length=8, num_generations=2
    )
    with pytest.raises(
        BarrenError, match=r"No answer is good .*: 0 answers to 0 pairs used; left out: "
    ):
        train(made, progress=lambda event: said.append(event.message))
    assert any(text.startswith("sampling: 6 answers") for text in said)


def test_the_plan_of_rft(
    long_model: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "rft", "--model", str(long_model), "--data", str(rows), "--out", str(tmp_path / "r"),
        "--set", "max_prompt_length=4096", "--dry-run",
    ]  # fmt: skip
    assert cli.run([*words, "--set", "temperature=0.7", "--set", "num_generations=4"]) == 0
    text = capsys.readouterr().out
    assert "3 prompts x 4 = 12 answers of at most 1024 tokens at temperature 0.7" in text
    assert "without effect" not in text
    assert cli.run([*words, "--set", "beta=0.1"]) == 0
    assert "beta: without effect, because RFT has no rewards while" in capsys.readouterr().out
    assert cli.run([*words, "--set", "top_k=5"]) == ExitCode.USAGE


def test_two_processes(long_model: Path, tmp_path: Path, rows: Path) -> None:
    """The first one samples while the other waits; both learn the same answers."""
    found = in_two_processes("two_processes_answering.py", long_model, tmp_path)
    assert rows == tmp_path / "pairs.jsonl"
    assert found["asked"] == [6, 0]
    assert found["budgets"]["completions_generated"] == 6
    assert found["moved"]
    assert found["same"]
