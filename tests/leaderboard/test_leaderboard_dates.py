"""Scores by date: fixed windows, and a slider whose numbers are the library's."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from axe import axe_source, serious
from chromium import Browser, undisturbed
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run
from migration_rows import OLD, migration_row, write_pairs

from recode_eval.errors import DataError
from recode_eval.leaderboard.boards import boards
from recode_eval.leaderboard.contamination import PublicDates
from recode_eval.leaderboard.dates import DatedBoard, dated_boards, fixed_days, window
from recode_eval.leaderboard.loading import load_runs
from recode_eval.leaderboard.model_facts import FactBook, ModelFacts, read_facts
from recode_eval.leaderboard.ranking import ranks
from recode_eval.leaderboard.site import build
from recode_eval.leaderboard.sources import Sources
from recode_eval.resources import resource_dir
from recode_eval.stats.estimates import cluster_mean

FACTS = {
    "early": ModelFacts(cutoff="2020-06-30", released="2024-12-31"),
    "late": ModelFacts(released="2022-03-01"),
    "newest": ModelFacts(cutoff="2031-01-01"),
}
CHANCES = {"early": 0.6, "late": 0.75, "newest": 0.5, "nobody knows": 0.72, "bad": 0.1}
PROBLEMS = 48


def write_rows(path: Path) -> Path:
    """Write rows: two for each of 22 days, which share a cluster, and four without a day."""
    rows = []
    for index in range(PROBLEMS):
        name, after = f"in1d{index // 2}", date(2019, 1, 1) + timedelta(days=110 * (index // 2))
        days = {"changed_after": str(after), "changed_on": str(after + timedelta(days=30))}
        rows.append(
            migration_row(
                id=f"numpy-{index}", apis=[f"numpy.{name}"], old_use=[f"numpy.{name}"],
                old_code=OLD.replace("in1d", name), **(days if index < PROBLEMS - 4 else {}),
            )
        )  # fmt: skip
    return write_pairs(path, *rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dates")
    rows = write_rows(folder / "rows.jsonl")
    common: dict[str, Any] = {"task_name": "migration", "rows": rows}
    for name, chance in CHANCES.items():
        make_run(folder / "runs", name, chance, **common)
    # A few samples of this one have no score: too few to leave it unranked.
    make_run(folder / "runs", "with gaps", 0.7, unscored=1, **common)
    make_run(folder / "runs", "unranked", 0.7, unscored=30, **common)
    make_run(folder / "runs", "undated", 0.7, n=1)
    lines = [
        f"  - {{match: {name}, "
        + ", ".join(f"{k}: {v}" for k in ("cutoff", "released") if (v := getattr(facts, k)))
        + "}"
        for name, facts in FACTS.items()
    ]
    (folder / "models.yaml").write_text("models:\n" + "\n".join(lines) + "\n")
    build(
        [folder / "runs"], folder / "site", data={"migration": str(rows)},
        models=[folder / "models.yaml"], reported=False,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def dated(folder: Path) -> DatedBoard:
    runs, _ = load_runs([folder / "runs"])
    found = boards(runs)
    dates = PublicDates.read(resource_dir("leaderboard") / "dates.yaml")
    sources = Sources({"migration": str(folder / "rows.jsonl")})
    changes = {board.key: dates.changes(board.first, sources) for board in found}
    [board] = dated_boards(found, changes, read_facts([folder / "models.yaml"]))
    return board


def test_a_window_has_the_problems_after_its_day_and_the_ranks_of_the_board(
    dated: DatedBoard,
) -> None:
    whole, *later = dated.windows
    by_run = {standing.run.key: standing for standing in dated.board.standings}
    for model, cell in zip(dated.models, whole.cells, strict=True):
        stored = model.standing.run.metric("pass@1")
        assert stored is not None
        assert cell.estimate.mean == pytest.approx(stored.value, abs=1e-12)
        assert cell.estimate.low == pytest.approx(stored.low, abs=1e-12)
        assert cell.rank == by_run[model.standing.run.key].rank
    assert len(later) > 2
    for shown in later:
        if shown.newer:
            continue
        assert shown.after is not None
        chosen = {key for key, day in dated.changes.items() if day > shown.after}
        assert 0 < shown.problems == len(chosen) < dated.board.problems
        for model, cell in zip(dated.models, shown.cells, strict=True):
            run = model.standing.run
            pairs = [
                (rate, problem.cluster)
                for problem, rate in zip(run.problems, run.rates, strict=True)
                if problem.id in chosen
            ]
            expected = cluster_mean(*map(list, zip(*pairs, strict=True)), bounds=(0, 1))
            assert cell.estimate.mean == pytest.approx(expected.mean, abs=1e-12)


def test_newer_leaves_out_what_a_model_may_know_and_models_of_unknown_date(
    dated: DatedBoard,
) -> None:
    last = dated.windows[-1]
    assert last.newer
    names = [model.standing.run.model_name for model in dated.models]
    found = dict(zip(names, zip(dated.models, last.cells, strict=True), strict=True))
    assert found["early"][0].source == "cut-off"
    assert found["late"][0].source == "release"
    for name in ("early", "late"):
        model, cell = found[name]
        assert model.until is not None
        assert cell.estimate.n == sum(day > model.until for day in dated.changes.values())
    assert found["newest"][1].estimate.n == 0
    for name in ("newest", "nobody knows", "bad"):
        assert found[name][1].estimate.mean is None
        assert found[name][1].rank is None
    assert dated.without_cutoff == 4


def test_problems_without_a_day_are_counted_and_in_no_window_after_one(dated: DatedBoard) -> None:
    """A problem of unknown date is neither old nor new, so it must not pass for new."""
    known = dict(list(dated.changes.items())[::2])
    [board] = dated_boards([dated.board], {dated.board.key: known}, FactBook([]))
    assert board.unknown == dated.board.problems - len(known) > 0
    after = window(board.board, board.models, known, board.days[0])
    assert after.problems == sum(day > board.days[0] for day in known.values())
    assert all(cell.estimate.n <= after.problems for cell in after.cells)


def test_boards_of_one_day_or_none_are_left_out(dated: DatedBoard) -> None:
    one_day = dict.fromkeys(dated.changes, date(2024, 1, 1))
    for changes in ({}, one_day):
        assert dated_boards([dated.board], {dated.board.key: changes}, FactBook([])) == []


@given(st.lists(st.dates(date(1990, 1, 1), date(2040, 1, 1)), min_size=2, max_size=30, unique=True))
def test_fixed_days_are_few_and_split_the_problems(days: list[date]) -> None:
    days.sort()
    found = fixed_days(days)
    assert found == sorted(set(found))
    assert len(found) <= 5
    splits = [sum(day <= end for day in days) for end in found]
    assert splits == sorted(set(splits))
    assert all(0 < before < len(days) for before in splits)
    assert all((end + timedelta(days=1)).day == 1 for end in found)


def test_the_page_works_without_scripts_and_says_what_it_does_not_know(folder: Path) -> None:
    page = (folder / "site" / "dates.html").read_text()
    assert "4 models with neither a cut-off nor a release date" in page
    assert "1 board not shown" in page
    assert '<form class="filters dated" hidden' in page
    assert page.count('<th scope="col" data-kind="number"') >= 5
    assert page.count('<span class="ci">rank ') > 5 * len(CHANCES)
    assert "By date" in (folder / "site" / "index.html").read_text()


def test_a_cut_off_must_be_a_date(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("models:\n  - {match: x, cutoff: soon}\n")
    with pytest.raises(DataError, match="`cutoff` must be a date"):
        read_facts([path])


# The browser ------------------------------------------------------------------------------------


@pytest.fixture
def browser(window: Browser, folder: Path) -> Iterator[Browser]:
    with undisturbed(window):
        yield window


def shown(browser: Browser) -> dict[str, list[Any]]:
    """Return rank, value, interval and problems of each run, as the table has them."""
    rows = browser.run(
        "return [...document.querySelectorAll('[id^=dated-] tbody tr')].map((r) => [r.dataset.run,"
        " [r.cells[1].innerText, r.cells[2].dataset.v, r.cells[2].dataset.low,"
        " r.cells[2].dataset.high, r.cells[3].innerText]])"
    )
    return dict(rows)  # an object would lose the order


@pytest.mark.browser
@pytest.mark.parametrize("newer", [False, True])
def test_the_slider_shows_the_numbers_of_the_library(
    browser: Browser, folder: Path, dated: DatedBoard, newer: bool
) -> None:
    key, days = dated.board.key, dated.days
    positions = [1, len(days) // 2, len(days) - 1]
    for position in ([0] if newer else []) + positions:
        after = days[position - 1] if position else None
        state = [f"after.{key}={after}"] * bool(after) + [f"newer.{key}=yes"] * newer
        browser.open(folder / "site" / "dates.html", "&".join(state))
        browser.wait_for("section[data-state=ready]")
        expected = window(dated.board, dated.models, dated.changes, after, newer=newer)
        found = shown(browser)
        assert len(found) == len(dated.models)
        for model, cell in zip(dated.models, expected.cells, strict=True):
            rank, *numbers, problems = found[model.standing.run.key]
            assert rank == (str(cell.rank) if cell.rank else "-")
            assert int(problems) == cell.estimate.n
            wanted = cell.estimate.mean, cell.estimate.low, cell.estimate.high
            for text, number in zip(numbers, wanted, strict=True):
                assert (text == "") == (number is None)
                assert number is None or float(text) == pytest.approx(number, abs=1e-6)
        values = [float(numbers[1] or -1) for numbers in found.values()]
        ranked = [v for v, n in zip(values, found.values(), strict=True) if n[0] != "-"]
        assert ranked == sorted(ranked, reverse=True)


@pytest.mark.browser
def test_the_keyboard_moves_the_slider_and_the_address_follows(
    browser: Browser, folder: Path, dated: DatedBoard
) -> None:
    from selenium.webdriver.common.keys import Keys

    key = dated.board.key
    browser.open(folder / "site" / "dates.html")
    before = shown(browser)
    browser.type("input[name=after]", Keys.ARROW_RIGHT + Keys.ARROW_RIGHT)
    browser.wait_for("section[data-state=ready]")
    assert browser.fragment == f"#after.{key}={dated.days[1]}"
    assert browser.texts("form.dated output") == [str(dated.days[1])]
    said = browser.texts(".window-said")[0]
    count = sum(day > dated.days[1] for day in dated.changes.values())
    assert said == f"{count} problems changed after {dated.days[1]}."
    browser.type("input[name=newer]", Keys.SPACE)
    assert browser.fragment.endswith(f"&newer.{key}=yes")
    assert "4 models with neither have no score" in browser.texts(".window-said")[0]
    browser.click("form.dated button[type=reset]")
    assert browser.fragment == ""
    after = shown(browser)
    assert {k: (v[0], v[4]) for k, v in after.items()} == {
        k: (v[0], v[4]) for k, v in before.items()
    }
    assert browser.complaints() == []
    assert serious(browser, axe_source()) == []
    browser.complaints()  # the policy stops the checker from reading the style sheets


@pytest.mark.browser
@pytest.mark.parametrize("gaps", [False, True])
def test_ranks_of_any_board_are_those_of_the_library(
    browser: Browser, folder: Path, gaps: bool
) -> None:
    """Random boards: few clusters, equal models, models without a miss, values that are missing."""
    luck = random.Random(11 + gaps)
    browser.open(folder / "site" / "dates.html")
    for _ in range(20):
        groups = luck.choice([1, 2, 3, 8, 40])
        clusters = [group for group in range(groups) for _ in range(luck.randint(1, 4))]
        levels = [luck.random() for _ in range(luck.choice([2, 5, 12]))]
        rows: list[list[float | None]] = [
            [luck.choice([level, float(luck.random() < level)]) for _ in clusters] if kind else
            [float(index % 2)] * len(clusters)
            for index, level in enumerate(levels) for kind in [luck.randint(0, 4)]
        ]  # fmt: skip
        if gaps:
            rows = [[None if luck.random() < 0.15 else v for v in row] for row in rows]
            rows = [row for row in rows if any(v is not None for v in row)]
        starts = [luck.randint(0, len(clusters) // 2) for _ in rows]
        masked = [[None] * s + row[s:] for s, row in zip(starts, rows, strict=True)]
        kept = [i for i, row in enumerate(masked) if any(v is not None for v in row)]
        found = browser.run(
            "const nan = (r) => Float64Array.from(r, (v) => v ?? NaN);"
            "return [boardWindows.ranks(arguments[0].map(nan), arguments[1], arguments[2]),"
            " arguments[3].map((r) => boardWindows.mean(nan(r), arguments[1]))]",
            [rows[i] for i in kept], clusters, [starts[i] for i in kept], masked,
        )  # fmt: skip
        expected = ranks([masked[i] for i in kept], clusters)
        assert found[0] == [[rank.best, rank.worst] for rank in expected]
        for row, got in zip(masked, found[1], strict=True):
            wanted = cluster_mean(row, clusters, bounds=(0, 1))
            assert got["method"] == wanted.method
            for name in ("mean", "low", "high"):
                number = getattr(wanted, name)
                assert (got[name] is None) == (number is None)
                assert number is None or math.isclose(got[name], number, abs_tol=1e-6)


MOVE = """
const luck = ((s) => () => (s = (s * 48271) % 2147483647) / 2147483647)(7);
const problems = 1000, models = 200, n = 10;
const day = (i) => new Date(Date.UTC(2020, 0, 1 + 7 * i)).toISOString().slice(0, 10);
const days = Array.from({length: 250}, (_, i) => day(i));
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const data = {clusters: Array.from({length: problems}, (_, p) => p >> 2), runs: {}};
const board = {days, of: data.clusters.map((c) => c % 250), metric: {k: 1, bounds: [0, 1]},
  alpha: 0.05, confidence: 0.95, models: []};
for (let m = 0; m < models; m++) {
  const level = 0.2 + 0.6 * m / models;
  let passed = "";
  for (let p = 0; p < problems; p++) {
    let count = 0;
    for (let s = 0; s < n; s++) count += luck() < level;
    passed += digits[count];
  }
  data.runs[m] = {n, passed, width: 1, scored: {}};
  board.models.push({run: String(m), until: days[(m * 7) % 200], ranked: true});
}
const known = datedBoards.table(board, data), took = [];
for (const newer of [false, true]) {
  for (const at of [0, 10, 60, 120, 200]) {
    const began = performance.now();
    datedBoards.compute(board, known, days[at], newer);
    took.push(performance.now() - began);
  }
}
return took;
"""


@pytest.mark.browser
@pytest.mark.alone
def test_a_move_of_the_slider_takes_little_time_with_200_models_of_1000_problems(
    browser: Browser, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    browser.open(folder / "site" / "dates.html")
    took = browser.run(MOVE)
    with capsys.disabled():
        print(f"\nslider, 200 x 1,000: {' '.join(f'{t:.0f}' for t in took)} ms")
    assert sorted(took)[len(took) // 2] < 1000  # ten times what an idle machine takes at most
