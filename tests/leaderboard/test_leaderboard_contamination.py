"""Which models may have seen what they are asked, by dates."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest
from made_runs import make_run

from recode_eval.errors import DataError
from recode_eval.leaderboard.contamination import Exposure, PublicDates
from recode_eval.leaderboard.loading import load_runs
from recode_eval.leaderboard.site import build
from recode_eval.leaderboard.sources import Sources
from recode_eval.resources import resource_dir
from recode_eval.tasks.registry import create_task

FACTS = """
models:
  - {match: Old-7B, released: 2024-05-31}
  - {match: New-7B, released: 2024-06-01}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from arena_rows import write_rows

    folder = tmp_path_factory.mktemp("contamination")
    rows = write_rows(folder / "rows.jsonl")
    for name in ("Old-7B", "New-7B", "Nameless"):
        make_run(folder / "runs", name, 0.5, n=1, task_name="arena", rows=rows)
    make_run(folder / "runs", "New-7B", 0.5, n=1)  # arena-mini has no date
    (folder / "models.yaml").write_text(FACTS)
    build([folder / "runs"], folder / "site", models=[folder / "models.yaml"], reported=False)
    return folder / "site"


def test_a_model_of_the_day_of_publication_is_marked_and_one_of_the_day_before_is_not(
    site: Path,
) -> None:
    rows = json.loads((site / "data" / "leaderboard.json").read_text())["rows"]
    found = {
        (row["model"], row["task"]): (row["contamination"], row["problems_possibly_seen"])
        for row in rows
    }
    assert found == {
        ("Old-7B", "arena"): ("before the data", 0),
        ("New-7B", "arena"): ("after the data", 6),
        ("Nameless", "arena"): ("unknown", 0),
        ("New-7B", "arena-mini"): ("unknown", 0),
    }


def test_marked_models_stay_ranked_and_every_page_marks_them(site: Path) -> None:
    """Contamination is shown; leaving such rows out without a word would be another bias."""
    rows = json.loads((site / "data" / "leaderboard.json").read_text())["rows"]
    assert all(row["rank"] != "-" for row in rows)
    [task] = [p for p in (site / "tasks").iterdir() if "mini" not in p.name]
    [model] = [p for p in (site / "models").iterdir() if p.name.startswith("new")]
    for page in (site / "index.html", task, model):
        assert page.read_text().count(">may have seen all<") == 1, page
    assert "data public since 2024-06-01" in model.read_text()
    overview = (site / "index.html").read_text()
    assert re.search(r'name="contamination" value="after the data"', overview)
    assert overview.count('data-contamination="before the data"') == 1


def test_a_migration_is_public_from_the_first_day_on_which_its_change_can_be_known(
    tmp_path: Path,
) -> None:
    make_run(tmp_path, "m", 1.0, n=1, task_name="migration")
    [run], _ = load_runs([tmp_path])
    dates = PublicDates.read(resource_dir("leaderboard") / "dates.yaml")
    days = dates.of(run, Sources())
    assert len(days) == len(run.problems)
    assert days == sorted(days)
    rows = [
        one.payload for one in create_task("migration").load(None, skip_bad_rows=False).problems
    ]
    assert days == sorted(row.changed_after for row in rows)
    late_repair = {row.changed_after for row in rows if row.old_version == "2.21.0"}
    assert late_repair == {date(2019, 8, 18)}  # marshmallow 3.0.0, not the repair of 2.x after it


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tasks: 3", "`tasks` must be a list"),
        ("tasks:\n- {task: x, public: soon}", "tasks, entry 1"),
        ("tasks:\n- {task: x, public: 2024-01-01 10:00:00}", "must be a date"),
        ("tasks: [{task: x, public: 2024-01-01}, {task: x, public: 2025-01-01}]",
         "twice"),
    ],
)  # fmt: skip
def test_a_malformed_file_of_dates_is_named(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "dates.yaml").write_text(text)
    with pytest.raises(DataError, match=reason):
        PublicDates.read(tmp_path / "dates.yaml")


def test_what_is_not_known_is_said() -> None:
    assert "release date is missing" in Exposure(None, "2024-01-01", 0, 3, 3).words
    assert "data's date is missing" in Exposure("2024-01-01", None, 0, 0, 3).words
    assert "2 problems with a date" in Exposure("2024-01-01", "2025-01-01", 0, 2, 3).words
    assert "1 of 3" in Exposure("2025-01-01", "2024-01-01", 1, 2, 3).words
