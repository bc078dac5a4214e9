"""What reaches the standard streams, whatever they are, and what signals do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from arena_rows import arena_row
from command_line import arena, bare, own_task
from stored_runs import store_run

from recode_eval import cli
from recode_eval.errors import ExitCode

pytestmark = pytest.mark.slow


def test_json_output_is_json_whatever_others_print(tmp_path: Path) -> None:
    """Engines and C libraries write to file descriptor 1, into the middle of the results."""
    own_task(tmp_path / "own", "one", [arena_row()], kind="kind.py:MyTask")
    (tmp_path / "own" / "one" / "kind.py").write_text(
        "import os\nfrom recode_eval.tasks.arena import ArenaTask\n\n"
        "class MyTask(ArenaTask):\n"
        "    def programs(self, problem, code):\n"
        "        print('hello from Python')\n"
        "        os.write(1, b'hello from C\\n')\n"
        "        return super().programs(problem, code)\n"
    )
    result = bare("--model", "baseline:reference", "--tasks", "one", "--out", str(tmp_path / "r"),
                  "--include-path", str(tmp_path / "own"), "--json")  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["counts"]["scored"] == 1
    assert "hello from Python" in result.stderr
    assert "hello from C" in result.stderr


def test_quiet_is_quiet(rows: Path) -> None:
    result = bare("--model", "baseline:reference", *arena(rows), "--quiet", "--json")
    assert result.returncode == 0
    assert result.stderr == ""


def test_a_terminal_without_unicode(rows: Path, tmp_path: Path) -> None:
    """A package's name that the terminal's encoding lacks ended in a traceback."""
    content = rows.read_text().replace('"package": "textwrap"', '"package": "t\u00e9xt\u4e2d"')
    rows.write_text(content, encoding="utf-8")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
             "PYTHONIOENCODING": "ascii"}  # fmt: skip
    rows_of_two = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    rows_of_two[0]["update"]["package"] = "textwrap"
    rows.write_text("".join(json.dumps(row) + "\n" for row in rows_of_two))
    result = bare("--model", "baseline:reference", *arena(rows), "--breakdown", env=plain)
    assert result.returncode == 0, result.stderr
    assert "t\\xe9xt\\u4e2d" in result.stdout


def _table(output: str) -> list[str]:
    """Return the lines of the table: between the explanation and the notes."""
    lines = output.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("metric"))
    notes = (i for i, line in enumerate(lines) if line.startswith("baseline:") and ": " in line)
    found = lines[first : next(notes)]
    assert any("─" in line for line in found)
    return found


def test_nothing_is_cut_on_a_narrow_terminal(rows: Path) -> None:
    """At 80 columns a table of three models showed `100.0 [92.6, 100...`."""
    folders = [
        json.loads(bare("--model", f"baseline:{kind}", *arena(rows), "--json").stdout)["folder"]
        for kind in ("reference", "stale", "empty")
    ]
    for columns in ("45", "80", "100"):
        output = bare("score", *folders, env={"COLUMNS": columns}).stdout
        assert "…" not in output
        assert output.count("[29.2, 100.0]") >= 4
        assert all(len(line) <= int(columns) for line in _table(output))


@pytest.mark.parametrize(
    ("redirection", "code"),
    [(">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0), ("> /dev/full", ExitCode.IO)],
)
def test_closed_and_full_streams(rows: Path, redirection: str, code: int) -> None:
    """A closed standard stream ended in a traceback, or its number went to a file of the run."""
    command = [sys.executable, "-m", "recode_eval", "--model", "baseline:reference", *arena(rows),
               "--sandbox", "none", "--i-know-this-is-unsafe", "--workers", "1"]  # fmt: skip
    result = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *command],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    [scores] = (rows.parent / "runs").glob("*/*/scores.jsonl")
    assert len([json.loads(line) for line in scores.read_text().splitlines()]) == 6


def test_a_broken_pipe_to_something_else_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Any broken pipe, also a worker's or a server's, ended the command with exit code 0."""

    def broken(arguments: object) -> int:
        raise BrokenPipeError("a worker's pipe")

    monkeypatch.setattr("recode_eval.commands.tasks.execute", broken)
    assert cli.run(["tasks"]) == ExitCode.INTERNAL
    assert "a worker's pipe" in capfd.readouterr().err


def test_a_closed_pipe_is_no_error() -> None:
    """`recode-eval tasks | head -1` must not end in a traceback."""
    command = f"{sys.executable} -m recode_eval tasks --json | head -c 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("streams", ["", "2>&1"])
def test_the_exit_code_is_the_commands_own_whoever_reads(tmp_path: Path, streams: str) -> None:
    """`gate ... | head` ended as 1, which is the verdict "regress", whatever the verdict was.

    The printing library ends the program when a pipe breaks. All commands print through it or
    through the same stream.
    """
    script = tmp_path / "many.py"
    script.write_text(
        "import sys\n"
        "from recode_eval.boundary import guarded\n"
        "from recode_eval.terminal import prepare_streams, stderr_console, stdout_console\n"
        "def execute(words):\n"
        "    prepare_streams()\n"
        "    for number in range(20_000):\n"
        "        stdout_console().print('line', number) if number % 50 == 0 else print(number)\n"
        "        if number % 500 == 0: stderr_console().print('note', number)\n"
        "    return int(words[0])\n"
        "sys.exit(guarded('many', sys.argv[1:], execute, resumable=False))\n"
    )
    for code in (0, 3, 4, 75):
        command = f"{{ {sys.executable} {script} {code} {streams}; echo $? >&3; }} | head -c 9"
        result = subprocess.run(
            ["bash", "-c", f"exec 3>{tmp_path}/code; {command}"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (tmp_path / "code").read_text().strip() == str(code), result.stderr
        assert "Traceback" not in result.stderr


def test_a_verdict_is_the_same_in_a_pipe(tmp_path: Path) -> None:
    base = store_run(tmp_path, "base", lambda p, s: s < 5 + p % 3)
    worse = store_run(tmp_path, "worse", lambda p, s: s < 1 + p % 2)
    better = store_run(tmp_path, "better", lambda p, s: s < 8 + p % 2)
    noisy = store_run(tmp_path, "noisy", lambda p, s: s < (9 if p % 4 < 2 else 3))
    for candidate, code in ((better, 0), (worse, 1), (noisy, 3)):
        words = f"gate --baseline {base} --candidate {candidate} --out {tmp_path}/report"
        command = f"{{ {sys.executable} -m recode_eval {words}; echo $? >&3; }} | true"
        subprocess.run(
            ["bash", "-c", f"exec 3>{tmp_path}/code; {command}"],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        assert (tmp_path / "code").read_text().strip() == str(code)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_good_order(rows: Path, number: signal.Signals) -> None:
    many = [json.loads(line) for line in rows.read_text().splitlines()]
    for row in many:
        row["unit_tests"] = "import time\ndef test_a():\n    time.sleep(1)"
    rows.write_text("".join(json.dumps(row) + "\n" for row in many))
    process = subprocess.Popen(
        [sys.executable, "-m", "recode_eval", "--model", "baseline:reference", *arena(rows),
         "--sandbox", "none", "--i-know-this-is-unsafe", "--workers", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    scores = None
    for _ in range(200):
        time.sleep(0.1)
        scores = next((rows.parent / "runs").glob("*/*/scores.jsonl"), None)
        if scores and scores.read_text():
            break
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert errors.strip().splitlines()[-1].endswith("interrupted; the same command continues")
    assert "Traceback" not in errors
    assert 0 < len(scores.read_text().splitlines()) < 6
