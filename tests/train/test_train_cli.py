"""The command line of the trainer: plans, errors, and what it costs to ask for help."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from migration_rows import write_pairs
from training_pairs import training_row

from recode_eval.errors import ExitCode
from recode_train import cli, planning
from recode_train.algorithms import ALGORITHMS
from recode_train.config import TrainConfig

SHAPES = {
    "model.embed_tokens.weight": [300, 64],
    "model.layers.0.self_attn.q_proj.weight": [64, 64],
    "model.layers.0.mlp.up_proj.weight": [96, 64],
    "model.norm.weight": [64],
}
PARAMETERS = 300 * 64 + 64 * 64 + 96 * 64 + 64


def model_folder(folder: Path) -> Path:
    """Write what a plan reads of a model: its config and the header of its weights."""
    folder.mkdir()
    shape = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    (folder / "config.json").write_text(json.dumps({**shape, "vocab_size": 300}))
    header = json.dumps({k: {"dtype": "F32", "shape": v} for k, v in SHAPES.items()}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return folder


@pytest.fixture
def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without transformers, so that no tokenizer is loaded."""
    find_spec = planning.importlib.util.find_spec
    monkeypatch.setattr(
        planning.importlib.util,
        "find_spec",
        lambda name: None if name == "transformers" else find_spec(name),
    )


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    rows = [training_row(id=f"pair-{n}", apis=[f"numpy.f{n}"]) for n in range(12)]
    return str(write_pairs(tmp_path / "pairs.jsonl", *rows))


def dry_run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.run([*arguments, "--dry-run", "--json"]) == ExitCode.OK
    plan: dict[str, Any] = json.loads(capsys.readouterr().out)
    return plan


def fails(capsys: pytest.CaptureFixture[str], code: ExitCode, part: str, *arguments: str) -> None:
    assert cli.run(arguments) == code
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("recode-train: error: ")
    assert part in error[-1]
    assert not any("Traceback" in line for line in error)


