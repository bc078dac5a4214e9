"""The task kind `humaneval-plus`: comparison, grouping of inputs, both forms of rows, scores."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from command_line import recode_eval
from humaneval_rows import (
    BODY,
    PROMPT,
    answering_none,
    landlocked,
    plus_row,
    run,
    verdicts,
    write,
)
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import DataError, ExitCode
from recode_eval.sandbox.base import Execution, Limits
from recode_eval.tasks.base import Grouped, Problem
from recode_eval.tasks.humaneval_plus import HumanEvalPlusTask, parse_row
from recode_eval.tasks.humaneval_plus_oracle import agrees, examine
from recode_eval.tasks.registry import create_task
from recode_eval.tasks.rows import RowError

WHOLE = PROMPT + BODY
SCHEMA = Path(__file__).parents[2] / "recode_eval" / "schemas" / "results.schema.json"
HUB_TEST = """
import numpy as np

def assertion(out, exp, atol):
    assert np.allclose(out, exp, rtol=1e-07, atol=atol) if atol else out == exp

def check(candidate):
    inputs = [[[3], 1], [[1, 2], 2]]
    results = [[2], [-1, 0]]
    for i, (inp, exp) in enumerate(zip(inputs, results)):
        assertion(candidate(*inp), exp, 0)
"""


def problem(tmp_path: Path, **changes: Any) -> Problem:
    file = write(tmp_path / "rows.jsonl", plus_row(**changes))
    return create_task("humaneval-plus").load(str(file), skip_bad_rows=False).problems[0]


def grade(tmp_path: Path, code: str, **changes: Any) -> Execution:
    task = create_task("humaneval-plus")
    return run(task.programs(problem(tmp_path, **changes), code)["base_and_plus"])


def failures(tmp_path: Path, code: str, **changes: Any) -> dict[str, str]:
    execution = grade(tmp_path, code, **changes)
    assert execution.setup_error is None
    return {v.name: v.detail for v in execution.verdicts if v.status != "passed"}


@pytest.mark.parametrize("code", [WHOLE, BODY, "def unshift(v, b):\n    return [x - b for x in v]"])
def test_right_answers_pass_base_and_plus(tmp_path: Path, code: str) -> None:
    execution = grade(tmp_path, code)
    assert execution.passed
    assert [v.name for v in execution.verdicts] == [
        "base 0-0", "base 1-1", "plus 0-0", "plus 1-1",
    ]  # fmt: skip


def test_inputs_against_the_contract_are_not_asked(tmp_path: Path) -> None:
    """The second plus input has a negative shift, which the contract excludes."""
    code = "def unshift(values, by):\n    return [v - by for v in values] if by >= 0 else 1 / 0"
    assert failures(tmp_path, code) == {}
    assert list(failures(tmp_path, code, contract="")) == ["plus 1-1"]


def test_a_wrong_answer_fails_where_it_is_wrong(tmp_path: Path) -> None:
    code = "def unshift(values, by):\n    return [3 - by] if values == [3] else []"
    assert failures(tmp_path, code) == {
        "plus 0-0": "AssertionError: input 0: [] instead of [-1, 0]"
    }
    assert len(failures(tmp_path, answering_none(WHOLE, "unshift"))) == 3


@pytest.mark.parametrize(
    "code",
    [
        # What is asked of the reference must not be what the answer made of its input.
        "def unshift(values, by):\n    values.clear()\n    return []",
        "def unshift(values, by):\n    values[:] = [0]\n    return [-by for _ in values]",
        # Names of the answer's module are not those of the reference or the grader.
        (
            "def shift(values, by): return []\n"
            "def agrees(*a): return True\n"
            "def examine(*a): return 1\n"
            "def repr(x): return ''\n"
            "def unshift(values, by): return []"
        ),
        "exec = compile = eval = lambda *a: None\ndef unshift(values, by): return []",
        (
            "_grade = {}\n_builtins = None\nlen = range = lambda *a: 0\n"
            "def unshift(values, by): return []"
        ),
        "def unshift(values, by):\n    return iter([v - by for v in values])",
        "def unshift(values, by):\n    return tuple(v - by for v in values)",
    ],
)
def test_answers_that_would_change_the_comparison_fail(tmp_path: Path, code: str) -> None:
    """An answer that empties its input, or has the names of the grader's functions, fails."""
    assert "plus 0-0" in failures(tmp_path, code)


def test_the_answer_may_change_its_input(tmp_path: Path) -> None:
    code = (
        "def unshift(values, by):\n    out = []\n    while values:\n"
        "        out.append(values.pop(0) - by)\n    return out"
    )
    assert failures(tmp_path, code) == {}


