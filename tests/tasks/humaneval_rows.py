"""Small rows in HumanEval's and EvalPlus's schema, and a cheap sandbox for trusted programs."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any

import pytest
from fake_sandbox import FakeSandbox

from recode_eval.sandbox import landlock, open_sandbox
from recode_eval.sandbox.base import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from recode_eval.sandbox.base import Execution, Program, Sandbox
    from recode_eval.tasks.base import Problem, Task

PROMPT = '''import math
from typing import List


def shift(values: List[int], by: int) -> List[int]:
    """A helper."""
    return [value + by for value in values]


def unshift(values: List[int], by: int) -> List[int]:
    """Take `by` off every value: the inverse of shift.
    >>> unshift([3], 1)
    [2]
    """
'''
BODY = "    return [value - by for value in values]\n"
TEST = """
METADATA = {"author": "us"}


def check(candidate):
    assert candidate([3], 1) == [2]
    assert candidate(shift([1, 2], 5), 5) == [1, 2]
    assert math.isclose(unshift([1.5], 1)[0], 0.5)
"""


def humaneval_row(**changes: Any) -> dict[str, Any]:
    row = {
        "task_id": "Mine/0",
        "prompt": PROMPT,
        "entry_point": "unshift",
        "canonical_solution": BODY,
        "test": TEST,
        **changes,
    }
    return {key: value for key, value in row.items() if value is not None}


def plus_row(**changes: Any) -> dict[str, Any]:
    content = {
        "contract": "\n    assert by >= 0  # $_CONTRACT_$\n",
        "base_input": [[[3], 1], [[], 0]],
        "plus_input": [[[1, 2], 2], [[5], -1]],
        "atol": 0,
    }
    return humaneval_row(**{**content, **changes})


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(program: Program) -> Execution:
    """Run a program that we trust."""
    return FakeSandbox().submit(program, Limits()).result()


def landlocked() -> Sandbox:
    """Open the sandbox that is quickest to open; skip the test where it cannot work."""
    if reason := landlock.reason_against():
        pytest.skip(f"landlock: {reason}")
    return open_sandbox("landlock", workers=2)


def verdicts(
    task: Task, sandbox: Sandbox, answers: list[tuple[Problem, str]]
) -> dict[str, Execution]:
    """Run one answer of each problem."""
    futures = {}
    for problem, code in answers:
        (program,) = task.programs(problem, code).values()
        futures[problem.id] = sandbox.submit(program, Limits())
    return {key: future.result() for key, future in futures.items()}


def answering_none(code: str, name: str) -> str:
    """Return the program with the body of its function `name` replaced by `return None`."""
    tree = ast.parse(code)
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    functions[-1].body = ast.parse("return None").body
    return ast.unparse(tree)
