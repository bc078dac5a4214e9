"""The task kind `humaneval`: its rows, what becomes of an answer, and the real file."""

from __future__ import annotations

import gzip
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from command_line import failed, recode_eval
from humaneval_rows import (
    BODY,
    PROMPT,
    answering_none,
    humaneval_row,
    landlocked,
    run,
    verdicts,
    write,
)
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import DataError, ExitCode
from recode_eval.languages.python.syntax import parses
from recode_eval.run.prompts import PromptTemplate
from recode_eval.scoring.extraction import extract
from recode_eval.tasks.base import Problem
from recode_eval.tasks.humaneval import completed, continuation, parse_row
from recode_eval.tasks.registry import create_task
from recode_eval.tasks.rows import RowError

WHOLE = PROMPT + BODY
FUNCTION = parse_row(humaneval_row()).function


def problem(tmp_path: Path, **changes: Any) -> Problem:
    file = write(tmp_path / "rows.jsonl", humaneval_row(**changes))
    return create_task("humaneval").load(str(file), skip_bad_rows=False).problems[0]


def grade(tmp_path: Path, code: str, **changes: Any) -> tuple[bool, str]:
    """Whether an answer passes, and what its test says."""
    one = problem(tmp_path, **changes)
    execution = run(create_task("humaneval").programs(one, code)["tests"])
    assert execution.setup_error is None
    (verdict,) = execution.verdicts
    return execution.passed, verdict.detail


def test_what_stands_before_the_function_is_set_up(tmp_path: Path) -> None:
    program = create_task("humaneval").programs(problem(tmp_path), "def unshift(): pass")["tests"]
    assert PROMPT.startswith(program.setup)
    assert program.setup.rstrip().endswith("return [value + by for value in values]")
    assert program.candidate == "def unshift(): pass"


def test_the_reference_passes_and_an_empty_function_fails(tmp_path: Path) -> None:
    assert grade(tmp_path, WHOLE) == (True, "")
    assert not grade(tmp_path, answering_none(WHOLE, "unshift"))[0]


@pytest.mark.parametrize(
    "code",
    [
        WHOLE,
        "def unshift(values, by):\n    return [v - by for v in values]",
        "def unshift(values: List[int], by):\n    return shift(values, -by)",
        "unshift = lambda values, by: [v - by for v in values]",
        BODY,
        BODY.strip(),
        textwrap.dedent(
            "    out = []\n    for v in values:\n        out.append(v - by)\n    return out"
        ),
        "    out = []\n    for v in values:\n        out.append(v - by)\n    return out",
        "out = []\n    for v in values:\n        out.append(v - by)\n    return out",
        BODY + "\n\ndef main():\n    print(unshift([1], 1))\n",
        "    # a comment\n\n    by = -by\n    return shift(values, by)",
        "from __future__ import annotations\ndef unshift(values, by): return shift(values, -by)",
    ],
)
def test_whole_functions_and_bodies_are_answers(tmp_path: Path, code: str) -> None:
    assert grade(tmp_path, code) == (True, "")


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("", "unshift"),
        ("def other(values, by):\n    return [v - by for v in values]", "unshift"),
        ("x = 1", "unshift"),
        ("print(unshift)", "unshift"),
        ("I would subtract it.", "invalid syntax"),
        ("    return [", "unexpected indent"),
        ("def unshift(values, by):\n    return values", "AssertionError"),
        ("import shelf\ndef unshift(values, by): return []", "shelf"),
    ],
)
def test_what_is_no_answer_fails_and_says_why(tmp_path: Path, code: str, detail: str) -> None:
    passed, shown = grade(tmp_path, code)
    assert not passed
    assert detail in shown


def test_code_behind_the_docstring_is_no_body() -> None:
    """Prompt and module-level code parse together: the function would hold its docstring alone."""
    assert completed(FUNCTION, "x = 1") == "x = 1"
    assert completed(FUNCTION, "    x = 1").startswith(PROMPT)


def test_an_answer_that_changes_the_helper_does_not_change_the_check(tmp_path: Path) -> None:
    """With one namespace, an answer's own `shift` would encode the input that it has to decode."""
    code = "def shift(values, by):\n    return values\ndef unshift(values, by):\n    return values"
    assert not grade(tmp_path, code)[0]
    # And its own helper of that name works for itself.
    code = "def shift(values):\n    return values[0]\ndef unshift(values, by):\n" + textwrap.indent(
        "return [shift([v]) - by for v in values]", "    "
    )
    assert grade(tmp_path, code) == (True, "")


def test_an_answer_without_a_working_exec_does_not_pass(tmp_path: Path) -> None:
    """The name `exec` is the answer's; a check that is never run must not count as passed."""
    code = "exec = print\ndef unshift(v, b): return v"
    assert not grade(tmp_path, code)[0]


@pytest.mark.parametrize("code", [WHOLE, BODY, BODY.strip()])
def test_fenced_answers_reach_the_function(tmp_path: Path, code: str) -> None:
    extraction = extract(f"Here it is:\n```python\n{code}\n```\n", entry_point="unshift")
    assert extraction.code is not None
    assert grade(tmp_path, extraction.code) == (True, "")


