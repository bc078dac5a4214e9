"""Tasks as lm-eval's own program runs them: known answers, and a tiny real model."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from peers import run

from recode_eval import load_task
from recode_eval.cli import run as command
from recode_eval.run.results_file import load_runs

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent


def export(folder: Path, *words: str) -> Path:
    assert command(["export-tasks", "--format", "lm-eval", "--out", str(folder), *words]) == 0
    return folder


@pytest.mark.parametrize("task", ["arena-mini", "migration-validation"])
def test_verdicts_are_those_of_the_grader(
    task: str, peer_python: Callable[[str], str], tmp_path: Path
) -> None:
    kinds = ("reference", "stale", "reference", "none at all")
    answers, expected = [], []
    for index, problem in enumerate(load_task(task).problems[:8]):
        code = problem.solutions.get(kinds[index % 4])
        mark = problem.context.get("problem") or problem.context["old_code"]
        answers.append((mark, "no code" if code is None else f"```python\n{code}\n```"))
        expected.append(int(kinds[index % 4] == "reference"))
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    folder = export(tmp_path / "tasks", "--tasks", task, "--limit", "8")
    name = f"recode_{task.replace('-', '_')}"
    words = ["python", str(HERE / "lm_eval_references.py"), str(folder), name,
             str(tmp_path / "answers.json"), str(tmp_path / "out")]  # fmt: skip
    done = run(peer_python("lm_eval"), words, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["pass,none"] == pytest.approx(sum(expected) / 8)
    [samples] = (tmp_path / "out").rglob("samples_*.jsonl")
    [stored] = load_runs([samples])
    order = [problem.id for problem in load_task(task).problems]
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    by_id = {line["doc"]["id"]: int(line["pass"]) for line in lines}
    assert [by_id[key] for key in order[:8]] == expected
    clusters = {problem.cluster for problem in load_task(task).problems[:8]}
    assert {problem.cluster for problem in stored.scores.values()} == clusters
    text = samples.read_text() + "".join(p.read_text() for p in folder.rglob("*.yaml"))
    for problem in load_task(task).problems[:8]:
        row = problem.payload
        for test in row.unit_tests if task == "arena-mini" else row.tests:
            assert json.dumps(test.code.strip())[1:-1] not in text


@pytest.mark.slow
def test_a_tiny_model_runs_a_task_from_the_command_line(
    peer_python: Callable[[str], str], tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from models.tiny_model import build_checkpoint

    build_checkpoint(tmp_path / "model", context=4096)
    # What loads the model is the test environment's own, behind what lm-eval brings itself.
    behind = f"import sys; sys.path.append({sysconfig.get_paths()['purelib']!r})\n"
    (tmp_path / "sitecustomize.py").write_text(behind)
    folder = export(tmp_path / "tasks", "--tasks", "arena-mini", "--limit", "2")
    words = ["lm_eval", "run", "--model", "hf", "--model_args",
             f"pretrained={tmp_path / 'model'},dtype=float32", "--device", "cpu", "--tasks",
             "recode_arena_mini", "--include_path", str(folder), "--log_samples",
             "--gen_kwargs", "max_gen_toks=16", "--output_path", str(tmp_path / "out")]  # fmt: skip
    done = run(peer_python("lm_eval"), words, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    [samples] = (tmp_path / "out").rglob("samples_*.jsonl")
    assert [json.loads(line)["pass"] for line in samples.read_text().splitlines()] == [0.0, 0.0]


def test_the_sandbox_can_be_chosen(peer_python: Callable[[str], str], tmp_path: Path) -> None:
    """There was no way to another tier than the strongest of the machine."""
    folder = export(tmp_path / "tasks", "--tasks", "arena-mini", "--limit", "1")
    words = ["lm_eval", "run", "--model", "dummy", "--tasks", "recode_arena_mini",
             "--include_path", str(folder), "--metadata"]  # fmt: skip
    done = run(peer_python("lm_eval"), [*words, "recode_sandbox=landloc"], tmp_path)
    assert done.returncode != 0
    assert "Did you mean landlock" in done.stderr
    done = run(peer_python("lm_eval"), [*words, "recode_sandbox=landlock"], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_lm_eval_cannot_take_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export-tasks", "--format", "lm-eval", "--out", str(tmp_path / "x"), "--tasks"]
    assert command([*words, "arena-mini", "--prompt", "recode"]) == 2
    assert "more than one message" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine").write_text("")
    assert command([*words, "arena-mini"]) == 2
    assert "not empty" in capsys.readouterr().err


def test_prompts_as_json_lines_hold_no_test_and_no_reference(tmp_path: Path) -> None:
    words = ["export-tasks", "--format", "jsonl", "--out", str(tmp_path / "x"), "--tasks",
             "arena-mini,migration-validation", "--limit", "20", "--quiet"]  # fmt: skip
    assert command(words) == 0
    for task in ("arena-mini", "migration-validation"):
        text = (tmp_path / "x" / f"{task}.jsonl").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        problems = load_task(task).problems[:20]
        assert [line["task_id"] for line in lines] == [problem.id for problem in problems]
        for problem, line in zip(problems, lines, strict=True):
            asked = "".join(message["content"] for message in line["messages"])
            assert problem.solutions["reference"].strip() not in asked
            row = problem.payload
            for test in row.unit_tests if task == "arena-mini" else row.tests:
                assert test.code.strip() not in asked


def test_an_arm_goes_with_the_task_and_a_changed_text_is_refused(
    peer_python: Callable[[str], str], tmp_path: Path
) -> None:
    problems = load_task("arena-mini").problems[:2]
    words = ("--tasks", "arena-mini", "--limit", "2", "--docs", "changelog")
    folder = export(tmp_path / "tasks", *words)
    answers = [(p.context["problem"], f"```python\n{p.solutions['reference']}\n```")
               for p in problems]  # fmt: skip
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    go = ["python", str(HERE / "lm_eval_references.py"), str(folder), "recode_arena_mini",
          str(tmp_path / "answers.json"), str(tmp_path / "out")]  # fmt: skip
    done = run(peer_python("lm_eval"), go, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    [samples] = (tmp_path / "out").rglob("samples_*.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [line["pass"] for line in lines] == [1.0, 1.0]
    prompts = [line["doc"]["prompt"] for line in lines]
    assert all("<documentation>" in prompt for prompt in prompts)
    assert all("has changed in the installed version" not in prompt for prompt in prompts)
    [texts] = folder.rglob("docs.jsonl")
    texts.write_text(texts.read_text().replace("bisect", "bisekt"))
    done = run(peer_python("lm_eval"), go, tmp_path)
    assert done.returncode != 0
    assert "does not hold what the run's prompts showed" in done.stderr


def test_arms_in_lines_of_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export-tasks", "--format", "jsonl", "--tasks", "arena-mini", "--limit", "3"]
    asked = {}
    for arm in ("note", "none", "changelog", "mixed"):
        assert command([*words, "--docs", arm, "--out", str(tmp_path / arm)]) == 0
        text = (tmp_path / arm / "arena-mini.jsonl").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        asked[arm] = [line["messages"][-1]["content"] for line in lines]
        assert [line.get("docs", {}).get("arm") for line in lines] == [
            None if arm in {"note", "none"} else arm
        ] * 3
    note = "has changed in the installed version"
    for index in range(3):
        assert note in asked["note"][index]
        assert "<documentation>" not in asked["note"][index] + asked["none"][index]
        assert note not in asked["none"][index] + asked["changelog"][index]
        assert asked["changelog"][index].endswith(asked["none"][index])
        assert len(asked["mixed"][index]) > len(asked["changelog"][index])
    capsys.readouterr()
    assert command([*words, "--docs", "changlog", "--out", str(tmp_path / "x")]) == 2
    assert "Did you mean changelog" in capsys.readouterr().err
    assert (
        command([*words, "--docs", "note", "--no-update-note", "--out", str(tmp_path / "x")]) == 2
    )
