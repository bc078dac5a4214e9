"""Tasks, rows and prompts of one's own on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from arena_rows import REFERENCE, arena_row
from command_line import arena, bare, failed, own_task, recode_eval

from recode_eval.errors import ExitCode

pytestmark = pytest.mark.slow


def test_two_tasks_may_use_the_same_ids(tmp_path: Path) -> None:
    """One table of answers for all tasks gave the first task the second one's solutions."""
    solution = REFERENCE.replace("f(x)", "g(x)")
    other = {
        **arena_row(), "solution_signature": "def g(x):", "ref_solution": solution,
        "unit_tests": "def test_g():\n    assert g('a') == 'aa'",
    }  # fmt: skip
    own_task(tmp_path / "own", "one", [arena_row()])
    own_task(tmp_path / "own", "two", [other])
    own = ["--include-path", str(tmp_path / "own"), "--out", str(tmp_path / "runs")]
    result = bare("--model", "baseline:reference", "--tasks", "one,two", "--json", *own)
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert [r["task"]["name"] for r in printed] == ["one", "two"]
    assert [r["metrics"]["pass@1"]["value"] for r in printed] == [1, 1]


def test_validating_two_tasks_of_one_environment(tmp_path: Path) -> None:
    """The second task got the first one's sandbox, already closed: nothing could be graded."""
    for name in ("one", "two"):
        own_task(tmp_path / "own", name, [arena_row()])
    result = bare("validate", "--tasks", "one,two", "--include-path", str(tmp_path / "own"))
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("1 of 1 problems are sound") == 2


def test_a_task_whose_problems_all_fail_to_start_is_no_success(tmp_path: Path) -> None:
    """Exit code 0 with nothing scored, where the environment lacks the rows' libraries."""
    row = {**arena_row(), "imports": "import no_such_package"}
    own_task(tmp_path / "own", "one", [row])
    result = bare("--model", "baseline:reference", "--tasks", "one", "--out", str(tmp_path / "r"),
                  "--include-path", str(tmp_path / "own"))  # fmt: skip
    assert result.returncode == ExitCode.DATA
    assert "1 problems are faulty" in result.stdout
    assert "no_such_package" in result.stdout


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
    # Only in the last one does a model's failure say nothing.
    assert [item["reference_fails"] for item in listed] == [False, False, True]
    [line] = [line for line in result.stdout.splitlines() if "own answer fails here" in line]
    assert "in 1 problems" in line
    assert "prog_syn-2]" in line


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
