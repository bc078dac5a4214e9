"""The command line as a user meets it: a process, its output and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from arena_rows import REFERENCE, STALE, arena_row
from command_line import arena, bare, failed, recode_eval

from recode_eval.commands import demo
from recode_eval.errors import ExitCode

pytestmark = pytest.mark.slow


def test_help_answers_at_once() -> None:
    """Heavy imports belong behind the arguments: `--help` must not load an engine."""
    start = time.monotonic()
    result = recode_eval("--help")
    assert time.monotonic() - start < 10  # 0.2 s; a machine may be busy
    assert result.returncode == 0
    for command in ("score", "validate", "doctor", "exit codes"):
        assert command in result.stdout
    program = (
        "import sys\nfrom recode_eval.cli import create_parser\ncreate_parser()\n"
        "print([m for m in ('numpy', 'scipy', 'torch', 'docker', 'rich', 'pandas', 'jinja2') "
        "if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command", ["run", "score", "compare", "gate", "validate", "tasks", "doctor", "demo", "sandbox"]
)
def test_every_command_has_help(command: str) -> None:
    result = recode_eval(command, "--help")
    assert result.returncode == 0
    assert "usage: recode-eval" in result.stdout


def test_a_baseline_from_start_to_results(rows: Path) -> None:
    result = bare("--model", "baseline:reference", *arena(rows), "--json")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["metrics"]["pass@1"]["value"] == 1
    assert printed["metrics"]["upass@1"]["value"] == 1
    assert printed["sandbox"]["tier"] == "none"
    stored = json.loads((Path(printed["folder"]) / "results.json").read_text())
    assert stored["metrics"] == printed["metrics"]
    again = bare("--model", "baseline:reference", *arena(rows), "--json")
    assert json.loads(again.stdout)["metrics"] == printed["metrics"]
    assert "All 6 samples are already generated and graded" in again.stderr
    assert len((Path(printed["folder"]) / "completions.jsonl").read_text().splitlines()) == 6


def test_replay_and_score(rows: Path, tmp_path: Path) -> None:
    """NUL bytes and lone surrogates in a completion are a failed sample, not a crash."""
    path = tmp_path / "saved.jsonl"
    identifier = arena_row(0, 0)["prog_syn_id"]
    lines = [
        {"task_id": identifier, "solution": REFERENCE},
        {"task_id": identifier, "completion": f"```python\n{STALE}```"},
        {"task_id": identifier, "completion": "```python\nx = '\x00'\n```"},
        {"task_id": identifier, "completion": "```python\nx = '\ud800'\n```"},
        {"task_id": identifier, "completion": "<think>never closed"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = bare("--model", f"replay:{path}", *arena(rows), "--limit", "1", "--json")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["counts"]["scored"] == 5
    assert printed["problems"][0]["passed"] == 1
    assert printed["counts"]["no_code"] == 1
    scored = bare("score", printed["folder"], "--all", "--json")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["metrics"] == printed["metrics"]
    rows.write_text(rows.read_text().replace("Somebody", "Someone"))
    failed(bare("score", printed["folder"]), ExitCode.DATA, "differ from the run's", "--data")


@pytest.mark.parametrize(
    ("shares", "code"),
    [((1.0, 0.0, 0.0), ExitCode.OK), ((0.9, 0.0, 0.0), ExitCode.CHECK_FAILED),
     ((1.0, 0.1, 0.0), ExitCode.CHECK_FAILED)],
)  # fmt: skip
def test_the_demo_fails_where_the_baselines_do(
    shares: tuple[float, ...], code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make demo` is to show that an installation works: it ended in 0 whatever the table said."""
    results = [{"metrics": {"pass@1": {"value": share}}} for share in shares]
    assert demo.verdict(results) is code
    assert ("recode-eval validate" in capsys.readouterr().err) == (code is not ExitCode.OK)