@pytest.mark.usefixtures("uncounted")
def test_a_plan(tmp_path: Path, pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(model_folder(tmp_path / "model"))
    plan = dry_run(
        capsys, "dapo", "--model", model, "--data", pairs, "--preset", "cpu-demo",
        "--set", "lora_r=4", "--set", "rewards.em_star=1", "--seed", "5",
    )  # fmt: skip
    assert plan["config"]["seed"] == 5
    assert plan["config"]["output"] == "train-runs/dapo"
    assert (plan["data"]["pairs"], plan["data"]["clusters"]) == (12, 12)
    assert plan["prompts"] is None
    sizes = plan["sizes"]
    assert (sizes["completions_per_generation"], sizes["prompts_per_generation"]) == (64, 8)
    assert (sizes["updates_per_generation"], sizes["steps"]) == (2.0, 80)
    memory = plan["memory"]
    assert memory["trainable"] == PARAMETERS
    assert memory["weights"] == memory["gradients"] == 4 * PARAMETERS
    assert memory["optimizer"] == 8 * PARAMETERS
    assert memory["reference"] == 0
    assert any("lora_r: without effect" in text for text in plan["warnings"])
    assert any("transformers is missing" in text for text in plan["notes"])


@pytest.mark.usefixtures("uncounted")
def test_an_adapter_trains_less(
    tmp_path: Path, pairs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(model_folder(tmp_path / "model"))
    common = ("grpo", "--model", model, "--data", pairs, "--set", "lora_r=2")
    lora = dry_run(capsys, *common, "--set", "tuning=lora")["memory"]
    dora = dry_run(capsys, *common)["memory"]
    full = dry_run(capsys, *common, "--set", "tuning=full")["memory"]
    assert lora["trainable"] == 2 * (64 + 64) + 2 * (96 + 64)
    assert dora["trainable"] == lora["trainable"] + 64 + 96
    assert full["reference"] == full["weights"]  # for the KL divergence
    assert lora["reference"] == 0


@pytest.mark.usefixtures("uncounted")
def test_a_plan_for_people(tmp_path: Path, pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(model_folder(tmp_path / "model"))
    assert cli.run(["grpo", "--model", model, "--data", pairs, "--dry-run"]) == ExitCode.OK
    text = capsys.readouterr().out
    assert "1 prompt x 8 = 8 completions of at most 1024 tokens; feeds 1 step" in text
    assert "format x 1, es_star x 1" in text
    assert "epsilon and epsilon_high: without effect" in text
    assert cli.run(["sft", "--model", model, "--data", pairs, "--dry-run"]) == ExitCode.OK
    assert "8 examples" in capsys.readouterr().out


@pytest.mark.usefixtures("uncounted")
def test_what_can_be_known_before_is_said_before(
    tmp_path: Path,
    pairs: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = model_folder(tmp_path / "model")
    usage, dry = ExitCode.USAGE, "--dry-run"
    good = ("grpo", "--model", str(model), "--data", pairs, dry)
    fails(capsys, usage, "Did you mean max_steps?", *good, "--set", "max_step=3")
    fails(capsys, usage, "Did you mean paper-grpo?", *good, "--preset", "paper-grp")
    fails(capsys, usage, "not a multiple of num_generations", *good, "--set", "num_generations=3")
    fails(capsys, usage, "only 12", *good, "--set", "steps_per_generation=20")
    fails(capsys, usage, "no such folder", *good, "--model", str(tmp_path / "none"))
    fails(capsys, usage, "for testing", *good, "--data", "arena-mini")
    fails(capsys, usage, "neither a prompt of", *good, "--set", "prompt=recod")
    fails(capsys, usage, "is a file", *good, "--out", str(model / "config.json"))
    text = write_pairs(
        tmp_path / "text.jsonl",
        {"dependency": "x", "update_info": "n", "old_code": "a", "new_code": "b"},
    )
    fails(capsys, usage, "pairs with tests", *good, "--data", str(text), "--set", "rewards.tests=1")
    empty = write_pairs(tmp_path / "empty.jsonl")
    fails(capsys, ExitCode.DATA, "no usable", *good, "--data", str(empty))
    (tmp_path / "bad.jsonl").write_text('{"dependency": "x"}\n')
    fails(capsys, ExitCode.DATA, "update_info is missing", *good, "--data", f"{tmp_path}/bad.jsonl")
    full = SimpleNamespace(free=1000)
    monkeypatch.setattr(planning.shutil, "disk_usage", lambda _: full)
    fails(capsys, ExitCode.IO, "only 1000 B free", *good)


def test_an_adapter_is_not_a_model(
    tmp_path: Path, pairs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 2, "base_model_name_or_path": str(tmp_path / "gone")}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    dry = ("sft", "--model", str(folder), "--data", pairs, "--dry-run")
    fails(capsys, ExitCode.USAGE, "recode-train merge", *dry)
    fails(capsys, ExitCode.USAGE, "base", "merge", str(folder), str(tmp_path / "out"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    fails(capsys, ExitCode.USAGE, "exists already", "merge", str(folder), str(tmp_path / "full"))


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("config.json", "{", ExitCode.DATA),
        ("config.json", "{}", ExitCode.DATA),
        ("config.json", '{"hidden_size": "x"}', ExitCode.DATA),
        ("model.safetensors", "short", ExitCode.DATA),
        ("model.safetensors", "\xff" * 64, ExitCode.DATA),
    ],
)
def test_damaged_models(
    tmp_path: Path,
    pairs: str,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str,
    code: ExitCode,
) -> None:
    model = model_folder(tmp_path / "model")
    (model / name).write_text(content, encoding="latin-1")
    fails(capsys, code, name, "sft", "--model", str(model), "--data", pairs, "--dry-run")


@pytest.mark.usefixtures("uncounted")
def test_training_gets_the_configuration(
    tmp_path: Path, pairs: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(model_folder(tmp_path / "model"))
    calls: list[tuple[Any, bool, bool]] = []
    gated = "The gate found a regression: checkpoint-2."

    def train(config: Any, *, resume: bool, progress: bool) -> Any:
        calls.append((config, resume, progress))
        stopped = gated if config.gate else None
        final = tmp_path / "out" / "final"
        return SimpleNamespace(final=final, steps=2, resumed_from=None, stopped=stopped)

    monkeypatch.setattr("recode_train.trainers.train", train)
    monkeypatch.setattr("recode_train.trainers.require_libraries", lambda: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    words = ["grpo", "--model", model, "--data", pairs, "--out", str(tmp_path / "out")]
    assert cli.run(words) == ExitCode.OK
    assert cli.run([*words, "--restart", "--quiet"]) == ExitCode.OK
    assert cli.run([*words, "--gate", "runs/base"]) == ExitCode.CHECK_FAILED
    (config, resume, shown), (_, anew, quiet), (with_gate, _, _) = calls
    assert with_gate.gate == "runs/base"
    assert (config.algorithm, config.num_processes, config.output) == (
        "grpo", 2, str(tmp_path / "out"),
    )  # fmt: skip
    assert (resume, anew) == (True, False)
    assert (shown, quiet) == (True, False)
    printed = capsys.readouterr()
    assert "16 completions" in printed.err
    assert f"stopped after step 2: {gated}" in printed.out
    assert "2 of 1000 steps are done (" in printed.err
    assert f"Next: recode-eval -m {tmp_path}/out/final -t migration --prompt recode" in printed.err
    assert "Stopped after 2 of 1000 steps (" in printed.err
    assert printed.err.count("Next: ") == 1  # not after --quiet, nor after a regression


def test_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["presets"]) == ExitCode.OK
    text = capsys.readouterr().out
    for name in ("paper-grpo", "paper-dapo", "released-dapo", "paper-sft", "cpu-demo"):
        assert name in text
    assert cli.run(["presets", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["released-dapo"]["settings"]["learning_rate"] == 1e-6
    assert cli.run(["presets", "--settings"]) == ExitCode.OK
    assert "gradient_accumulation_steps" in capsys.readouterr().out


def test_single_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """To see one preset, a user scrolled through two hundred lines."""
    assert cli.run(["presets", "dr-grpo"]) == ExitCode.OK
    text = capsys.readouterr().out
    assert text.startswith("dr-grpo (grpo)")
    assert "paper-grpo" not in text
    assert cli.run(["presets", "gspo", "cispo", "--json"]) == ExitCode.OK
    assert list(json.loads(capsys.readouterr().out)) == ["gspo", "cispo"]
    fails(capsys, ExitCode.USAGE, "Did you mean dr-grpo?", "presets", "drgrpo")
    fails(capsys, ExitCode.USAGE, "not both", "presets", "gspo", "--settings")


def test_settings_are_listed_as_they_are_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Defaults were Python's `None` and `False`: `--set gate=None` names a run called None."""
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run(["presets", "--settings"]) == ExitCode.OK
    text = capsys.readouterr().out
    assert max(map(len, text.split("Other defaults")[0].splitlines())) <= 80
    assert "  dpo: " in text
    assert cli.run(["presets", "--settings", "--json"]) == ExitCode.OK
    content = json.loads(capsys.readouterr().out)
    texts = [f"{name}={default}" for name, (_, default) in content.items() if default != "(needed)"]
    fixed = {"output", "preset"}
    given = [text for text in texts if text.split("=")[0] not in fixed]
    plain = TrainConfig(algorithm="sft", model="m")
    found = TrainConfig.from_sources("sft", overrides=[*given, "model=m"])
    for name in content.keys() - fixed - ALGORITHMS.get("sft").defaults.keys():
        assert getattr(found, name) == getattr(plain, name), name


def test_help_is_light() -> None:
    heavy = "torch", "transformers", "trl", "peft", "datasets", "numpy", "scipy", "docker"
    script = (
        "import sys\nfrom recode_train import cli\n"
        "assert cli.run(['--help']) == 0 and cli.run(['grpo', '--help']) == 0\n"
        f"loaded = [name for name in {heavy} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("words", "code", "left"), [(["presets"], 0, True), (["x"], 2, False)])
def test_the_process_group_ends_with_the_command(
    tmp_path: Path, words: list[str], code: int, left: bool
) -> None:
    """A process that ended inside its group aborted now and then: a finished training "failed".

    After a failure the group stays: others may wait in it, and the launcher ends them.
    """
    pytest.importorskip("torch", reason="training needs the extra train")
    script = f"""
import os
import torch.distributed as group
from recode_train import cli
group.init_process_group("gloo", init_method="file://{tmp_path}/store", rank=0, world_size=1)
code = cli.run({words!r})
print("\\n", code, group.is_initialized(), flush=True)
os._exit(0)
"""
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=100
    )
    assert found.stdout.split()[-2:] == [str(code), str(not left)]


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == ExitCode.USAGE
    assert cli.run(["grop"]) == ExitCode.USAGE
    assert cli.run(["grpo", "--limit", "0"]) == ExitCode.USAGE
    assert "grop" in capsys.readouterr().err
    fails(capsys, ExitCode.USAGE, "--model PATH", "grpo", "--dry-run")


@pytest.mark.slow
def test_a_plan_counts_the_tokens_of_the_prompts(
    tmp_path: Path, pairs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")
    from models.tiny_model import build_checkpoint

    model = str(build_checkpoint(tmp_path / "model", context=4096))
    capsys.readouterr()
    plan = dry_run(capsys, "sft", "--model", model, "--data", pairs)
    assert (plan["prompts"]["used"], plan["prompts"]["overlong"]) == (12, 0)
    assert 100 < plan["prompts"]["mean"] <= plan["prompts"]["longest"] < 2048
    limit = f"max_prompt_length={plan['prompts']['longest'] // 2}"
    fails(
        capsys, ExitCode.USAGE, "No prompt is short enough",
        "sft", "--model", model, "--data", pairs, "--dry-run", "--set", limit,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("dora", [False, True])
def test_a_merged_adapter_answers_like_base_and_adapter(tmp_path: Path, dora: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("peft", reason="peft is not installed")
    from models.tiny_model import build_adapter, build_checkpoint
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = build_checkpoint(tmp_path / "base")
    adapter = build_adapter(tmp_path / "adapter", base, dora=dora)
    assert cli.run(["merge", str(adapter), str(tmp_path / "merged")]) == ExitCode.OK
    ids = torch.arange(20).reshape(1, -1)
    with torch.no_grad():
        plain = AutoModelForCausalLM.from_pretrained(base)
        untouched = plain(ids).logits
        wanted = PeftModel.from_pretrained(plain, adapter).eval()(ids).logits
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")(ids).logits
    assert torch.allclose(merged, wanted, atol=1e-4)
    assert not torch.allclose(merged, untouched, atol=1e-2)
    assert (tmp_path / "merged" / "tokenizer.json").is_file()
