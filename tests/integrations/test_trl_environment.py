"""The environment for TRL without TRL: tools, budgets, rewards, hostile calls, a broken machine."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from fake_sandbox import FakeSandbox
from hypothesis import given, settings
from hypothesis import strategies as st

import recode_eval
from recode_eval import SandboxOptions, UsageError, load_task, rewards
from recode_eval.conversations.conversation import Use
from recode_eval.conversations.executing import Bench
from recode_eval.conversations.feedback import Feedback
from recode_eval.conversations.journal import Answered, Call
from recode_eval.conversations.split import visible_test
from recode_eval.conversations.tools import Toolbox
from recode_eval.errors import InfrastructureError
from recode_eval.integrations.trl_environment import TrlEnvironments, final_text
from recode_eval.sandbox.base import (
    Execution,
    Limits,
    SandboxClosedError,
    SandboxCrashError,
    SandboxUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

LANDLOCK = SandboxOptions(tier="landlock", workers=1)
TASK = load_task("arena-mini")
FIRST, SECOND = TASK.problems[:2]


@pytest.fixture(scope="module")
def environments() -> Iterator[TrlEnvironments]:
    made = recode_eval.trl_environment(TASK, turns=3, sandbox=LANDLOCK)
    yield made
    made.close()


@pytest.fixture(scope="module")
def writing() -> Iterator[TrlEnvironments]:
    """Environments whose answer is the last message."""
    made = recode_eval.trl_environment(TASK, sandbox=LANDLOCK)
    yield made
    made.close()


def begun(environments: TrlEnvironments, problem: Any = FIRST) -> Any:
    environment = environments()
    environment.reset(problem_id=problem.id, prompt=[])
    return environment


def message(code: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": f"Here:\n```python\n{code}\n```"}]


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> TrlEnvironments:
    """Environments whose sandbox fails every program."""

    class Failing(FakeSandbox):
        def submit(self, program: object, limits: object) -> Future[Execution]:
            future: Future[Execution] = Future()
            future.set_exception(error)
            return future

    monkeypatch.setattr("recode_eval.run.sandboxes.Sandboxes._get", lambda *_: Failing())
    return recode_eval.trl_environment(TASK, sandbox=LANDLOCK)


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("run", {"code": "print(6 * 7)"}),
    ("run", {"code": "import nowhere"}),
    ("run", {"code": "print('\x1b[31m' + 'x' * 9000)"}),
    ("run", {}),
    ("run", {"code": 3}),
    ("run", {"code": "x", "self": 1}),
    ("read", {"name": "bisect.nearest_index"}),
    ("read", {"name": "json.decoder", "first_line": 3, "last_line": 5}),
    ("read", {"name": "json.decoder", "first_line": 5, "last_line": 3}),
    ("read", {"name": "../../etc/passwd"}),
    ("read", {"name": "json", "first_line": "3"}),
]


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_a_call_gives_what_it_gives_in_an_evaluation(
    environments: TrlEnvironments, name: str, arguments: dict[str, Any]
) -> None:
    import json

    environment = begun(environments)
    bench = Bench(TASK.task, environments._sandbox(), lambda _: Limits())
    toolbox = Toolbox(("run", "read"), TASK.task, bench)
    use = Use(Call("", name, json.dumps(arguments)), 0, 60.0)
    status, expected, _ = toolbox.use(FIRST, use)
    assert getattr(environment, name)(**arguments) == expected
    assert (environment.session.calls, environment.session.malformed) == (1, status == "malformed")
    assert environment.session.failure is None


def test_submit_tells_what_a_failed_turn_tells(environments: TrlEnvironments) -> None:
    environment = begun(environments)
    code = "def print_widths(offers, orders):\n    return offers[9]"
    bench = Bench(TASK.task, environments._sandbox(), lambda _: Limits())
    answer = Answered(
        problem_id=FIRST.id, sample=0, prompt_hash="", step=0, turn=1, seed=0,
        text=f"```python\n{code}\n```", finish_reason="stop",
    )  # fmt: skip
    _, expected = Feedback(TASK.task, bench).on(FIRST, answer)
    told = environment.submit(code=code)
    assert told == expected
    assert "IndexError" in told
    test = visible_test(TASK.task, FIRST)
    assert test is not None
    assert test.code.strip() in told
    assert environment.get_reward() == 0.0


def test_a_program_that_passes_its_visible_test_is_the_answer(
    environments: TrlEnvironments,
) -> None:
    """As a conversation of an evaluation ends there; later ones change nothing."""
    environment = begun(environments)
    assert "your answer" in environment.submit(code=FIRST.solutions["reference"])
    assert "your answer" in environment.submit(code="def print_widths(a, b): pass")
    assert environment.session.submissions == 1
    assert environment.get_reward() == 1.0


def test_the_last_of_the_turns_is_the_answer(environments: TrlEnvironments) -> None:
    """It is graded without a word about its visible test, as the last turn of an evaluation."""
    environment = begun(environments)
    told = [environment.submit(code=f"raise ValueError({n})") for n in range(3)]
    assert [f"ValueError: {n}" in text for n, text in enumerate(told)] == [True, True, False]
    assert "end your turn" in told[2]
    environment.submit(code=FIRST.solutions["reference"])
    assert environment.get_reward() == 0.0


def test_a_written_answer_is_none_where_programs_are_handed_in(
    environments: TrlEnvironments,
) -> None:
    """`reward` beside `get_reward`: both grade the same program."""
    reference = FIRST.solutions["reference"]
    written, handed_in = begun(environments), begun(environments)
    handed_in.submit(code=reference)
    both = [written, handed_in]
    completions = [message(reference), message("x = 1")]
    assert environments.reward(completions=completions, environments=both) == [0.0, 1.0]
    assert [one.get_reward() for one in both] == [0.0, 1.0]


def test_nothing_handed_in_is_a_failure(environments: TrlEnvironments) -> None:
    environment = begun(environments)
    assert environment.get_reward() == 0.0
    assert environment.submit() == "Error: submit needs the argument code."
    assert environment.get_reward() == 0.0


def test_rewards_of_last_messages(writing: TrlEnvironments) -> None:
    """Right, stale, none, forged, and a model that wrote nothing after a tool's result."""
    reference = FIRST.solutions["reference"]
    completions = [
        message(reference),
        message(FIRST.solutions["stale"]),
        [{"role": "assistant", "content": "I cannot."}],
        message("import sys\nsys.exit(0)"),
        message("import os\nos._exit(0)"),
        [*message(reference), {"role": "tool", "name": "run", "content": "x"}],
        [
            {"role": "assistant", "content": "", "tool_calls": []},
            {"role": "tool", "name": "run", "content": f"```python\n{reference}\n```"},
            *message(reference),
        ],
        [{"role": "assistant", "reasoning_content": "Hm.", "content": f"```\n{reference}\n```"}],
        f"```python\n{reference}\n```",
        [],
    ]
    waiting = [begun(writing) for _ in completions]
    found = writing.reward(completions=completions, environments=waiting, problem_id=["?"] * 10)
    assert found == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]
    assert writing.reward_funcs == [writing.reward]
    assert not hasattr(waiting[0], "get_reward")


