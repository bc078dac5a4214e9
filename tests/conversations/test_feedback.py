"""What a model is told of its failures, language by language, by the real sandbox."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from arena_rows import REFERENCE, write_rows

sys.path.insert(0, str(Path(__file__).parent.parent / "tasks"))

from humaneval_rows import BODY, plus_row

from recode_eval.conversations.conversation import Use
from recode_eval.conversations.executing import (
    Bench,
    ended,
    output_and_trace,
    presentable,
    shortened,
)
from recode_eval.conversations.feedback import Feedback
from recode_eval.conversations.journal import Answered, Call
from recode_eval.conversations.split import shown_source, visible_test
from recode_eval.conversations.tools import Toolbox
from recode_eval.languages import get_language, runtimes_of
from recode_eval.languages.base import Tracing
from recode_eval.sandbox import open_router
from recode_eval.sandbox.base import Limits, Program, SandboxUnavailableError, Test
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.base import Problem, Task

LIMITS = Limits(cpu_s=3, wall_s=30)


def opened(environment: str, language: str, isolation: str = "split") -> Iterator[Sandbox]:
    try:
        sandbox = open_router(
            "bubblewrap",
            environment=environment,
            workers=1,
            isolation=isolation,
            runtimes=runtimes_of(language),
        )
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    with sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def python() -> Iterator[Sandbox]:
    yield from opened("mini", "python")


def answer(code: str, tag: str = "python", finish: str = "stop") -> Answered:
    return Answered(
        problem_id="p", sample=0, prompt_hash="", step=0, turn=1, seed=0,
        text=f"```{tag}\n{code}\n```", finish_reason=finish,
    )  # fmt: skip


def told(task: Task, problem: Problem, sandbox: Sandbox, code: str, **more: Any) -> str:
    feedback = Feedback(task, Bench(task, sandbox, lambda _: LIMITS))
    ends, text = feedback.on(problem, answer(code, task.spec.language, **more))
    assert not ends
    return text


@pytest.fixture
def arena(tmp_path: Path) -> tuple[Task, Problem]:
    task = create_task("arena")
    rows = write_rows(tmp_path / "rows.jsonl", 1)
    return task, task.load(str(rows), skip_bad_rows=False).problems[0]


def test_a_right_answer_ends_the_conversation(arena: Any, python: Sandbox) -> None:
    task, problem = arena
    feedback = Feedback(task, Bench(task, python, lambda _: LIMITS))
    assert feedback.on(problem, answer(REFERENCE)) == (True, "")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(:\n    pass", ['line 1\n    def f(:\n          ^', "SyntaxError"]),
        ("def f(x):\n    return g(x)", ["line 2, in f\n    return g(x)", "NameError: name 'g'"]),
        ("import nothing_here", ["line 1, in <module>", "No module named 'nothing_here'"]),
        ("def f(x):\n    while True: pass", ["it ran for too long and was stopped"]),
        ("import os\nos._exit(3)", ["its process ended before it was done"]),
        ("def f(x):\n    return f(x)", ["[Previous line repeated", "RecursionError"]),
        ("import json\ndef f(x):\n    return json.loads('{')", ['File "json/decoder.py", line']),
        (
            (
                "def f(x):\n    try:\n        1/0\n    except ZeroDivisionError as e:\n"
                "        raise ValueError('\\x1b[31m\\u202e') from e"
            ),
            ["direct cause of the following", "ValueError: \\x1b[31m\\u202e"],
        ),
        ("print('\\x1b]0;title\\x07')\ndef f(x): return x", ["\\x1b]0;title\\x07"]),
    ],
)  # fmt: skip
def test_python(arena: Any, python: Sandbox, code: str, expected: list[str]) -> None:
    text = told(*arena, python, code)
    for part in expected:
        assert part in text
    for hidden in ("test_empty", "recode", "/usr", "/tmp", "/root", "site-packages", "\x1b"):
        assert hidden not in text
    assert len(text) < 8_000


def test_a_long_output_is_cut_and_says_so(arena: Any, python: Sandbox) -> None:
    text = told(*arena, python, "print('x' * 60_000)\ndef f(x):\n    return x")
    assert "characters left out ...]" in text
    assert len(text) < 6_000


def test_a_cut_answer_is_told_so(arena: Any, python: Sandbox) -> None:
    text = told(*arena, python, "def f(x", finish="length")
    assert text.startswith("Your answer was cut off because it was too long.")


def test_a_faulty_problem_ends_the_conversation(tmp_path: Path, python: Sandbox) -> None:
    """No answer can mend it; grading counts it as faulty."""
    rows = write_rows(tmp_path / "rows.jsonl", 1)
    row = json.loads(rows.read_text())
    row["update"]["implementation"] = "def dedent(text, times=1):\n    return missing(text)\n1/0\n"
    rows.write_text(json.dumps(row))
    task = create_task("arena")
    problem = task.load(str(rows), skip_bad_rows=False).problems[0]
    feedback = Feedback(task, Bench(task, python, lambda _: LIMITS))
    assert feedback.on(problem, answer("def f(x): return x"))[0]


def test_a_test_that_holds_the_reference_is_not_shown(tmp_path: Path, python: Sandbox) -> None:
    """HumanEval+ compares with the reference, whose text is in every test's code."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(plus_row()))
    task = create_task("humaneval-plus")
    problem = task.load(str(rows), skip_bad_rows=False).problems[0]
    test = visible_test(task, problem)
    assert test is not None
    assert "values" in test.code
    source = shown_source(task, problem, test)
    assert source is not None
    assert "unshift(*" in source
    text = told(task, problem, python, "def unshift(values, by):\n    return 1 / 0")
    assert "ZeroDivisionError" in text
    assert "line 2, in unshift" in text
    assert BODY.strip() not in text
    assert "_grader" not in text
    assert source in text