def test_a_replay_with_holes_is_incomplete(rows: Path, tmp_path: Path) -> None:
    path = tmp_path / "saved.jsonl"
    path.write_text(json.dumps({"task_id": arena_row()["prog_syn_id"], "solution": REFERENCE}))
    result = bare("--model", f"replay:{path}", *arena(rows), "--json")
    assert result.returncode == ExitCode.INCOMPLETE
    assert (
        json.loads(result.stdout)["counts"] | {"scored": 1, "unscored": 5}
        == json.loads(result.stdout)["counts"]
    )


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["--model", "baseline:reference", "--tasks", "aren"], ExitCode.USAGE,
         ["Unknown task 'aren'", "Did you mean arena"]),
        (["--model", "baseline:refrence", "--tasks", "arena-mini"], ExitCode.USAGE,
         ["baseline:reference"]),
        (["--model", "./no-such-folder", "--tasks", "arena-mini", "--backend", "transformers"],
         ExitCode.USAGE, ["no-such-folder"]),
        (["--model", "x", "--tasks", "arena-mini", "--backend", "baseline"], ExitCode.USAGE, []),
        (["--model", "baseline:reference", "--tasks", "arena", "--data", "arena"],
         ExitCode.USAGE, ["TASK=FILE"]),
        (["--model", "baseline:reference", "--tasks", "arena", "--data", "arena=gone.jsonl"],
         ExitCode.DATA, ["gone.jsonl", "--data"]),
        (["--model", "baseline:reference", "--tasks", "arena-mini", "--data", "arena=x.jsonl"],
         ExitCode.USAGE, ["not among --tasks"]),
        (["--model", "baseline:reference", "--tasks", "arena"], ExitCode.UNAVAILABLE,
         ["--data arena=FILE.jsonl", "--tasks arena-mini"]),
        (["--model", "baseline:reference", "--tasks", "arena-mini", "--problems", "nothing"],
         ExitCode.USAGE, ["No problem"]),
        (["--model", "baseline:reference", "--tasks", "arena-mini", "--prompt", "recod"],
         ExitCode.USAGE, ["recode, upstream", ".jinja2"]),
        (["--model", "baseline:reference", "--tasks", "arena-mini", "--prompt", "gone.jinja2"],
         ExitCode.USAGE, ["gone.jinja2"]),
        (["--model", "baseline:reference", "--tasks", "arena-mini", "--n", "0"],
         ExitCode.USAGE, ["--n"]),
        (["--model", "baseline:reference", "--tasks", "arena-mini", "--temperature", "-1"],
         ExitCode.USAGE, ["--temperature"]),
        (["--model", "baseline:reference", "--tasks", "arena-mini", "--sandbox", "none"],
         ExitCode.USAGE, ["--i-know-this-is-unsafe"]),
        (["--model", "m", "--base-url", "http://127.0.0.1:9/v1", "--max-retries", "0",
          "--tasks", "arena-mini", "--limit", "1", "--n", "1"],
         ExitCode.UNAVAILABLE, ["127.0.0.1:9"]),
        (["score", "no-such-run"], ExitCode.DATA, ["not a run folder"]),
        (["--tasks", "arena-mini"], ExitCode.USAGE, ["--model"]),
        (["--model", "baseline:reference", "--tasks", ""], ExitCode.USAGE, ["a name is expected"]),
        (["--model", "baseline:reference", "--tasks", "arena-mini", "--k", ","],
         ExitCode.USAGE, ["--k"]),
        (["--model", "baseline:reference", "--tasks", "arena-mini", "--prompt", "x.jsonl"],
         ExitCode.USAGE, ["nor a .jinja2 file"]),
        (["--model", "baseline:reference", "--tasks", "arena", "--data", "arena=~nobody-here/x"],
         ExitCode.USAGE, ["--data"]),
        (["--model", "baseline:reference", "--tasks", "arena", "--data", "arena=a.jsonl",
          "--data", "arena=b.jsonl"], ExitCode.USAGE, ["already has a file"]),
        (["nonsense"], ExitCode.USAGE, ["nonsense"]),
    ],
)  # fmt: skip
def test_bad_input_gives_one_clear_line(
    tmp_path: Path, arguments: list[str], code: ExitCode, parts: list[str]
) -> None:
    failed(recode_eval(*arguments, cwd=tmp_path, env={"HF_HOME": str(tmp_path)}), code, *parts)


def test_an_unwritable_place_is_said(rows: Path) -> None:
    (rows.parent / "runs").write_text("a file, not a folder")
    result = bare("--model", "baseline:reference", *arena(rows))
    failed(result, ExitCode.IO, "Cannot write")


def test_doctor_names_the_fix_of_what_is_missing() -> None:
    result = recode_eval("doctor", "--json")
    checks = json.loads(result.stdout)
    names = {check["name"] for check in checks}
    assert {"system", "disk", "GPU", "hub", "sandbox docker", "sandbox landlock"} <= names
    for check in checks:
        assert check["fix"] or check["level"] == "ok"
    assert result.returncode == any(check["level"] == "problem" for check in checks)