def test_the_opened_prompt_is_continued(tmp_path: Path) -> None:
    """After the variant `complete` the model writes on, in the code block that holds the prompt."""
    task = create_task("humaneval")
    variant = task.spec.prompts["complete"]
    template = PromptTemplate.from_file(variant.path)
    prompt = template.render({**problem(tmp_path).context, "update_note": True})
    assert variant.defaults.stop == ("\n```",)
    extraction = extract(f"\n{BODY}", prefill=prompt.prefill, entry_point="unshift")
    assert extraction.code is not None
    assert grade(tmp_path, extraction.code) == (True, "")


@pytest.mark.parametrize("name", ["recode", "plain", "complete"])
@pytest.mark.parametrize("task", ["humaneval", "humaneval-plus"])
def test_every_prompt_shows_the_function_and_no_answer(
    tmp_path: Path, task: str, name: str
) -> None:
    template = PromptTemplate.from_file(create_task(task).spec.prompts[name].path)
    prompt = template.render({**problem(tmp_path).context, "update_note": True})
    text = prompt.messages[-1].content
    assert PROMPT.rstrip() in text
    assert "value - by" not in text + prompt.prefill
    assert "check" not in text
    assert ("<think>" in prompt.prefill) == (name == "recode")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task_id": None}, "task_id is missing"),
        ({"task_id": 3}, "task_id is of type int"),
        ({"prompt": None}, "prompt is missing"),
        ({"prompt": " \n"}, "prompt is empty"),
        ({"prompt": "\ud800"}, "lone surrogate"),
        ({"prompt": "def unshift(:"}, "prompt is not Python"),
        ({"prompt": "def other(a):\n    '''x'''\n"}, "must end in the function unshift"),
        ({"prompt": f"{PROMPT}x = 1\n"}, "must end in|is not Python"),
        ({"entry_point": None}, "entry_point is missing"),
        ({"entry_point": "a b"}, "must be the name of a function"),
        ({"entry_point": "import os; x"}, "must be the name of a function"),
        ({"entry_point": "class"}, "must be the name of a function"),
        ({"entry_point": "shift"}, "must end in the function shift"),
        ({"canonical_solution": "return 1"}, "must continue the prompt"),
        ({"canonical_solution": "    return ("}, "must continue the prompt"),
        ({"canonical_solution": "x = 1"}, "must continue the prompt"),
        ({"canonical_solution": None}, "canonical_solution is missing"),
        ({"test": None}, "test is missing"),
        ({"test": "def chek(candidate): pass"}, r"must define check\(candidate\)"),
        ({"test": "def check(): pass"}, r"must define check\(candidate\)"),
        ({"test": "def check(candidate:"}, "test is not Python"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        parse_row(humaneval_row(**changes))
    good, bad = humaneval_row(task_id="Mine/1"), humaneval_row(**changes)
    file = str(write(tmp_path / "rows.jsonl", good, bad, good))
    task = create_task("humaneval")
    with pytest.raises(DataError, match=r"row 2 of rows\.jsonl.*; row 3 .* occurs twice"):
        task.load(file, skip_bad_rows=False)
    data = task.load(file, skip_bad_rows=True)
    assert [p.id for p in data.problems] == ["Mine/1"]
    assert len(data.bad_rows) == 2


def test_a_damaged_archive_is_bad_data(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps(humaneval_row()).encode() * 100)
    for number, content in enumerate([whole[:-20], b"not gzip", whole[:30] + b"\0" * 99]):
        (tmp_path / f"{number}.jsonl.gz").write_bytes(content)
        with pytest.raises(DataError, match=f"Cannot read .*{number}.jsonl.gz"):
            create_task("humaneval").load(str(tmp_path / f"{number}.jsonl.gz"), skip_bad_rows=False)


@given(st.text(max_size=80))
def test_any_text_is_an_answer_of_some_kind(code: str) -> None:
    """Whatever the model writes is run as it is, or put behind the prompt; nothing is lost."""
    program = completed(FUNCTION, code)
    assert program == code or (program.startswith(PROMPT) and len(program) > len(PROMPT))


LINES = st.lists(
    st.sampled_from(["x = 1", "if by:\n    x = 2", "for v in values:\n    x = v", "'''a'''"]),
    max_size=4,
)


@given(LINES)
def test_a_body_is_understood_with_and_without_its_indent(lines: list[str]) -> None:
    body = "\n".join([*lines, "return values"])
    indented = textwrap.indent(body, "    ")
    expected = PROMPT + indented
    assert completed(FUNCTION, indented) == expected
    assert completed(FUNCTION, body) == expected
    assert completed(FUNCTION, indented.lstrip()) in {expected, PROMPT + f"    {body}"}


def test_the_same_rows_have_one_hash_in_all_formats(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import Table, parquet

    folder = shared_data / "humaneval"
    rows = [json.loads(line) for line in (folder / "HumanEval.jsonl").read_text().splitlines()]
    parquet.write_table(Table.from_pylist(rows), tmp_path / "rows.parquet")
    task = create_task("humaneval")
    files = [folder / "HumanEval.jsonl", folder / "HumanEval.jsonl.gz", tmp_path / "rows.parquet"]
    loaded = [task.load(str(file), skip_bad_rows=False) for file in files]
    assert len({data.content_hash for data in loaded}) == 1
    assert {len(data.problems) for data in loaded} == {164}


@pytest.mark.slow
def test_all_canonical_solutions_pass_and_no_empty_one(shared_data: Path) -> None:
    """The real file: 164 of 164 pass, and 164 of 164 fail with `return None` as their body."""
    task = create_task("humaneval")
    data = task.load(str(shared_data / "humaneval" / "HumanEval.jsonl"), skip_bad_rows=False)
    with landlocked() as sandbox:
        passing = verdicts(task, sandbox, [(p, p.solutions["reference"]) for p in data.problems])
        empty = [
            (p, answering_none(p.solutions["reference"], p.entry_point or ""))
            for p in data.problems
        ]
        failing = verdicts(task, sandbox, empty)
        bodies = [(p, p.payload.function.canonical_solution) for p in data.problems]
        continued = verdicts(task, sandbox, bodies)
    assert len(passing) == 164
    assert [key for key, execution in passing.items() if not execution.passed] == []
    assert [key for key, execution in failing.items() if execution.passed] == []
    assert [key for key, execution in continued.items() if not execution.passed] == []


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        BODY.strip(),
        f"{BODY}\n\ndef main():\n    print(unshift([1], 1))\n",
        f"{BODY}\n\nprint(unshift([1], 1)) # and so on, cut o(",
        "    '''\nno indent\n'''\n    return shift(values, -by)\n",
        f"\n\n{BODY}\n<|endoftext|>",
    ],
)
def test_bare_bodies_continue_the_prompt(tmp_path: Path, text: str) -> None:
    """Completions without any block of code scored 0 in other harnesses."""
    program = continuation(FUNCTION, text)
    assert program is not None
    assert program.startswith(PROMPT)
    assert grade(tmp_path, program) == (True, "")