@pytest.mark.rust
def test_rust(tmp_path: Path) -> None:
    """The compiler and a panic say where they are."""
    from recode_eval.languages.rust.runtime import find_rustc

    find_rustc()
    rows = {"task_idx": 0, "query": "Negate.", "function_signature": "fn flip(n: i32) -> i32",
            "code": "fn flip(n: i32) -> i32 { n.wrapping_neg() }",
            "test_program": "#[cfg(test)] mod tests { use super::*; #[test] fn a() { "
            "assert_eq!(flip(1), -1); } #[test] fn b() { assert_eq!(flip(2), -2); } }"}  # fmt: skip
    api = {"name": "wrapping_neg", "module": "core::num", "from_version": "1.79.0",
           "to_version": "1.80.0", "change_type": "implicit",
           "signature": "pub const fn wrapping_neg(self) -> Self",
           "documentation": None}  # fmt: skip
    (tmp_path / "rows.json").write_text(json.dumps([rows]))
    (tmp_path / "APIDocs.json").write_text(json.dumps([api]))
    task = create_task("rustevo")
    problem = task.load(str(tmp_path / "rows.json"), skip_bad_rows=False).problems[0]
    for sandbox in opened("rust", "rust", "program"):
        text = told(task, problem, sandbox, "fn flip(n: i32) -> i32 { n }")
        assert "left: 1" in text
        assert "fn a()" in text
        assert "fn b()" not in text
        assert "mismatched types" in told(task, problem, sandbox, 'fn flip(n: i32) -> i32 { "" }')
        box = Toolbox(["run"], task, Bench(task, sandbox, lambda _: LIMITS))
        code = 'fn main() { println!("{}", 6 * 7); }'
        status, said, _ = box.use(problem, Use(Call("1", "run", json.dumps({"code": code})), 0, 9))
        assert (status, "42" in said) == ("ok", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('File "/opt/venv/lib/python3.11/site-packages/a/b.py"', 'File "a/b.py"'),
        ("at x (/work/1/solution.mjs:3:1)", "at x (solution.mjs:3:1)"),
        ("at y (file:///env/node_modules/zod/index.js:1:2)", "at y (zod/index.js:1:2)"),
        ("assert '/a/b' == '/a/c'", "assert '/a/b' == '/a/c'"),
        ("a\n    at node:internal/main:1\nb", "a\nb"),
    ],
)
def test_folders_of_the_machine_are_cut(text: str, expected: str) -> None:
    assert presentable(text) == expected


