"""The answers of the study of metrics: rewrites keep the meaning, mutants are programs, by seed."""

from __future__ import annotations

import ast
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.languages.python.api_usage import Pattern, uses
from recode_eval.languages.python.mutants import mutants
from recode_eval.languages.python.syntax import parses
from recode_eval.sandbox import Limits, open_router
from recode_eval.scoring.similarity import normalize
from recode_eval.tasks.registry import create_task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from recode_eval.tasks.migration import MigrationRow

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield


@pytest.fixture(scope="module")
def making(_importable: None) -> ModuleType:
    from validity import answers

    return answers


@pytest.fixture(scope="module")
def rewrites(_importable: None) -> ModuleType:
    from validity import rewrites

    return rewrites


@pytest.fixture(scope="module")
def mutations(_importable: None) -> ModuleType:
    from validity import mutations

    return mutations


@pytest.fixture(scope="module")
def rows() -> list[MigrationRow]:
    """Some bundled pairs of every library."""
    every = [problem.payload for problem in create_task("migration").load(None).problems]
    return every[::15]


def _rng(seed: int = 0) -> random.Random:
    return random.Random(seed)


def test_answers_are_decided_by_their_seed(making: ModuleType, rows: list[MigrationRow]) -> None:
    for row in rows:
        assert making.answers(row, seed=1) == making.answers(row, seed=1)
    assert making.answers(rows[0], seed=1) != making.answers(rows[0], seed=2)


def test_answers_differ_and_are_programs(making: ModuleType, rows: list[MigrationRow]) -> None:
    seen = set()
    for row in rows:
        found = making.answers(row)
        assert len({answer.code for answer in found}) == len(found) >= 9
        assert found[0].code == row.new_code.strip()
        for answer in found:
            assert parses(answer.code) == (answer.kind != "cut off"), (row.id, answer.kind)
            seen.add(answer.kind)
    assert seen == set(making.KINDS)


def test_numbers_of_answers_can_be_chosen(making: ModuleType, rows: list[MigrationRow]) -> None:
    few = making.answers(rows[0], rewrites=0, mutants=0)
    many = making.answers(rows[0], rewrites=2, mutants=4)
    assert not {answer.kind for answer in few} & {"mutated", *making.REWRITES}
    assert sum(answer.kind == "mutated" for answer in many) == 4
    assert sum(answer.kind in making.REWRITES for answer in many) == 2


def test_layout_and_remarks_leave_the_tree(rewrites: ModuleType, rows: list[MigrationRow]) -> None:
    for row in rows:
        before = ast.dump(ast.parse(row.new_code))
        for change in (rewrites.reformatted, rewrites.commented):
            code = change(row.new_code, _rng(), frozenset())
            assert code is None or ast.dump(ast.parse(code)) == before
        commented = rewrites.commented(row.new_code, _rng(), frozenset())
        if commented is not None:
            assert commented != row.new_code
            assert normalize(commented) == normalize(row.new_code)


def test_other_names_leave_the_shape(rewrites: ModuleType, rows: list[MigrationRow]) -> None:
    renamed_rows = 0
    for row in rows:
        code = rewrites.renamed(row.new_code, _rng(), frozenset())
        if code is None:
            continue
        renamed_rows += 1
        kinds = [type(node) for node in ast.walk(ast.parse(row.new_code))]
        assert [type(node) for node in ast.walk(ast.parse(code))] == kinds
    assert renamed_rows > len(rows) / 2


def test_another_order_keeps_all_statements(rewrites: ModuleType, rows: list[MigrationRow]) -> None:
    for row in rows:
        code = rewrites.reordered(row.new_code, _rng(), frozenset())
        if code is not None:
            assert code != row.new_code
            assert sorted(code.split()) == sorted(row.new_code.split())