def test_thoughts_come_back_as_the_model_wrote_them() -> None:
    made = [{"role": "assistant", "reasoning_content": "Hm.", "content": "<answer>x</answer>"}]
    assert final_text(made) == "<think>\nHm.\n</think>\n\n<answer>x</answer>"


def test_reset_clears_everything(environments: TrlEnvironments) -> None:
    """TRL uses an environment again for another problem."""
    environment = begun(environments)
    environment.run(code="1/0")
    environment.run()
    environment.submit(code=FIRST.solutions["reference"])
    assert environment.get_reward() == 1.0
    environment.session.failure = SandboxCrashError("lost")
    environment.reset(problem_id=SECOND.id)
    session = environment.session
    assert (session.calls, session.malformed, session.submissions, session.seconds) == (0, 0, 0, 0)
    assert (session.answer, session.accepted, session.failure) == (None, False, None)
    assert environment.get_reward() == 0.0
    environment.submit(code=SECOND.solutions["reference"])
    assert environment.get_reward() == 1.0


def test_budgets_end_the_tools() -> None:
    made = recode_eval.trl_environment(TASK, ("run",), tool_calls=2, sandbox=LANDLOCK)
    try:
        environment = begun(made)
        assert "no more tools" not in environment.run(code="print(1)")
        assert environment.run(code="print(2)").endswith(
            "There are no more tools: all 2 calls are made. Give your answer now."
        )
        assert environment.run(code="print(3)").startswith("There are no more tools")
        assert environment.session.calls == 2
        assert made.max_tool_calling_iterations == 2
        assert not hasattr(environment, "read")
        slow = begun(recode_eval.trl_environment(TASK, ("run",), tool_seconds=0.001))
        slow._workbench._open = made._sandbox
        assert "all 0.001 seconds are used up" in slow.run(code="print(1)")
    finally:
        made.close()


