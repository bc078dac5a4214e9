"""Why answers fail, which model for which library, and what a score takes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run
from stored_runs import edit_results, store_run

from recode_eval.comparison.differences import compare
from recode_eval.comparison.headline import headline
from recode_eval.leaderboard.boards import boards
from recode_eval.leaderboard.failure_classes import CLASSES, PASSED, Failures, failure_class
from recode_eval.leaderboard.frontier import frontiers
from recode_eval.leaderboard.libraries import matrices
from recode_eval.leaderboard.loading import load_runs
from recode_eval.leaderboard.model_facts import FactBook, ModelFacts
from recode_eval.leaderboard.plots import power_ticks
from recode_eval.leaderboard.site import build


def record(
    *tests: tuple[str, str],
    code: str | None = "x",
    passed: bool = False,
    stale: float | None = None,
) -> Any:
    shown = [["t", status, detail] for status, detail in tests]
    conditions = {"with_update": {"passed": passed, "tests": shown}} if tests else {}
    measures = {} if stale is None else {"stale_api": stale}
    return SimpleNamespace(code=code, conditions=conditions, measures=measures)


@pytest.mark.parametrize(
    ("given_record", "expected"),
    [
        (record(("passed", ""), passed=True), "passes"),
        (record(("passed", ""), passed=True, stale=1.0), "passes"),
        (record(code=None), "no code"),
        (record(("failed", "AttributeError: no attribute 'append'"), stale=1.0), "old API"),
        (record(("passed", ""), ("failed", "AssertionError")), "wrong value"),
        (record(("failed", "AssertionError: 1 != 2")), "wrong value"),
        (record(("failed", "TypeError: takes 2 positional arguments")), "wrong type"),
        (record(("failed", "AttributeError: module 're' has no attribute 'x'")), "missing name"),
        (record(("failed", "ModuleNotFoundError: No module named 'x'")), "missing name"),
        (record(("failed", "SyntaxError: invalid syntax")), "syntax"),
        (record(("failed", "numpy.exceptions.AxisError: axis 3")), "other exception"),
        (record(("failed", "")), "other exception"),
        (record(("timeout", "")), "timeout"),
        (record(("memory", "MemoryError")), "memory"),
        (record(("crashed", "")), "crash"),
        (record(("crashed", "died"), stale=1.0), "old API"),
    ],
)
def test_a_sample_has_the_first_class_that_fits(given_record: Any, expected: str) -> None:
    assert failure_class(given_record) == expected
    assert expected in {PASSED, *CLASSES}


@given(st.text(max_size=80), st.sampled_from(["failed", "timeout", "odd\x1b"]))
def test_any_detail_has_a_class(detail: str, status: str) -> None:
    assert failure_class(record((status, detail))) in CLASSES


def test_the_first_failing_sample_is_kept_whatever_the_order() -> None:
    found = Failures()
    for sample, kind in ((3, "timeout"), (1, "wrong value"), (0, PASSED), (2, "no code")):
        found.add(7, sample, kind)
    assert found.first == {7: (1, "wrong value")}
    assert found.counts == Counter({"timeout": 1, "wrong value": 1, PASSED: 1, "no code": 1})


def test_the_classes_of_a_run_add_up_and_lead_to_an_answer(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "model", 0.5, n=2)
    make_run(tmp_path / "runs", "other", 0.2, n=2)
    build([tmp_path / "runs"], tmp_path / "site")
    runs, _ = load_runs([tmp_path / "runs"])
    for run in runs:
        assert sum(run.failures.counts.values()) == run.counts.scored
        passed = sum(problem.passed or 0 for problem in run.problems)
        assert run.failures.counts[PASSED] == passed
    page = (tmp_path / "site" / "failures.html").read_text()
    assert page.count('class="stack"') == 2
    links = re.findall(r'href="(models/[^"#]+)#show=problems-([0-9a-f]+)', page)
    assert links
    model = (tmp_path / "site" / links[0][0]).read_text()
    assert f'data-keep="problems-{links[0][1]}"' in model
    first = re.search(r'href="\.\./(problems/[^"#]+)#open=([0-9a-f]+)\.(\d+)">([^<]+)<', model)
    assert first is not None
    assert (tmp_path / "site" / first.group(1)).is_file()
    assert first.group(4) in CLASSES


def test_the_matrix_has_every_library_and_marks_the_best(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "good", 0.9, n=2)
    make_run(tmp_path / "runs", "bad", 0.1, n=2)
    runs, _ = load_runs([tmp_path / "runs"])
    [matrix] = matrices(boards(runs))
    assert matrix.tag == "package"
    assert sum(count for _, count in matrix.libraries) == len(runs[0].problems)
    for row in matrix.rows:
        groups = row.standing.run.results.breakdown["package"]
        for (name, _), cell in zip(matrix.libraries, row.cells, strict=True):
            assert cell.estimate == groups[name].metrics["pass@1"]
    for column in zip(*(row.cells for row in matrix.rows), strict=True):
        top = max(cell.estimate.value for cell in column if cell.estimate)
        assert [cell.best for cell in column] == [
            cell.estimate is not None and cell.estimate.value == top for cell in column
        ]


def test_only_a_significantly_better_model_for_no_more_puts_one_off_the_frontier(
    tmp_path: Path,
) -> None:
    """A cheaper model whose interval overlaps is no reason to leave another out."""
    rates = {"cheap": 4, "equal": 4, "dear": 9, "worse": 1}
    tokens = {"cheap": 100.0, "equal": 200.0, "dear": 400.0, "worse": 300.0}
    for name, rate in rates.items():
        shift = name == "equal"
        place = store_run(
            tmp_path / "runs", name, lambda p, s, r=rate, x=shift: (s + (p + x) % 5) % 10 < r
        )
        edit_results(
            place, lambda r, t=tokens[name]: r["usage"].update(
                completion_tokens=t * r["counts"]["generated"])
        )  # fmt: skip
    runs, broken = load_runs([tmp_path / "runs"])
    assert not broken
    [found] = frontiers(boards(runs), FactBook([]))
    assert found.price.key == "tokens"
    state = {row.standing.run.model_name: row.on_frontier for row in found.rows}
    assert state == {"cheap": True, "equal": True, "dear": True, "worse": False}
    stored = {run.model_name: run.stored for run in runs}

    def wins(one: str, other: str) -> bool:
        [found] = compare([(stored[other], stored[one])])
        return headline(found.differences[0]) == "better"

    for row in found.rows:
        name = row.standing.run.model_name
        rivals = [r.standing.run.model_name for r in found.rows if r.price <= row.price]
        assert row.on_frontier is not any(wins(rival, name) for rival in rivals if rival != name)


def test_sizes_are_a_price_where_they_differ(tmp_path: Path) -> None:
    for name, rate in (("a-7B", 0.5), ("b-1B", 0.4), ("c", 0.3)):
        make_run(tmp_path / "runs", name, rate, n=2)
    runs, _ = load_runs([tmp_path / "runs"])
    facts = FactBook([("c", ModelFacts(size_b=None))])
    kinds = {item.price.key: item for item in frontiers(boards(runs), facts)}
    assert kinds["size"].unknown == 1
    assert len(kinds["size"].rows) == 2


@given(st.floats(-4, 6), st.floats(0.01, 6))
def test_power_ticks_are_few_and_inside(low: float, width: float) -> None:
    found = power_ticks(low, low + width)
    assert len(found) <= 6
    assert all(low - 1e-6 <= tick <= low + width + 1e-6 for tick in found)
    assert found == sorted(found)