TRICKY = '''
import math
import json
from functools import partial

SCALE = 2


def outer(start, step=SCALE, *rest, flag=False):
    """Add up."""
    total = start
    scale = {"ä": step}

    def inner(extra, total=total):
        return extra + total + scale["ä"]

    squares = [cell * cell for cell in rest if cell]
    shown = f"{total:>{step + 3}} {scale!r} {[n for n in rest]}"
    return inner(1), squares, shown, (lambda cell: cell + step)(1), flag


def keyworded(size, unit="cm"):
    text = "{size} {unit}".format(size=size, unit=unit)
    return text, partial(outer, flag=True)(size)


class Counter:
    limit = 3

    def __init__(self, seed):
        self.seed = seed

    def above(self, limit):
        over = [seed for seed in range(limit) if seed > self.limit]
        return over, self.seed

    def raised(self, error):
        try:
            raise ValueError(error)
        except ValueError as problem:
            return str(problem)


def dynamic(hidden):
    seen = 5
    return eval("seen + hidden")


def late(default=math.floor(2.5)):
    global SCALE
    return default, SCALE, json.dumps({"k": default})


def result():
    return (
        outer(1, 2, 3, 0, 4), outer(start=1), keyworded(size=3), keyworded(3, "m"),
        Counter(7).above(6), Counter(7).raised("x"), dynamic(1), late(),
    )
'''
"""Where careless renaming breaks something: keywords, defaults, strings, closures, f-strings."""


def _run(code: str) -> Any:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(code, space)
    return space["result"]()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "name", ["renamed", "reformatted", "commented", "documented", "reordered", "helper"]
)
def test_each_rewrite_keeps_the_meaning(rewrites: ModuleType, name: str, seed: int) -> None:
    code = rewrites.REWRITES[name](TRICKY, _rng(seed), frozenset({"result"}))
    assert code is not None
    assert code != TRICKY
    assert _run(code) == _run(TRICKY)


@pytest.mark.parametrize("seed", range(8))
def test_all_rewrites_at_once_keep_the_meaning(rewrites: ModuleType, seed: int) -> None:
    assert _run(rewrites.rewritten(TRICKY, _rng(seed), frozenset())) == _run(TRICKY)


def test_what_others_may_name_keeps_its_name(rewrites: ModuleType) -> None:
    code = rewrites.renamed(TRICKY, _rng(), frozenset({"rest"}))
    names = {n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name)}
    names |= {n.arg for n in ast.walk(ast.parse(code)) if isinstance(n, ast.arg)}
    # Tests name `rest`; keywords `size`, `unit`, `flag`, `start`; a string `seen`, `hidden`.
    assert names >= {"rest", "size", "unit", "flag", "start", "seen", "hidden", "SCALE", "self"}
    assert not names & {"total", "cell", "squares", "shown", "over", "extra"}


def test_functions_that_need_each_other_when_defined_stay(rewrites: ModuleType) -> None:
    code = "def base():\n    return 1\n\n\ndef other(value=base()):\n    return value\n"
    assert rewrites.reordered(code, _rng(), frozenset()) is None
    assert rewrites.reordered("import b\nimport a\n", _rng(), frozenset()) == "import a\nimport b\n"


@given(text=st.text(max_size=20), number=st.integers(-9, 9), seed=st.integers(0, 99))
def test_any_text_in_front_is_no_obstacle(
    rewrites: ModuleType, text: str, number: int, seed: int
) -> None:
    """Places count bytes of UTF-8, not characters."""
    code = (
        f"def result(first={number}):\n"
        f"    told = {text!r}; second = first + 2  # {text!a}\n"
        f"    return f'{{told}} {{second}}', [told for told in {text!r}], second * first\n"
    )
    assert _run(rewrites.rewritten(code, _rng(seed), frozenset())) == _run(code)
    assert _run(rewrites.renamed(code, _rng(seed), frozenset())) == _run(code)
    found = mutants(code, 5, _rng(seed))
    assert len(found) == 5
    assert all(parses(mutant) for mutant in found)


def test_mutants_are_different_programs(rows: list[MigrationRow]) -> None:
    for row in rows:
        found = mutants(row.new_code, 6, _rng(3))
        trees = {ast.dump(ast.parse(code)) for code in found}
        assert len(trees - {ast.dump(ast.parse(row.new_code))}) == len(found)
        assert 4 <= len(found) <= 6  # a program of three lines has no more
        assert found == mutants(row.new_code, 6, _rng(3))


