"""The line at which a test failed: a hint beside the verdict, which never depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sandbox.conftest import OLD_PYTHON, open_or_skip

from recode_eval.run.grading import condition_record
from recode_eval.sandbox import Execution, Limits, Program, Sandbox, Status, Test

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS = Limits(cpu_s=2, wall_s=10, memory_bytes=1 << 30)
TESTS = {
    "passes": "assert double(1) == 2",
    "assertion": "x = 2\n\nassert double(x) == 4\nassert double(x) == 5\n",
    "in a function": "def check(x):\n    assert double(x) == 0\n\n\ncheck(0)\ncheck(1)\n",
    "raised by the answer": "a = 1\nb = 2\ndouble('x', 3)\n",
    "no test at all": "assert (",
}
LINES = [None, 4, 2, 3, None]


@pytest.fixture(scope="module", params=["split", "program"])
def isolation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["mini", pytest.param(OLD_PYTHON, marks=pytest.mark.slow)])
def sandbox(isolation: str, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with open_or_skip(
        "landlock", environment=request.param, workers=1, isolation=isolation
    ) as opened:
        yield opened


def run(sandbox: Sandbox, candidate: str, tests: dict[str, str]) -> Execution:
    named = tuple(Test(name, code) for name, code in tests.items())
    return sandbox.submit(Program("", candidate, named), LIMITS).result()


def test_the_line_is_that_of_the_tests_source(sandbox: Sandbox) -> None:
    done = run(sandbox, "def double(x, n=2):\n    return x * n if x != 'x' else x / n", TESTS)
    assert [verdict.line for verdict in done.verdicts] == LINES
    assert [verdict.status for verdict in done.verdicts][:1] == [Status.PASSED]
    assert "\n" not in "".join(verdict.detail for verdict in done.verdicts)
    assert done.verdicts[1].detail == "AssertionError"
    record = condition_record(done)
    assert record["lines"] == {
        name: line for name, line in zip(TESTS, LINES, strict=True) if line is not None
    }
    assert "lines" not in condition_record(
        run(sandbox, "double = lambda x: 2 * x", {"a": TESTS["passes"]})
    )


HOSTILE = {
    "a text whose comparison lies": """
class Name(str):
    def __eq__(self, other):
        raise SystemExit
    __hash__ = str.__hash__
def double(x):
    code = compile('1 / 0', '<answer>', 'exec')
    exec(code.replace(co_filename=Name('<test>')))
""",
    "an exception with a trace of its own": """
class Odd(Exception):
    @property
    def __traceback__(self):
        raise SystemExit
    def __str__(self):
        return '\\n99\\n' * 400
def double(x):
    raise Odd
""",
    "code under the name of a test": """
def double(x):
    exec(compile('\\n' * 5_000_000 + '1 / 0', '<test>', 'exec'))
""",
    "endless frames": """
import sys
sys.setrecursionlimit(20_000)
def double(x):
    return double(x)
""",
}


@pytest.mark.parametrize("candidate", HOSTILE.values(), ids=HOSTILE)
def test_no_answer_turns_its_verdict_or_hides_others(sandbox: Sandbox, candidate: str) -> None:
    """Attack: objects on the way from the exception to the line call code of the answer's."""
    done = run(sandbox, candidate, {"first": "double(1)", "second": "\nassert 1 == 2"})
    assert [verdict.status for verdict in done.verdicts] == [Status.FAILED] * 2
    assert done.verdicts[0].line is None or 0 < done.verdicts[0].line < 1_000_000
    assert done.verdicts[1].line == 2
    assert all(len(verdict.detail) <= 1_000 for verdict in done.verdicts)
