"""Costs and request parameters on the site; both are words of whoever ran a model."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from made_runs import make_run

from recode_eval.errors import DataError
from recode_eval.leaderboard.site import build

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>"
COST = {
    "currency": "EUR",
    "total": 1.25,
    "per_sample": 0.125,
    "per_solved": 0.25,
    "as_of": "2026-01-31",
    "source": HOSTILE,
}


def priced(folder: Path, cost: Any) -> None:
    results = json.loads((folder / "results.json").read_text())
    results["usage"]["cost"] = cost
    (folder / "results.json").write_text(json.dumps(results))


def test_the_site_shows_what_a_solution_costs(tmp_path: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "site"
    identity = {"base_url": "http://x/v1", "request": {"reasoning_effort": HOSTILE}}
    priced(make_run(runs, "dear", 0.9, n=1, identity=identity), COST)
    make_run(runs, "free", 0.5, n=1)
    assert not build([runs], out).broken
    overview = (out / "index.html").read_text()
    assert "Cost per solved" in overview
    assert "0.25 EUR" in overview
    (page,) = (file for file in (out / "models").iterdir() if file.name.startswith("dear"))
    text = page.read_text()
    assert "1.25 EUR" in text
    assert "prices of 2026-01-31" in text
    for shown in (overview, text):
        assert "dear (reasoning_effort=&lt;script&gt;" in shown
        assert HOSTILE not in shown
    rows = list(csv.DictReader(io.StringIO((out / "data/leaderboard.csv").read_text())))
    assert {row["cost_per_solved"] for row in rows} == {"0.25", ""}
    assert {row["currency"] for row in rows} == {"EUR", ""}


def test_a_site_without_costs_has_no_column_for_them(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "free", 0.5, n=1)
    build([tmp_path / "runs"], tmp_path / "site")
    assert "Cost per solved" not in (tmp_path / "site/index.html").read_text()


def test_a_cost_that_cannot_be_is_refused_with_its_place(tmp_path: Path) -> None:
    priced(make_run(tmp_path / "runs", "odd", 0.5, n=1), {**COST, "total": -1})
    with pytest.raises(DataError, match=r"usage\.cost\.total"):
        build([tmp_path / "runs"], tmp_path / "site")
