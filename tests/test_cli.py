"""The command line as a user meets it: a process, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from arena_rows import REFERENCE, STALE, arena_row, write_rows

from recode_eval.errors import ExitCode


def recode_eval(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    options = {"timeout": 300, "check": False, **settings}
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "recode_eval", *arguments],
        capture_output=True, text=True, env=environment, **options,
    )  # fmt: skip


def bare(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run with the cheapest sandbox; the programs of these tests are our own."""
    return recode_eval(
        *arguments, "--sandbox", "none", "--i-know-this-is-unsafe", "--workers", "1", **settings
    )


def failed(result: subprocess.CompletedProcess[str], code: ExitCode, *parts: str) -> None:
    """Check that a command ended as documented, with one line of error and no traceback."""
    assert result.returncode == code, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("recode-eval: error: ") or "usage:" in result.stderr
    for part in parts:
        assert part in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl")


def arena(rows: Path) -> list[str]:
    return ["--tasks", "arena", "--data", f"arena={rows}", "--out", str(rows.parent / "runs")]


def test_help_answers_at_once() -> None:
    """Heavy imports belong behind the arguments: `--help` must not load an engine."""
    start = time.monotonic()
    result = recode_eval("--help")
    assert time.monotonic() - start < 2
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
    "command", ["run", "score", "validate", "tasks", "doctor", "demo", "sandbox"]
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
    assert "6 generated and 6 judged before" in again.stderr
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
    failed(bare("score", printed["folder"]), ExitCode.DATA, "not those of the run", "--data")


def test_a_replay_with_holes_is_incomplete(rows: Path, tmp_path: Path) -> None:
    path = tmp_path / "saved.jsonl"
    path.write_text(json.dumps({"task_id": arena_row()["prog_syn_id"], "solution": REFERENCE}))
    result = bare("--model", f"replay:{path}", *arena(rows), "--json")
    assert result.returncode == ExitCode.INCOMPLETE
    assert (
        json.loads(result.stdout)["counts"] | {"scored": 1, "unscored": 5}
        == json.loads(result.stdout)["counts"]
    )


def test_validate_names_faulty_problems(tmp_path: Path) -> None:
    good, too_easy, broken = arena_row(0), arena_row(1), arena_row(2)
    too_easy["stale_solution"] = too_easy["ref_solution"] = "def f(x):\n    return x * 2\n"
    broken["ref_solution"] = "def f(x):\n    return x\n"
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (good, too_easy, broken)))
    arguments = ("validate", "--tasks", "arena", "--data", f"arena={path}")
    result = bare(*arguments)
    assert result.returncode == ExitCode.CHECK_FAILED
    assert "prog_syn-1]: reference without the update: passes all tests" in result.stdout
    assert "prog_syn-1]: stale solution with the update: passes all tests" in result.stdout
    assert "prog_syn-2]: reference with the update: 1 tests do not pass" in result.stdout
    assert "1 of 3 problems are sound" in result.stdout
    listed = json.loads(bare(*arguments, "--json").stdout)["arena"]
    assert [bool(item["faults"]) for item in listed] == [False, True, True]


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
        (["nonsense"], ExitCode.USAGE, ["nonsense"]),
    ],
)  # fmt: skip
def test_bad_input_gives_one_clear_line(
    tmp_path: Path, arguments: list[str], code: ExitCode, parts: list[str]
) -> None:
    failed(recode_eval(*arguments, cwd=tmp_path, env={"HF_HOME": str(tmp_path)}), code, *parts)


def test_a_malformed_row_is_named_and_the_others_run(rows: Path) -> None:
    content = rows.read_text().splitlines()
    rows.write_text("\n".join([content[0], "{oops", *content[1:]]) + "\n")
    command = ["--model", "baseline:reference", *arena(rows), "--json"]
    failed(bare(*command), ExitCode.DATA, "row 2 of rows.jsonl", "--skip-bad-rows")
    result = bare(*command, "--skip-bad-rows")
    assert result.returncode == 0, result.stderr
    assert "left out: row 2 of rows.jsonl" in result.stderr
    printed = json.loads(result.stdout)
    assert printed["counts"]["problems"] == 6
    assert len(printed["task"]["bad_rows"]) == 1


def test_an_unwritable_place_is_said(rows: Path) -> None:
    (rows.parent / "runs").write_text("a file, not a folder")
    result = bare("--model", "baseline:reference", *arena(rows))
    failed(result, ExitCode.IO, "Cannot write")


def test_your_own_prompt_is_used_and_kept(rows: Path, tmp_path: Path) -> None:
    template = tmp_path / "mine.jinja2"
    template.write_text("{{ problem }}{% if update_note %} {{ docstring }}{% endif %}")
    command = ["--model", "baseline:reference", *arena(rows), "--json", "--prompt", str(template)]
    with_note = json.loads(bare(*command).stdout)
    without = json.loads(bare(*command, "--no-update-note").stdout)
    assert with_note["folder"] != without["folder"]
    kept = Path(with_note["folder"]) / "prompt.jinja2"
    assert kept.read_text() == template.read_text()
    assert with_note["prompt"]["name"] == "mine.jinja2"
    template.write_text("{{ nonsense }}")
    failed(bare(*command), ExitCode.USAGE, "'nonsense' is undefined", "Known variables")


def test_a_task_of_ones_own(rows: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own" / "shout"
    folder.mkdir(parents=True)
    rows.rename(folder / "rows.jsonl")
    (folder / "own.jinja2").write_text("{{ problem }}")
    (folder / "task.yaml").write_text(
        "name: shout\nversion: 1\ndescription: mine\nkind: arena\nenvironment: mini\n"
        "data: {file: rows.jsonl}\nprompts: {plain: {template: own.jinja2}}\n"
    )
    include = ["--include-path", str(folder.parent)]
    assert "shout" in recode_eval("tasks", *include).stdout
    result = bare("--model", "baseline:stale", "--tasks", "shout", "--json", *include,
                  "--out", str(tmp_path / "runs"))  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["metrics"]["pass@1"]["value"] == 0
    spec = folder / "task.yaml"
    for broken, message in (("kind: arena", "unknown kind"), ("version: 1", "version")):
        good = spec.read_text()
        spec.write_text(good.replace(broken, "kind: nothing" if "kind" in broken else ""))
        failed(bare("--model", "baseline:stale", "--tasks", "shout", *include),
               ExitCode.DATA, message)  # fmt: skip
        spec.write_text(good)


def test_doctor_names_the_fix_of_what_is_missing() -> None:
    result = recode_eval("doctor", "--json")
    checks = json.loads(result.stdout)
    names = {check["name"] for check in checks}
    assert {"system", "disk", "GPU", "hub", "sandbox docker", "sandbox landlock"} <= names
    for check in checks:
        assert check["fix"] or check["level"] == "ok"
    assert result.returncode == any(check["level"] == "problem" for check in checks)


def test_a_closed_pipe_is_no_error() -> None:
    """`recode-eval tasks | head -1` must not end in a traceback."""
    command = f"{sys.executable} -m recode_eval tasks --json | head -c 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in result.stderr
