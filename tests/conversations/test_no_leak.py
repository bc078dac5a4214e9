"""Hidden tests and references reach no model: over all bundled tasks, with turns and with tools."""

from __future__ import annotations

import json
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from fake_sandbox import FakeSandbox
from talk_server import TalkServer, calls, turn_of

from recode_eval import cli
from recode_eval.conversations.executing import Bench
from recode_eval.conversations.feedback import Feedback
from recode_eval.conversations.journal import Answered
from recode_eval.conversations.split import shown_source, visible_test
from recode_eval.errors import ExitCode
from recode_eval.languages import get_language
from recode_eval.sandbox.base import Execution, Limits, Program, Status, TestVerdict
from recode_eval.tasks.registry import create_task, find_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from recode_eval.tasks.base import Problem, Task

BUNDLED = sorted(name for name, spec in find_tasks().items() if "folder" in spec.data)
TAGS = {"python": "x = 1\n", "javascript": "let x = 1;\n", "rust": "const X: i32 = 1;\n"}


class Refusing(FakeSandbox):
    """Every program fails; all are kept."""

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        del limits
        self.programs.append(program)
        future: Future[Execution] = Future()
        verdicts = [TestVerdict(t.name, Status.FAILED, "AssertionError: no") for t in program.tests]
        future.set_result(Execution(tuple(verdicts), output="printed\n"))
        return future


def hidden(task: Task, problem: Problem) -> list[str]:
    """The bodies of the hidden tests, without what they share with the visible one."""
    tests = task.programs(problem, problem.solutions["reference"])[task.conditions[0]].tests
    seen = set(tests[0].code.splitlines()) if len(tests) > 1 else set()
    rest = [t.code for t in (tests[1:] if len(tests) > 1 else tests)]
    bodies = ("\n".join(x for x in code.splitlines() if x not in seen) for code in rest)
    return [body for body in bodies if body.strip()]


def with_tests(name: str) -> tuple[Task, list[Problem]]:
    task = create_task(name)
    if not task.conditions:
        pytest.skip("it has no tests")
    return task, list(task.load(None, skip_bad_rows=True).problems)


@pytest.mark.parametrize("name", BUNDLED)
def test_no_row_shows_what_is_hidden(name: str) -> None:
    """All rows: what is told of a failure, and every program that runs before the grading."""
    task, problems = with_tests(name)
    sandbox = Refusing()
    feedback = Feedback(task, Bench(task, sandbox, lambda _: Limits()))
    tag = task.spec.language
    text = f"```{tag}\n{TAGS[get_language(tag).name]}```"
    for problem in problems:
        sandbox.programs.clear()
        answer = Answered(
            problem_id=problem.id, sample=0, prompt_hash="", step=0, turn=1, seed=0, text=text,
            finish_reason="stop",
        )  # fmt: skip
        ends, told = feedback.on(problem, answer)
        assert not ends
        assert len(sandbox.programs) == 2
        parts = [told, *(p.candidate + t.code for p in sandbox.programs for t in p.tests)]
        for secret in (*hidden(task, problem), problem.solutions["reference"].strip()):
            assert all(secret not in part for part in parts), problem.id


def test_most_rows_have_a_visible_test() -> None:
    """Otherwise the tests above would compare with nothing."""
    for name in ("arena-mini", "migration"):
        task, problems = with_tests(name)
        visible = [visible_test(task, problem) for problem in problems]
        assert sum(test is not None for test in visible) > len(problems) / 2
        assert all(
            shown_source(task, problem, test)
            for problem, test in zip(problems, visible, strict=True)
            if test
        )
        assert all(hidden(task, problem) for problem in problems)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLED)
def test_no_byte_that_is_sent_is_hidden(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole runs of some rows: every request, with turns and tools."""
    task, _ = with_tests(name)
    language = get_language(task.spec.language).name
    monkeypatch.setattr("recode_eval.sandbox.open_router", lambda *_, **__: Refusing("landlock"))
    program = TAGS[language]

    def model(body: dict[str, Any]) -> str | dict[str, Any]:
        if body["messages"][-1]["role"] != "tool":
            return calls(("run", {"code": program}), ("read", {"name": "json"}))
        return f"```{task.spec.language}\n{program}# {turn_of(body)}\n```"

    with TalkServer(model) as server:
        tools = "run,read" if language == "python" else "run"
        words = ["--model", "tiny", "--tasks", name, "--n", "1", "--limit", "6", "--turns", "3"]
        words += ["--tools", tools, "--base-url", server.url, "--sandbox", "landlock"]
        words += ["--timeout", "5", "--out", str(tmp_path), "--quiet"]
        assert cli.run(words) == ExitCode.OK
    sent = [json.dumps(body, ensure_ascii=False) for body in server.requests]
    assert len(sent) == 6 * 3 * 2
    for problem in task.load(None, skip_bad_rows=True).problems[:6]:
        for secret in (*hidden(task, problem), problem.solutions["reference"].strip()):
            spelt = json.dumps(secret, ensure_ascii=False)[1:-1]
            assert not any(spelt in request for request in sent), problem.id
