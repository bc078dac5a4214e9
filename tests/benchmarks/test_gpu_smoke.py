"""The smoke test for GPUs, as far as a CPU goes: its commands parse, it measures, it refuses."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from recode_eval.errors import ExitCode

ROOT = Path(__file__).parents[2]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_smoke", ROOT / "benchmarks" / "gpu_smoke.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_smoke"] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


smoke = load()


def test_it_refuses_without_a_gpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(smoke, "gpu_count", lambda: 0)
    assert smoke.main(["--out", str(tmp_path / "none")]) == ExitCode.UNAVAILABLE
    assert "no GPU" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_its_trainings_are_plans_that_our_parser_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renamed setting would be noticed on the GPU machine only."""
    from recode_eval.cli import create_parser
    from recode_train import cli

    # A plan refuses vLLM where it is missing, as here.
    monkeypatch.setattr("recode_train.planning._check_libraries", lambda *_: [])
    made = {part.name: part for part in smoke.parts("a/model", tmp_path, 2, vllm=True)}
    assert [part.skipped for part in made.values()] == [""] * 5
    for part in made.values():
        module, *words = part.command[2:]
        if module == "recode_eval":
            create_parser().parse_args(words)
        elif words[0] != "merge":
            assert cli.run([*words, "--dry-run", "--json"]) == ExitCode.OK
            plan = json.loads(capsys.readouterr().out)
            assert plan["config"]["use_vllm"] is True
            assert plan["config"]["tuning"] == "lora"
            assert plan["sizes"]["steps"] == smoke.STEPS
            assert not any("without effect" in text for text in plan["warnings"])
    served = made["GRPO, LoRA, vLLM as a server"]
    assert served.url.rsplit("/", 2)[0] in " ".join(served.command)
    assert served.url.rsplit(":", 1)[1].split("/")[0] in served.server


def test_what_cannot_run_is_not_a_success(tmp_path: Path) -> None:
    named = smoke.parts("a/model", tmp_path, 1, vllm=True)[2]
    row = smoke.run(named, tmp_path)
    assert row.status == "not run: needs vLLM and two GPUs, found 1"
    broken = smoke.Part("broken", [sys.executable, "-c", "print('why'); raise SystemExit(3)"],
                        tmp_path / "broken")  # fmt: skip
    row = smoke.run(broken, tmp_path)
    assert (row.status, row.tail) == ("FAILED (3)", "why")


def test_what_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([100, 900, *[300] * 1000])
    monkeypatch.setattr(smoke, "memory_in_use", lambda: next(used))
    monkeypatch.setattr(smoke, "POLL_S", 0.01)
    report = {"budgets": {"tokens_generated": 1200, "seconds": 4.0}}
    code = (
        f"import pathlib, time; time.sleep(0.3); p = pathlib.Path({str(tmp_path / 'run')!r}); "
        f"p.mkdir(); (p / 'train.json').write_text({json.dumps(report)!r})"
    )
    part = smoke.Part("GRPO", [sys.executable, "-c", code], tmp_path / "run")
    row = smoke.run(part, tmp_path)
    assert (row.status, row.memory_mib, row.tokens, row.tokens_per_s) == ("ok", 900, 1200, 300.0)
    assert "300  ok" in smoke.table([row])


def test_a_server_that_ends_is_no_wait_for_ever(tmp_path: Path) -> None:
    part = smoke.Part(
        "served", [sys.executable, "-c", ""], tmp_path / "served",
        server=[sys.executable, "-c", "raise SystemExit(1)"], url="http://127.0.0.1:9/health/",
    )  # fmt: skip
    assert "no server at" in smoke.run(part, tmp_path).status