@pytest.mark.parametrize(
    "text", ["", "I cannot do that.", " Sorry.", "x = 1", "    return [", "return the rest", "\0"]
)
def test_what_continues_nothing_is_no_code(text: str) -> None:
    assert continuation(FUNCTION, text) is None


@given(st.text(max_size=60))
def test_a_continuation_is_a_program(text: str) -> None:
    program = continuation(FUNCTION, text)
    assert program is None or (program.startswith(PROMPT) and parses(program))


@pytest.mark.slow
@pytest.mark.parametrize("field", ["completion", "solution"])
def test_saved_bodies_are_scored_without_a_model(
    shared_data: Path, tmp_path: Path, field: str
) -> None:
    """A file of bare bodies, as evaluation tools save them, through the command line."""
    landlocked().close()
    rows = [
        json.loads(line)
        for line in (shared_data / "humaneval" / "HumanEval.jsonl").read_text().splitlines()
    ]
    saved = [{"task_id": r["task_id"], field: r["canonical_solution"]} for r in rows]
    result = recode_eval(
        *("--model", f"replay:{write(tmp_path / 'saved.jsonl', *saved)}"),
        *("--tasks", "humaneval", "--sandbox", "landlock", "--out", str(tmp_path / "runs")),
        *("--data", f"humaneval={shared_data / 'humaneval' / 'HumanEval.jsonl.gz'}", "--json"),
    )
    assert result.returncode == ExitCode.OK, result.stderr
    assert json.loads(result.stdout)["metrics"]["pass@1"]["value"] == 1


def test_the_baseline_that_needs_a_stale_solution_says_so(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", humaneval_row())
    result = recode_eval(
        *("--model", "baseline:stale", "--tasks", "humaneval", "--out", str(tmp_path / "runs")),
        *("--data", f"humaneval={file}"),
    )
    failed(result, ExitCode.USAGE, "needs a stale solution")


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_canonical_solutions_pass_in_docker(shared_data: Path, tmp_path: Path) -> None:
    result = recode_eval(
        *("--model", "baseline:reference", "--tasks", "humaneval,humaneval-plus"),
        *("--data", f"humaneval={shared_data / 'humaneval' / 'HumanEval.jsonl'}"),
        "--data",
        f"humaneval-plus={shared_data / 'humanevalplus' / 'prerelease.joined.jsonl'}",
        *("--sandbox", "docker", "--out", str(tmp_path / "runs"), "--json"),
        timeout=1700,
    )
    assert result.returncode == ExitCode.OK, result.stderr
    plain, plus = json.loads(result.stdout)
    assert plain["counts"]["scored"] == plus["counts"]["scored"] == 164
    assert plain["metrics"]["pass@1"]["value"] == 1
    assert plus["metrics"]["pass@1"]["value"] == 1
    assert plus["metrics"]["base_pass@1"]["value"] == 1