def test_every_sort_of_slip_occurs() -> None:
    code = "def f(a, b):\n    if a < 1:\n        b += 'two'\n    return max(a, b) and True\n"
    found = set(mutants(code, 100, _rng()))
    expected = {
        ("a < 1", "a <= 1"), ("a < 1", "a < 2"), ("a < 1", "a < 0"), ("a < 1", "not (a < 1)"),
        ("'two'", "'tw'"), ("b += 'two'", "pass"), ("max(a, b)", "max(b, a)"),
        ("max(a, b)", "max(b)"), ("max(a, b)", "max(a)"), ("and", "or"), ("True", "False"),
        ("return max(a, b) and True", "pass"),
    }  # fmt: skip
    without_space = {mutant.replace("( b)", "(b)") for mutant in found}
    assert {code.replace(old, new) for old, new in expected} == without_space


def test_a_name_of_the_old_api_is_put_back(mutations: ModuleType) -> None:
    old = "from numpy import in1d as f\nimport pandas as pd\nx = pd.read(1, squeeze=True)\n"
    new = "from numpy import isin\nimport pandas as pd\nx = pd.read(1)\ny = isin(x, x)\n"
    found = mutations.with_old_api(
        ["numpy.in1d", "pandas.read(squeeze=...)"], ["numpy.isin"], old, new
    )
    assert found == [
        new.replace("isin", "in1d"),
        new.replace("read(1)", "read(1, squeeze=True)"),
    ]
    renamed = mutations.with_old_api(
        ["pandas.cut(closed=...)"], ["pandas.cut(inclusive=...)"],
        "import pandas\npandas.cut(1, closed=2)\n", "import pandas\npandas.cut(1, inclusive=3)\n",
    )  # fmt: skip
    assert renamed[0] == "import pandas\npandas.cut(1, closed=3)\n"
    assert mutations.with_old_api([], ["numpy.isin"], old, new) == []


def test_old_use_is_there_after_it_was_put_back(
    mutations: ModuleType, rows: list[MigrationRow]
) -> None:
    found = 0
    for row in rows:
        old = [Pattern.parse(text) for text in row.old_use]
        codes = mutations.with_old_api(row.old_use, row.new_use, row.old_code, row.new_code)
        assert all(uses(old, code) for code in codes)
        found += len(codes)
    assert found


def test_one_passage_stays_as_it_was(mutations: ModuleType) -> None:
    old, new = "a = 1\nb = 2\nc = 3\n", "a = 10\nb = 2\nc = 30\n"
    assert mutations.migrated_in_part(old, new) == [
        "a = 1\nb = 2\nc = 30\n",
        "a = 10\nb = 2\nc = 3\n",
    ]
    assert mutations.migrated_in_part("a = 1\nb = 2\n", "a = 2\nb = 2\n") == []


def test_what_is_cut_off_is_no_program(mutations: ModuleType, rows: list[MigrationRow]) -> None:
    for row in rows:
        code = mutations.cut_off(row.new_code, _rng(1))
        assert code is not None
        assert not parses(code)
        assert row.new_code.startswith(code)
        assert len(code) >= 0.59 * len(row.new_code)
    assert mutations.cut_off("a = 1", _rng()) in {"a ="}


@pytest.mark.slow
def test_rewrites_of_bundled_pairs_pass_and_stale_code_fails(making: ModuleType) -> None:
    """By execution: all single rewrites and all at once, of the pairs of two small libraries."""
    task: Any = create_task("migration")
    wanted = {*making.REWRITTEN, "reference", *making.STALE}
    running = []
    with open_router("auto", workers=2) as sandbox:
        for problem in task.load(None).problems:
            if problem.payload.dependency in {"jinja2", "networkx"}:
                for answer in making.answers(problem.payload, rewrites=6):
                    if answer.kind in wanted:
                        program = task.programs(problem, answer.code)["new_release"]
                        future = sandbox.submit(program, Limits(cpu_s=10))
                        running.append((problem.id, answer.kind, future))
        passed = {(name, kind): future.result().passed for name, kind, future in running}
    assert len(passed) > 80
    wrong = [key for key, value in passed.items() if value == (key[1] in making.STALE)]
    assert wrong == []
