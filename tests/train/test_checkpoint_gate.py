"""A training of another trainer that is ended by its gate: the callback, the watch, an adapter."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from arena_rows import REFERENCE, arena_row, write_rows

from recode_eval import cli
from recode_eval.gating.watcher import read_history

pytestmark = pytest.mark.slow

PROBLEMS = 24
"""In 12 clusters: fewer could not prove a regression at the level of a training's first verdict."""


@pytest.fixture
def baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, list[str]]:
    """A stored run that has solved everything, and the words that name its data and sandbox."""
    rows = write_rows(tmp_path / "rows.jsonl", PROBLEMS)
    lines = [
        {"problem_id": arena_row(i, i // 2)["prog_syn_id"], "solution": REFERENCE}
        for i in range(PROBLEMS)
        for _ in range(4)
    ]
    saved = tmp_path / "saved.jsonl"
    saved.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["--tasks", "arena", "--data", f"arena={rows}", "--sandbox", "none",
             "--i-know-this-is-unsafe", "--workers", "1"]  # fmt: skip
    out = ["--out", str(tmp_path / "runs"), "--quiet", "--json"]
    assert cli.run(["--model", f"replay:{saved}", *words, *out]) == 0
    return Path(json.loads(capsys.readouterr().out)["folder"]), words


def train(model: Path, output: Path, callback: Any) -> int:
    """Train an adapter with transformers alone for six steps; return how many were made."""
    from peft import LoraConfig, get_peft_model
    from tiny_training import make_tokenizer
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    tokenizer = make_tokenizer()
    ids = tokenizer("say yes")["input_ids"]
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(model),
        LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False),
    )
    settings = TrainingArguments(
        output_dir=str(output), max_steps=6, save_steps=2, report_to=[], use_cpu=True,
        disable_tqdm=True, per_device_train_batch_size=2,
    )  # fmt: skip
    rows = [{"input_ids": ids, "labels": ids}] * 12
    trainer = Trainer(
        adapted, settings, train_dataset=rows, processing_class=tokenizer, callbacks=[callback]
    )
    trainer.train()
    return int(trainer.state.global_step)


def test_a_regression_ends_the_training(
    tiny_model: Path, tmp_path: Path, baseline: tuple[Path, list[str]]
) -> None:
    """An untrained model solves nothing; its adapter is evaluated on top of the base."""
    from recode_train.checkpoint_gate import gate_callback

    run, words = baseline
    callback = gate_callback(run, words, wait=True)
    assert train(tiny_model, tmp_path / "training", callback) == 2
    out = tmp_path / "training" / "gate"
    (line,) = read_history(out / "history.jsonl")
    log = (out / "gate" / "checkpoint-2" / "log.txt").read_text()
    assert (line["checkpoint"], line["status"]) == ("checkpoint-2", "regress"), log
    verdict = json.loads((out / "gate" / "checkpoint-2" / "verdict.json").read_text())
    assert verdict["sampling"]["tasks"][0]["looks"] == [2, 3, 4]
    manifest = json.loads(Path(line["runs"][0], "manifest.json").read_text())
    assert {"adapter", "model"} <= set(manifest["identity"]["model"])


def test_the_command_line_gates_and_ends_as_a_failed_check(
    tiny_model: Path, tmp_path: Path, baseline: tuple[Path, list[str]]
) -> None:
    """The run has a result, which is named as stopped; the same command does not train on."""
    from tiny_training import config, start, training_data

    run, words = baseline
    settings = config(
        "sft", tiny_model, tmp_path / "training", gate=str(run), gate_options=words, gate_wait=True
    )
    for _ in range(2):
        result = start(settings, training_data(["a", "b", "c"], None))
        assert result.stopped == "The gate found a regression: checkpoint-2."
        assert result.steps == 2
        assert (result.final / "model.safetensors").is_file()
        assert result.report["finished"] is False
    assert "checkpoint-2" in (result.final / "README.md").read_text()


def test_a_gate_that_fails_does_not_lose_the_training(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from recode_train.checkpoint_gate import gate_callback

    callback = gate_callback(tmp_path / "gone", wait=True)
    assert train(tiny_model, tmp_path / "training", callback) == 6
    assert "The gate ended with exit code 65" in caplog.text
    assert "no run at" in (tmp_path / "training" / "gate" / "watch.log").read_text()


def test_the_watch_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """A trainer that is killed must not leave a watch behind: the pipe between them ends."""
    from recode_train.checkpoint_gate import GateWatch

    words = ["--baseline", "first", "--tasks", "arena-mini"]
    watch = GateWatch(words, None, stop=True, wait=False, environment={})
    arguments, state = (
        SimpleNamespace(output_dir=str(tmp_path)),
        SimpleNamespace(is_world_process_zero=True),
    )
    watch.on_train_begin(arguments, state, None)
    process = watch._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=300) == 0


RANK = """
import sys
from types import SimpleNamespace
import torch.distributed
from recode_train.checkpoint_gate import GateWatch

rank, rendezvous = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=2)
watch = GateWatch([], None, stop=True, wait=False, environment={})
if rank == 0:  # the only one that knows how the watch has ended
    watch._process = SimpleNamespace(poll=lambda: 1, returncode=1)
control = SimpleNamespace(should_training_stop=False)
watch.on_step_end(None, None, control)
assert not control.should_training_stop
watch.on_save(None, None, control)
assert control.should_training_stop
torch.distributed.destroy_process_group()
"""


def test_all_processes_end_together(libraries: None, tmp_path: Path) -> None:
    """A process that stopped alone would leave the others waiting for it forever."""
    words = [sys.executable, "-c", RANK]
    ranks = [subprocess.Popen([*words, str(rank), str(tmp_path / "met")]) for rank in range(2)]
    assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]