def test_iterations_allow_every_budget(environments: TrlEnvironments) -> None:
    assert environments.max_tool_calling_iterations == 16 + 3
    assert environments.reward_funcs == []


def test_a_broken_machine_is_unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never 0: also where the answer was right, and where only a tool was hit."""
    made = failing(monkeypatch, SandboxCrashError("the worker died twice"))
    environment = begun(made)
    assert environment.run(code="print(1)") == "The machine failed, not you. End your turn."
    assert isinstance(environment.session.failure, SandboxCrashError)
    fine = begun(made)
    answers = [message(FIRST.solutions["reference"]), message(FIRST.solutions["reference"])]
    assert made.reward(completions=answers, environments=[environment, fine]) == [None, None]
    assert made.reward(completions=[message("")], environments=[fine]) != [None]
    submitting = recode_eval.trl_environment(TASK, (), turns=2)
    handed_in = begun(submitting)
    handed_in.submit(code="x = 1")
    assert handed_in.get_reward() is None


@pytest.mark.parametrize("error", [SandboxUnavailableError("gone"), SandboxClosedError("closed")])
def test_a_dead_sandbox_is_an_error(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Without it every rollout would be unscored, and the training learn nothing in silence."""
    made = failing(monkeypatch, error)
    environment = begun(made)
    environment.run(code="print(1)")
    with pytest.raises(InfrastructureError, match=str(error)):
        made.reward(completions=[message("x = 1")], environments=[environment])
    with pytest.raises(InfrastructureError, match=str(error)):
        made.reward(completions=[message("x = 1")], environments=[begun(made)])


def test_no_sandbox_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise SandboxUnavailableError("there is no Docker here")

    monkeypatch.setattr("recode_eval.run.sandboxes.Sandboxes._get", absent)
    made = recode_eval.trl_environment(TASK)
    environment = begun(made)
    environment.run(code="print(1)")
    with pytest.raises(InfrastructureError, match="no Docker here"):
        made.reward(completions=[message("x = 1")], environments=[environment])


def test_hidden_tests_are_in_no_program_of_a_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = FakeSandbox()
    monkeypatch.setattr("recode_eval.run.sandboxes.Sandboxes._get", lambda *_: sandbox)
    made = recode_eval.trl_environment(TASK, turns=3)
    for problem in TASK.problems[:4]:
        environment = begun(made, problem)
        environment._workbench._ready([problem])  # the reference runs here, with its tests
        sandbox.programs.clear()
        told = [
            environment.run(code="print(1)"),
            environment.read(name="bisect"),
            environment.submit(code="x = 1"),
            environment.submit(code="y = 2"),
        ]
        reference = problem.solutions["reference"]
        condition = TASK.task.conditions[0]
        tests = TASK.task.programs(problem, reference)[condition].tests[1:]
        assert len(sandbox.programs) >= 4
        for sent in [*map(repr, sandbox.programs), *told]:
            assert reference.strip() not in sent
            for test in tests:
                assert test.name not in sent
        sandbox.programs.clear()
        environment.get_reward()
        assert tests[0].name in repr(sandbox.programs)  # grading does hold them


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["run", "read", "submit"]), st.dictionaries(st.text(), VALUES, max_size=3))
@settings(max_examples=150, deadline=None)
def test_hostile_arguments_are_told_to_the_model(name: str, arguments: dict[str, Any]) -> None:
    """No exception, no failure of the machine, a text that any tokenizer takes."""
    environment = begun(HOSTILE)
    told = getattr(environment, name)(**arguments)
    told.encode()
    assert told
    assert environment.session.failure is None