@pytest.mark.parametrize(
    ("expected", "got", "atol", "good"),
    [
        (1, 1, 0, True),
        (1, 2, 0, False),
        (1, True, 0, True),
        (1, 1.0, 0, True),
        (1, 1.0000001, 0, False),
        (1.0, 1.0000001, 0, True),
        (1.0, 1.00001, 0, False),
        (1.0, 1.00001, 1e-4, True),
        (1, 2, 5, True),
        (1.0, "1.0", 0, False),
        (1.0, None, 0, False),
        (1e9, 1e9 + 50, 0, True),
        (1e9, 1e9 + 200, 0, False),
        ([1, 2], (1, 2), 0, False),
        ((1, 2), [1, 2], 0, False),
        ([1.0, 2.0], [1.0, 2.0000001], 0, True),
        ([1.0, 2.0], (1.0, 2.0000001), 0, False),
        ([1.0, 2], [1.0, 2.0000001], 0, False),
        ([1.0, 2.0], [1.0], 0, False),
        ([[1.0], [2.0]], [[1.0], [2.0000001]], 1e-6, True),
        ([[1.0], [2.0]], [[1.0], 2.0], 1e-6, False),
        (["a"], ["b"], 1e-6, False),
        ("ab", "ab", 1e-6, True),
        ("ab", "ac", 1e-6, False),
        ([], [], 0, True),
        ([], [1.0], 0, False),
        (None, None, 0, True),
        (None, 0, 0, False),
        ({"a": 1}, {"a": 1}, 0, True),
        (math.inf, math.inf, 0, True),
        (math.inf, 1e308, 0, False),
        ([math.inf, 1.0], [math.inf, 1.0000001], 0, True),
    ],
)
def test_the_rules_of_comparison(expected: object, got: object, atol: float, good: bool) -> None:
    assert agrees(expected, got, atol) is good


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(VALUES, VALUES, st.sampled_from([0, 1e-6, 0.5]))
def test_comparison_never_raises_on_plain_values(a: object, b: object, atol: float) -> None:
    assert agrees(a, a, atol)
    assert agrees(a, b, atol) in {True, False}


@pytest.mark.slow
@given(st.lists(st.lists(VALUES, min_size=1, max_size=2), min_size=1, max_size=30))
def test_every_input_is_asked_once_in_order(inputs: list[list[object]]) -> None:
    """Whatever JSON the inputs are, they arrive as they were, in a bounded number of tests."""
    row = parse_row(plus_row(base_input=inputs, plus_input=inputs, contract=""))
    problem = Problem("x", "x", {}, {}, {}, row)
    spec = create_task("humaneval-plus").spec
    (program,) = HumanEvalPlusTask(spec).programs(problem, "").values()
    names = [test.name for test in program.tests]
    assert len(names) <= 12
    for part in ("base", "plus"):
        bounds = [name.split()[1].split("-") for name in names if name.startswith(part)]
        asked = list(itertools.chain(*(range(int(a), int(b) + 1) for a, b in bounds)))
        assert asked == list(range(len(inputs)))
    seen: list[object] = []
    source = f"[{', '.join(row.base_input)}]"
    count = examine(lambda *a: seen.append([*a]), "f", "def f(*a): return None", "", source, 0, 0)
    assert count == len(inputs)
    assert seen == inputs


def test_large_problems_keep_a_bounded_number_of_tests(tmp_path: Path) -> None:
    one = problem(tmp_path, plus_input=[[[n], 1] for n in range(1000)])
    (program,) = create_task("humaneval-plus").programs(one, WHOLE).values()
    assert len(program.tests) == 2 + 8
    assert run(program).passed


def test_one_slow_input_hides_nothing_of_the_others(tmp_path: Path) -> None:
    one = problem(tmp_path, plus_input=[[[n], 1] for n in range(80)])
    (program,) = (
        create_task("humaneval-plus")
        .programs(one, f"    while values == [15]: pass\n{BODY}")
        .values()
    )
    with landlocked() as sandbox:
        execution = sandbox.submit(program, Limits(cpu_s=1)).result()
    assert {v.name: str(v.status) for v in execution.verdicts if v.status != "passed"} == {
        "plus 10-19": "timeout"
    }
    assert len(execution.verdicts) == 10


ZERO_PROMPT = '''def find_zero(xs: list):
    """ Find a zero of the polynomial with these coefficients. """
'''


@pytest.mark.parametrize(
    ("zero", "good"), [("2.0", True), ("3.00001", True), ("2.5", False), ("'2'", False)]
)
def test_any_zero_of_a_polynomial_will_do(tmp_path: Path, zero: str, good: bool) -> None:
    """x^2 - 5x + 6 has the zeros 2 and 3; the reference finds 3."""
    row = {
        "prompt": ZERO_PROMPT, "entry_point": "find_zero", "canonical_solution": "    return 3.0\n",
        "contract": "", "base_input": [[[6, -5, 1]]], "plus_input": {}, "atol": 0.0001,
    }  # fmt: skip
    assert grade(tmp_path, f"    return {zero}", **row).passed is good


