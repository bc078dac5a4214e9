"""Task kind `humaneval-plus`: HumanEval's functions, graded on many more inputs.

Rows are EvalPlus's (Liu et al. 2023, arXiv 2305.01210), in one of two forms: its own files hold
inputs (`base_input`: HumanEval's, `plus_input`: the added ones) and a `contract` that inputs must
keep to; the expected outputs are those of `canonical_solution`, computed in the sandbox. The rows
on the hub hold a `test` with inputs and outputs, which cannot be told apart into base and plus.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from recode_eval.languages.python.syntax import parse
from recode_eval.sandbox.base import Program, Test
from recode_eval.tasks.base import Problem, TaskData, TaskSpec, task_data
from recode_eval.tasks.humaneval import (
    FunctionRow,
    check_test,
    completed,
    continuation,
    function_problem,
    in_own_namespace,
    parse_function,
    parse_test,
)
from recode_eval.tasks.rows import RowError, open_rows, parse_rows, text

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE_AND_PLUS = "base_and_plus"
BASE = "base"

_BASE_TESTS, _PLUS_TESTS = 4, 8
"""Tests that the inputs of a problem are dealt out to. Each test has a time limit, which follows
from what the reference takes for the same inputs: with one test for everything, one slow input
would hide how the others end; with one for each, a slow answer could take hours."""
_DEEPEST = 50
"""Levels of lists in an input; the parser of the sandbox's Python gives up at about 90."""


@dataclass(frozen=True, slots=True)
class HumanEvalPlusRow:
    """One row, checked; it has inputs, or a `test` that holds them."""

    function: FunctionRow
    contract: str
    base_input: tuple[str, ...]
    """Argument lists, each as the source of a Python list."""
    plus_input: tuple[str, ...]
    atol: float
    test: str | None


_ENDLESS = re.compile(r"\b(?:inf|nan)\b")


class HumanEvalPlusTask:
    """HumanEval+, from the hub or from a file in EvalPlus's format."""

    conditions = (BASE_AND_PLUS,)

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def load(self, source: str | None, *, skip_bad_rows: bool = False) -> TaskData:
        """Read and check the rows; see `Task.load`."""
        name, rows = open_rows(self.spec, source)
        good, bad = parse_rows(rows, parse_row, lambda row: row.function.id)
        problems = tuple(function_problem(row.function, row) for row in good.values())
        contents = ((key, asdict(row)) for key, row in good.items())
        return task_data(name, problems, contents, bad, skip_bad_rows=skip_bad_rows)

    def programs(self, problem: Problem, code: str) -> Mapping[str, Program]:
        """Return the program that runs the base tests, then the plus tests."""
        row: HumanEvalPlusRow = problem.payload
        candidate = completed(row.function, code)
        tests = _tests(row)
        return {BASE_AND_PLUS: Program(row.function.preamble, candidate, tests, self.spec.preload)}

    def continuation(self, problem: Problem, text: str) -> str | None:
        """Return the program of an answer that is a bare body; see `tasks.base.Continuing`."""
        return continuation(problem.payload.function, text)

    def shown(self, problem: Problem, test: Test) -> str | None:
        """Return the calls of a test; its code holds the reference that it compares with."""
        row: HumanEvalPlusRow = problem.payload
        inputs = _base_inputs(row).get(test.name)
        if inputs is None:
            return None
        name = row.function.entry_point
        calls = "\n".join(f"print({name}(*{arguments}))" for arguments in inputs)
        # Rows spell floats without end so, as their tests do.
        names = "from math import inf, nan\n" if _ENDLESS.search(calls) else ""
        return f"{names}# each call must return what the task says\n{calls}\n"

    def groups(self, problem: Problem) -> Mapping[str, str]:
        """Return which tests are HumanEval's own."""
        return {BASE: f"{BASE} "} if problem.payload.base_input else {}


