"""`--since`, `--until` and `--cutoff`: problems by the days between which their change was made."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

import pytest
from migration_rows import migration_row, write_pairs

from recode_eval import RunConfig, evaluate
from recode_eval.commands import options
from recode_eval.errors import DataError, UsageError
from recode_eval.run.settings import Selection
from recode_eval.tasks.days import day, month, rust_release
from recode_eval.tasks.registry import create_task
from recode_eval.tasks.rows import RowError

ROWS = (
    migration_row(id="old", changed_after="2020-01-01", changed_on="2021-01-01"),
    migration_row(id="long", changed_after="2020-06-01", changed_on="2025-06-01"),
    migration_row(id="new", changed_after="2025-06-02", changed_on="2026-01-01"),
    migration_row(id="undated"),
)


def chosen(tmp_path: Path, since: str | None = None, until: str | None = None) -> list[str]:
    data = create_task("migration").load(str(write_pairs(tmp_path / "rows.jsonl", *ROWS)))
    return [problem.id for problem in Selection(1, None, (), since, until).problems(data)]


def test_only_changes_that_surely_lie_in_the_span_are_chosen(tmp_path: Path) -> None:
    """A change made at some time between two releases is not called new for the later one."""
    assert chosen(tmp_path) == ["old", "long", "new", "undated"]
    assert chosen(tmp_path, since="2020-06-01") == ["long", "new"]
    assert chosen(tmp_path, until="2025-06-01") == ["old", "long"]
    assert chosen(tmp_path, since="2020-01-02", until="2025-12-31") == ["long"]


def test_a_span_without_problems_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="latest was made after 2025-06-02"):
        chosen(tmp_path, since="2026-06-01")


def test_a_task_without_days_says_so() -> None:
    data = create_task("arena-mini").load(None, skip_bad_rows=False)
    with pytest.raises(UsageError, match="no problem of"):
        Selection(1, since="2025-01-01").problems(data)


def test_results_are_given_before_and_after_the_cutoff(tmp_path: Path) -> None:
    rows = write_pairs(tmp_path / "rows.jsonl", *ROWS)
    config = RunConfig(
        model="baseline:reference",
        tasks=["migration"],
        data={"migration": rows},
        n=1,
        k=[1],
        cutoff="2025-06-01",
        out=tmp_path / "runs",
    )
    content = evaluate(config)["migration"].content
    groups = content["breakdown"]["knowledge_cutoff"]
    assert {name: group["problems"] for name, group in groups.items()} == {
        "before": 2,
        "after": 1,
        "unknown": 1,
    }
    tags = {problem["id"]: problem["tags"]["knowledge_cutoff"] for problem in content["problems"]}
    assert tags == {"old": "before", "long": "before", "new": "after", "undated": "unknown"}
    assert content["selection"]["since"] is None


@pytest.mark.parametrize("text", ["2025", "20250101", "2025-02-30", "soon", "2025-1-1", ""])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be a day"):
        options.day(text)
    with pytest.raises(UsageError, match="since must be a day"):
        RunConfig(model="m", tasks=["migration"], since=text)


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(UsageError, match="later than until"):
        RunConfig(model="m", tasks=["migration"], since="2026-01-02", until="2026-01-01")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"changed_on": "soon"}, "changed_on must be a day"),
        ({"changed_on": 20250101}, "changed_on must be a day"),
        ({"changed_after": "2025-01-02", "changed_on": "2025-01-01"}, "later than changed_on"),
        ({"changes": ["Two words"]}, "changes must name entries"),
    ],
)
def test_wrong_days_in_a_row_are_named(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    rows = write_pairs(tmp_path / "rows.jsonl", migration_row(**changes))
    with pytest.raises(DataError, match=reason):
        create_task("migration").load(str(rows))


def test_months_and_releases_of_rust() -> None:
    assert month("2023-12") == (date(2023, 12, 1), date(2023, 12, 31))
    assert [month(value) for value in ("", "2023", "2023-13", "0000-01", 202301, None)] == 6 * [
        None
    ]
    assert rust_release("1.71.0") == date(2023, 7, 13)
    assert rust_release("1.85.1") == date(2025, 2, 20)
    assert [rust_release(text) for text in ("0.38.15", "1.4.0", "", "2.0.0")] == 4 * [None]


def test_rows_with_one_of_the_two_days_are_judged_by_it(tmp_path: Path) -> None:
    """A file without changed_after ended in a traceback (max of nothing)."""
    only_on = migration_row(id="on", changed_on="2021-01-01")
    only_on.pop("changed_after", None)
    data = create_task("migration").load(str(write_pairs(tmp_path / "rows.jsonl", only_on)))
    assert len(Selection(1, until="2021-01-01").problems(data)) == 1
    with pytest.raises(UsageError, match="no row says after which day"):
        Selection(1, since="2020-01-01").problems(data)


@pytest.mark.parametrize(
    "value",
    ["20240918", "2024-W38-3", "2024-09", "", 20240918, ["2024-09-18"], True, "\uff12024-09-18"],
)
def test_a_day_is_written_in_one_way(value: object) -> None:
    """A file with 20240918 was read by some Pythons and refused by others."""
    with pytest.raises(RowError, match="must be a day such as"):
        day({"changed_on": value}, "changed_on")