class _Silent(FakeSandbox):
    def submit(self, program: Any, limits: Limits) -> Future[Execution]:
        future: Future[Execution] = Future()
        future.set_result(Execution((), output=""))
        return future


def _hostile() -> TrlEnvironments:
    made = recode_eval.trl_environment(TASK, turns=3)
    made._workbench._open = _Silent
    return made


HOSTILE = _hostile()


def test_hostile_programs_do_no_harm(environments: TrlEnvironments) -> None:
    """Lone surrogates, NUL bytes, a loop, a killed parent: told, and the next call works."""
    environment = begun(environments)
    for code in (
        "print('\ud800')", "\0", "x" * 200_000, "(" * 5000, "import os; os.kill(os.getppid(), 9)",
    ):  # fmt: skip
        environment.run(code=code).encode()
        assert environment.session.failure is None
    assert environment.run(code="print('alive')").endswith("alive")


def test_threads_share_one_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight rollouts at once: each with its own output, verdict and budget."""
    opened = []
    real = recode_eval.integrations.trl_environment.Sandboxes._get

    def counting(self: Any, *key: str) -> Any:
        found = real(self, *key)
        opened.append(id(found))
        return found

    monkeypatch.setattr("recode_eval.run.sandboxes.Sandboxes._get", counting)
    made = recode_eval.trl_environment(
        TASK, turns=2, sandbox=SandboxOptions(tier="landlock", workers=2)
    )

    def rollout(number: int) -> tuple[bool, float | None, int]:
        environment = begun(made, TASK.problems[number % 3])
        said = environment.run(code=f"print({number} + 1000)")
        right = number % 2 == 0
        solution = environment.session.problem.solutions["reference"]
        environment.submit(code=solution if right else "x = 1")
        reward = environment.get_reward()
        return f"{number + 1000}" in said, reward, environment.session.calls

    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(rollout, range(16)))
    finally:
        made.close()
    assert found == [(True, float(n % 2 == 0), 1) for n in range(16)]
    assert len(set(opened)) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_opens_its_own_sandbox() -> None:
    """The threads of the parent's sandbox do not live on in a child, which would wait for ever."""
    code = """
        import os
        import recode_eval
        from recode_eval import SandboxOptions, load_task
        task = load_task("arena-mini")
        made = recode_eval.trl_environment(
            task, ("run",), sandbox=SandboxOptions(tier="landlock", workers=1))
        environment = made()
        environment.reset(problem_id=task.problems[0].id)
        assert environment.run(code="print('parent')").endswith("parent")
        child = os.fork()
        if not child:
            said = environment.run(code="print('child')")
            made.close()
            os._exit(0 if said.endswith("child") else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert environment.run(code="print('again')").endswith("again")
        made.close()
    """
    import textwrap

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_the_column_of_the_problem_can_be_named() -> None:
    made = recode_eval.trl_environment(TASK, column="key")
    environment = made()
    environment.reset(key=SECOND.id, problem_id=FIRST.id)
    assert environment.session.problem is SECOND
    environment = recode_eval.trl_environment(TASK)()
    environment.reset(**rewards.trl_rows(TASK)[1])
    assert environment.session.problem is SECOND


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: recode_eval.trl_environment("arena-mini", ()), "needs tools"),
        (lambda: recode_eval.trl_environment("arena-mini", ("runn",)), "run"),
        (lambda: recode_eval.trl_environment("arena-mini", ("search",)), "tool"),
        (lambda: recode_eval.trl_environment("arena-mini", turns=0), "turns"),
        (lambda: recode_eval.trl_environment("arena-mini", tool_calls=0), "tool_calls"),
        (lambda: HOSTILE().reset(prompt=[]), "column problem_id .* has: prompt.*trl_rows"),
        (lambda: HOSTILE().reset(problem_id="[bisect"), "problem of arena-mini"),
        (lambda: HOSTILE().reset(problem_id=7), "problem of arena-mini"),
        (lambda: HOSTILE().session.problem, "no problem yet"),
    ],
)
def test_wrong_use_is_an_error(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys, recode_eval; recode_eval.trl_environment('arena-mini')();"
        "print([m for m in ('trl', 'torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