def test_rows_of_the_hub_hold_one_test(tmp_path: Path) -> None:
    row = {"test": HUB_TEST, "base_input": None, "plus_input": None, "contract": None, "atol": None}
    one = problem(tmp_path, **row)
    task = create_task("humaneval-plus")
    assert isinstance(task, Grouped)
    assert task.groups(one) == {}
    (program,) = task.programs(one, WHOLE).values()
    assert "numpy" in program.preload
    assert run(program).passed
    assert not run(task.programs(one, "def unshift(v, b): return [2]")["base_and_plus"]).passed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": None}, "prompt is missing"),
        ({"entry_point": "other"}, "must end in the function other"),
        ({"canonical_solution": "pass"}, "must continue the prompt"),
        ({"contract": 3}, "contract is of type int"),
        ({"contract": "    assert ("}, "contract must be statements"),
        ({"base_input": []}, "base_input holds no input"),
        ({"base_input": {}}, "base_input holds no input"),
        ({"base_input": None}, "base_input holds no input"),
        ({"base_input": [3]}, "base_input must be a list of argument lists"),
        ({"plus_input": "[[1]]"}, "plus_input must be a list of argument lists"),
        ({"plus_input": [[json.loads("[" * 60 + "]" * 60)]]}, "more than 50 levels"),
        ({"plus_input": [[json.loads('{"a":' * 60 + "1" + "}" * 60)]]}, "more than 50 levels"),
        ({"atol": "0"}, "atol must be a number"),
        ({"atol": True}, "atol must be a number"),
        ({"atol": -1}, "atol must be a tolerance"),
        ({"atol": math.nan}, "atol must be a tolerance"),
        ({"base_input": None, "plus_input": None, "test": "x = 1"}, "must define check"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        parse_row(plus_row(**changes))
    file = str(write(tmp_path / "rows.jsonl", plus_row(**changes)))
    with pytest.raises(DataError, match=r"row 1 of rows\.jsonl"):
        create_task("humaneval-plus").load(file, skip_bad_rows=False)


def test_the_deepest_inputs_run(tmp_path: Path) -> None:
    """The parser of the sandbox must take what the reader of the rows lets through."""
    deep = json.loads("[" * 48 + "]" * 48)
    assert grade(tmp_path, "    return values", canonical_solution="    return values\n",
                 plus_input=[[deep, 1]], contract="").passed  # fmt: skip


def test_awkward_values_arrive_in_the_sandbox(tmp_path: Path) -> None:
    values = [math.inf, -math.inf, True, None, "\ud800'\"\\\n\0é", 10**30, {"a": [1.5]}, ""]
    assert grade(tmp_path, "    return values", canonical_solution="    return values\n",
                 plus_input=[[values, 1]], contract="").passed  # fmt: skip
    assert not grade(tmp_path, "    return values[:-1]", canonical_solution="    return values\n",
                     plus_input=[[values, 1]], contract="").passed  # fmt: skip


@pytest.mark.slow
def test_base_and_plus_are_scored_apart(tmp_path: Path) -> None:
    """An answer that is right on HumanEval's own inputs alone counts for base only."""
    landlocked().close()
    rows = [plus_row(task_id=f"Mine/{n}") for n in range(3)]
    answers = [WHOLE, "def unshift(v, b):\n    return v and [2]", "def unshift(v, b): return 0"]
    saved = [{"task_id": f"Mine/{n}", "solution": code} for n, code in enumerate(answers)]
    result = recode_eval(
        *("--model", f"replay:{write(tmp_path / 'saved.jsonl', *saved)}"),
        *("--tasks", "humaneval-plus", "--sandbox", "landlock", "--out", str(tmp_path / "runs")),
        *("--data", f"humaneval-plus={write(tmp_path / 'rows.jsonl', *rows)}", "--json"),
    )
    assert result.returncode == ExitCode.OK, result.stderr
    printed = json.loads(result.stdout)
    assert printed["metrics"]["pass@1"]["value"] == pytest.approx(1 / 3)
    assert printed["metrics"]["base_pass@1"]["value"] == pytest.approx(2 / 3)
    assert printed["metrics"]["base_pass@5"] is None
    assert [p["passed"] for p in printed["problems"]] == [1, 0, 0]
    assert [p["passed_groups"] for p in printed["problems"]] == [
        {"base": 1}, {"base": 1}, {"base": 0},
    ]  # fmt: skip
    assert "upass@1" not in printed["metrics"]
    folder = printed.pop("folder")
    jsonschema.validate(printed, json.loads(SCHEMA.read_text()))
    table = recode_eval("score", folder, "--sandbox", "landlock")
    assert "pass@1 (base)" in table.stdout


@pytest.mark.slow
def test_all_canonical_solutions_pass_base_and_plus(shared_data: Path) -> None:
    """The real inputs: 164 of 164 pass both; an empty function never passes."""
    file = shared_data / "humanevalplus" / "prerelease.joined.jsonl"
    task = create_task("humaneval-plus")
    data = task.load(str(file), skip_bad_rows=False)
    with landlocked() as sandbox:
        passing = verdicts(task, sandbox, [(p, p.solutions["reference"]) for p in data.problems])
        empty = [
            (p, answering_none(p.solutions["reference"], p.entry_point or ""))
            for p in data.problems
        ]
        failing = verdicts(task, sandbox, empty)
    assert len(passing) == 164
    assert [key for key, execution in passing.items() if not execution.passed] == []
    assert [key for key, execution in failing.items() if execution.passed] == []