def test_cutting_takes_no_time() -> None:
    """Patterns over hostile text: a megabyte of slashes took minutes in an early form."""
    for text in ("/" * 1_000_000, "/a" * 500_000, "__recod" * 200_000):
        assert len(presentable(text)) < 4_200
    assert shortened("a" * 10, 10) == "a" * 10


@pytest.mark.parametrize("language", ["javascript", "typescript"])
def test_javascript(language: str) -> None:
    """What a test throws has its stack, with frames of the program alone."""
    known = get_language(language)
    assert isinstance(known, Tracing)
    for sandbox in opened("node", language):
        code = "function half(x) {\n  return x.missing.part;\n}\n"
        test = Test("test_half", "function test_half() { assert.equal(half(4), 2); }\ntest_half();")
        program = Program("", code, (test,), language=language)
        done = sandbox.submit(known.traced(program, shown=True), LIMITS).result()
        output, trace = output_and_trace(done)
        assert output == ""
        first, *frames = trace.splitlines()
        assert first == "TypeError: Cannot read properties of undefined (reading 'part')"
        assert frames[0].strip().startswith("at half (solution.")
        assert "/" not in trace
        assert "recode" not in trace
        good = sandbox.submit(known.script(program, "console.log(6 * 7)"), LIMITS).result()
        assert (good.passed, good.output) == (True, "42\n")
        bad = sandbox.submit(known.script(program, "throw new Error('no')"), LIMITS).result()
        assert ended(bad.verdicts[0]).startswith("Error: no")


READS_ITS_CALLER = {
    "prints": "for name, value in frame.f_locals.items():\n            print(name, value)",
    "raises": "text += str(frame.f_locals)\n        if len(text) > 3000: raise ValueError(text)",
    "returns": "text += str(frame.f_locals)",
    "waits": "print(frame.f_locals, flush=True)\n        if frame.f_back is None:\n"
    "            while True: pass",
}


@pytest.mark.parametrize("way", READS_ITS_CALLER)
@pytest.mark.parametrize("isolation", ["program", "split"])
def test_an_answer_cannot_hand_itself_the_reference(
    tmp_path: Path, way: str, isolation: str
) -> None:
    """HumanEval+'s tests hold the reference, and the answer runs in their process.

    What it printed, raised or returned there was told, so a first answer that walked the frames of
    its caller got the reference for its second one.
    """
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(plus_row()))
    task = create_task("humaneval-plus")
    problem = task.load(str(rows), skip_bad_rows=False).problems[0]
    code = (
        "import sys\n\ndef unshift(values, by):\n    frame, text = sys._getframe(1), ''\n"
        f"    while frame:\n        {READS_ITS_CALLER[way]}\n        frame = frame.f_back\n"
        "    return text\n"
    )
    for sandbox in opened("mini", "python", isolation):
        text = told(task, problem, sandbox, code)
        assert "does not pass the test base 0-0" in text
        assert "print(unshift(*" in text
        for secret in (BODY.strip(), "$_CONTRACT_$", "expected_of", "_grader"):
            assert secret not in text


def test_calls_with_endless_floats_can_run(tmp_path: Path, python: Sandbox) -> None:
    """Rows spell them `Infinity`; a call with `inf` alone would raise a NameError of our own."""
    row = {**plus_row(), "base_input": [[[float("inf")], 1]]}
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(row))
    task = create_task("humaneval-plus")
    problem = task.load(str(rows), skip_bad_rows=False).problems[0]
    text = told(task, problem, python, "def unshift(values, by):\n    return ['wrong', *values]")
    assert "NameError" not in text
    assert "['wrong', inf]" in text