def parse_row(raw: Mapping[str, Any]) -> HumanEvalPlusRow:
    """Check a raw row.

    Raises:
        RowError: a field is missing or wrong, or the code in it does not fit together.
    """
    function = parse_function(raw)
    if raw.get("base_input") is None and raw.get("plus_input") is None:
        return HumanEvalPlusRow(function, "", (), (), 0.0, parse_test(raw))
    contract = text(raw, "contract", required=False)
    if contract.strip():
        contract = f"{function.prompt}{contract}\n    return None\n"
        if parse(contract) is None:
            raise RowError("contract must be statements that continue the prompt")
    row = HumanEvalPlusRow(
        function,
        contract if contract.strip() else "",
        _inputs(raw, "base_input"),
        _inputs(raw, "plus_input"),
        _tolerance(raw),
        None,
    )
    if not row.base_input:
        raise RowError("the field base_input holds no input")
    return row


def _inputs(raw: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = raw.get(key)
    # EvalPlus's files spell "no inputs" as an empty object.
    if value is None or value == {}:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, list) for item in value):
        raise RowError(f"the field {key} must be a list of argument lists")
    if any(_depth(item) > _DEEPEST for item in value):
        raise RowError(f"the field {key} holds lists in more than {_DEEPEST} levels")
    try:
        return tuple(ascii(item) for item in value)
    except ValueError as error:
        raise RowError(f"the field {key} cannot be written as Python ({error})") from None


def _depth(value: object) -> int:
    """Return the levels of lists and objects, counting no further than needed."""
    level: list[object] = [value]
    depth = 0
    while level and depth <= _DEEPEST:
        depth += 1
        inner: list[object] = []
        for item in level:
            if isinstance(item, list):
                inner += item
            elif isinstance(item, dict):
                inner += item.values()
        level = inner
    return depth


def _tolerance(raw: Mapping[str, Any]) -> float:
    value = raw.get("atol", 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError(f"the field atol must be a number, not {value!r}")
    if not math.isfinite(value) or value < 0:
        raise RowError(f"the field atol must be a tolerance of at least 0, not {value!r}")
    return float(value)


def _tests(row: HumanEvalPlusRow) -> tuple[Test, ...]:
    if row.test is not None:
        return (check_test(row.function, row.test),)
    return (
        *_comparisons(row, BASE, row.base_input, _BASE_TESTS),
        *_comparisons(row, "plus", row.plus_input, _PLUS_TESTS),
    )


def _comparisons(
    row: HumanEvalPlusRow, name: str, inputs: tuple[str, ...], most: int
) -> list[Test]:
    return [
        Test(title, _comparison(row, inputs[first:last], first))
        for title, first, last in _dealt(name, inputs, most)
    ]


def _dealt(name: str, inputs: tuple[str, ...], most: int) -> list[tuple[str, int, int]]:
    """Deal the inputs out, in order, to at most `most` tests: name, first and end of each."""
    count = min(most, len(inputs))
    bounds = [len(inputs) * number // count for number in range(count + 1)] if count else [0]
    return [
        (f"{name} {first}-{last - 1}", first, last) for first, last in itertools.pairwise(bounds)
    ]


def _base_inputs(row: HumanEvalPlusRow) -> dict[str, tuple[str, ...]]:
    """Return the inputs of each base test by its name."""
    if row.test is not None:
        return {}
    return {
        title: row.base_input[first:last]
        for title, first, last in _dealt(BASE, row.base_input, _BASE_TESTS)
    }


def _comparison(row: HumanEvalPlusRow, inputs: tuple[str, ...], first: int) -> str:
    name = row.function.entry_point
    arguments = ", ".join(
        [
            name,
            ascii(name),
            ascii(row.function.reference),
            ascii(row.contract),
            ascii(f"[{', '.join(inputs)}]"),
            str(first),
            repr(row.atol),
        ]
    )
    # The number of inputs must come back: doing nothing must not pass.
    call = f'assert _grader["examine"]({arguments}) == {len(inputs)}\n'
    return in_own_namespace("_grader", _grader_source()) + call


@cache
def _grader_source() -> str:
    return (resources.files("recode_eval.tasks") / "humaneval_plus_oracle.py").read_text("utf-8")
