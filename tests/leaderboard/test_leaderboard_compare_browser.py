"""The comparison page in a real browser: its numbers are those of the library."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from altered_results import altered, base_run
from axe import axe_source, serious
from chromium import Browser, undisturbed
from hostile import CORPUS
from made_runs import make_run
from scipy.special import stdtr, stdtrit
from stored_runs import store_run

from recode_eval.comparison.comparability import (
    MOST_UNSCORED,
    RULES,
    browser_facts,
    browser_rules,
    differences,
    facts,
    percent,
)
from recode_eval.comparison.differences import MetricDifference, compare, difference
from recode_eval.comparison.headline import headline
from recode_eval.comparison.pairing import paired
from recode_eval.comparison.problems import fisher_p
from recode_eval.gating.decision import decide, verdict_json
from recode_eval.gating.policy import Policy
from recode_eval.leaderboard.boards import boards
from recode_eval.leaderboard.comparing import data_files
from recode_eval.leaderboard.loading import load_runs
from recode_eval.leaderboard.site import build
from recode_eval.leaderboard.text import digest
from recode_eval.run.results_file import ResultsFile, read_run
from recode_eval.scoring.pass_at_k import pass_at_k

pytestmark = pytest.mark.browser

GLYPHS = {"better": "▲", "worse": "▼", "open": "≈"}

MODELS = {
    "old": lambda p, s: s < 5 + p % 3,
    "new": lambda p, s: s < 3 + p % 7,
    "same as old": lambda p, s: s < 5 + p % 3,
    "a little": lambda p, s: s < 5 + p % 3 + (p == 8),
    "none": lambda p, s: False,
    "all": lambda p, s: True,
    "with gaps": lambda p, s: None if p % 5 == 0 and s < 3 else (s + p) % 3 == 0,
    "no answer": lambda p, s: None if p < 4 else s < 2 + p % 7,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def runs(folder: Path) -> dict[str, ResultsFile]:
    places = {name: store_run(folder / "runs", name, right) for name, right in MODELS.items()}
    for name, n in (("many old", 70), ("many new", 64)):
        shift = 5 if name == "many new" else 0
        places[name] = store_run(
            folder / "runs", name, lambda p, s, shift=shift: s < 30 + p + shift,
            n=n, temperature=1.0, problems=12,
        )  # fmt: skip
    for name, chance in (("tagged old", 0.5), ("tagged new", 0.7)):
        places[name] = make_run(folder / "runs", name, chance, n=2, unscored=3)
    return {name: read_run(place / "results.json") for name, place in places.items()}


@pytest.fixture(scope="module")
def site(folder: Path, runs: dict[str, ResultsFile]) -> Path:
    make_run(folder / "runs", "alone", 0.5, n=1, temperature=0.0)
    policy = Policy(margins={"default": {"pass@1": 3.0}})
    content = verdict_json(decide([runs["old"]], [runs["none"]], policy))
    (folder / "gate").mkdir()
    (folder / "gate" / "verdict.json").write_text(json.dumps(content))
    build([folder / "runs"], folder / "site", gates=[folder / "gate"])
    return folder / "site"


@pytest.fixture
def browser(window: Browser, site: Path) -> Iterator[Browser]:
    """A window in which no test may leave a complaint or a request to elsewhere."""
    with undisturbed(window):
        open_page(window, site)
        yield window


def open_page(window: Browser, site: Path, fragment: str = "") -> None:
    window.open(site / "compare.html", fragment)
    window.wait_for("#comparison[data-state=ready]")


def show(window: Browser, site: Path, a: ResultsFile, b: ResultsFile, metric: str = "") -> None:
    more = f"&metric={metric}" if metric else ""
    open_page(window, site, f"a={a.results['run']}&b={b.results['run']}{more}")


def close_to(found: float | None, expected: float | None, relative: float = 1e-6) -> bool:
    if found is None or expected is None:
        return found is None and expected is None
    return math.isclose(found, expected, rel_tol=relative, abs_tol=1e-12)


# The library's numbers --------------------------------------------------------------------------


def cases() -> list[dict[str, Any]]:
    """Random pairs of models, and all that has no ordinary interval."""
    luck = random.Random(7)
    found = []
    for index in range(96):
        groups, n = luck.choice([1, 2, 3, 5, 9, 13, 14, 40, 161]), luck.choice([1, 4, 10])
        clusters = [group for group in range(groups) for _ in range(luck.randint(1, 6))]
        levels = [luck.random() for _ in range(groups)]
        a = [sum(luck.random() < levels[c] for _ in range(n)) / n for c in clusters]
        kind = index % 8
        if kind < 5:
            shift = luck.choice([0, 0, 0.1, -0.3, 0.9])
            b = [sum(luck.random() < levels[c] + shift for _ in range(n)) / n for c in clusters]
        elif kind == 5:  # nothing changes, or next to nothing
            b = list(a)
            if index % 16 == 5:
                b[0] = 1 - b[0]
        elif kind == 6:  # everything changes, the same for all
            a, b = [luck.choice([0.0, 1.0])] * len(a), [luck.choice([0.0, 0.5, 1.0])] * len(a)
        else:  # numbers that are no counts
            a, b = [luck.random() for _ in a], [luck.random() for _ in a]
        found.append({"a": a, "b": b, "clusters": clusters, "confidence": luck.choice([0.9, 0.95])})
    return found


def test_differences_intervals_and_p_values_equal_the_library(browser: Browser) -> None:
    made = cases()
    answers = browser.run(
        "return arguments[0].map((c) => ({"
        " ...compareStats.difference(c.a, c.b, c.clusters, {confidence: c.confidence}),"
        " flip: compareStats.signFlip(c.a.map((x, i) => c.b[i] - x), c.clusters)}))",
        made,
    )
    methods = set()
    for case, answer in zip(made, answers, strict=True):
        expected = difference(
            "pass@1", case["a"], case["b"], case["clusters"], confidence=case["confidence"]
        )
        assert expected is not None
        assert_equal(answer, expected)
        methods.add(answer["method"])
        clusters = expected.estimate.clusters
        if 2 <= clusters <= 13:
            assert close_to(answer["flip"], expected.p_sign_flip)
        else:
            assert answer["flip"] is None
    assert len(methods) == 5, "every way to make an interval, or none, was met"


def assert_equal(answer: dict[str, Any], expected: MetricDifference) -> None:
    estimate = expected.estimate
    assert answer["method"] == estimate.method
    assert (answer["n"], answer["clusters"]) == (estimate.n, estimate.clusters)
    for name, value in {
        "a": expected.baseline,
        "b": expected.candidate,
        "mean": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "error": estimate.standard_error,
        "p": expected.p_value,
        "effective": estimate.effective_clusters,
    }.items():
        assert close_to(answer[name], value), (name, answer[name], value)


def test_student_fisher_and_pass_at_k_equal_scipy_and_the_library(browser: Browser) -> None:
    luck = random.Random(3)
    tails = [
        (luck.uniform(0, 40), df) for df in (0.4, 1, 2, 7.3, 48, 160, 669, 5000) for _ in range(20)
    ]
    quantiles = [(p, df) for p in (0.8, 0.95, 0.975, 0.995) for df in (0.4, 1, 2.5, 12, 160, 999)]
    counts = [(0, 4, 4, 4), (0, 1, 0, 1), (2, 2, 0, 10), (500, 1000, 620, 1000)]
    for _ in range(60):
        n, m = luck.randint(1, 20), luck.randint(1, 20)
        counts.append((luck.randint(0, n), n, luck.randint(0, m), m))
    drawn = [(n, c, k) for n in (1, 4, 10, 70) for k in (1, 5, 10) for c in {0, 1, n // 2, n}]
    found = browser.run(
        "const [tails, quantiles, counts, drawn] = arguments, s = compareStats;"
        "return [tails.map((x) => s.tUpperTail(...x)), quantiles.map((x) => s.tQuantile(...x)),"
        " counts.map((x) => s.fisher(...x)), drawn.map((x) => s.passAt(...x))]",
        tails, quantiles, counts, drawn,
    )  # fmt: skip
    for (t, df), answer in zip(tails, found[0], strict=True):
        assert answer == pytest.approx(float(stdtr(df, -t)), rel=1e-9)
    for (p, df), answer in zip(quantiles, found[1], strict=True):
        assert answer == pytest.approx(float(stdtrit(df, p)), rel=1e-9)
    for case, answer in zip(counts, found[2], strict=True):
        assert close_to(answer, fisher_p(*case), 1e-9)
    for (n, c, k), answer in zip(drawn, found[3], strict=True):
        assert close_to(answer, pass_at_k(n, c, k), 1e-12)


PAIRS = [
    ("old", "new"), ("new", "old"), ("old", "same as old"), ("none", "all"), ("all", "none"),
    ("old", "a little"), ("old", "with gaps"), ("no answer", "new"), ("many old", "many new"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_the_page_shows_what_compare_says(
    browser: Browser, site: Path, runs: dict[str, ResultsFile], one: str, other: str
) -> None:
    a, b = runs[one], runs[other]
    for metric in ("pass@1", "pass@5"):
        show(browser, site, a, b, metric)
        [expected] = compare([(a, b)], [metric])
        assert_row(browser, "#differences tbody tr", expected.differences[0])
        said = browser.run("return document.getElementById('verdict').textContent")
        glyph = GLYPHS[headline(expected.differences[0])]
        assert said[0] == ("?" if expected.differences[0].p_value is None else glyph)
    p_values = browser.run(
        "return Object.fromEntries([...document.querySelectorAll('#tests tbody tr')]"
        ".map((r) => [r.dataset.test, r.cells[2].dataset.v]))"
    )
    assert close_to(number(p_values["t"]), expected.differences[0].p_value)
    square = [int(x) for x in browser.texts("#square tbody td") if x]
    fixed, broken = set(expected.changes.fixed), set(expected.changes.broken)
    changes = expected.changes
    assert square[:4] == [changes.better, len(fixed), changes.worse, len(broken)]
    assert square[0] + square[2] + square[4] == len(paired(a, b, "pass@1").ids)
    for kind, ids in (("fixed", fixed), ("broken", broken)):
        listed = browser.run(
            f"return [...document.querySelectorAll('#{kind} tbody a')].map((a) => a.textContent)"
        )
        assert set(listed) == ids
        assert len(listed) == len(ids)


def number(text: str) -> float | None:
    return float(text) if text else None


def row_of(browser: Browser, selector: str) -> list[list[str]]:
    return browser.run(
        "return [...document.querySelectorAll(arguments[0])].map((r) => [r.cells[0].textContent,"
        " r.cells[1].dataset.v, r.cells[2].dataset.v, r.cells[3].dataset.v,"
        " r.cells[4].dataset.low, r.cells[4].dataset.high, r.cells[5].dataset.v,"
        " r.cells[7].dataset.v, r.cells[8].dataset.v])",
        selector,
    )


def assert_row(browser: Browser, selector: str, expected: MetricDifference) -> None:
    [[_, a, b, mean, low, high, p, n, clusters]] = row_of(browser, selector)
    estimate = expected.estimate
    assert (int(n), int(clusters)) == (estimate.n, estimate.clusters)
    pairs = (
        (a, expected.baseline), (b, expected.candidate), (mean, estimate.mean),
        (low, estimate.low), (high, estimate.high), (p, expected.p_value),
    )  # fmt: skip
    for found, value in pairs:
        assert close_to(number(found), value), (found, value)


def test_the_rows_by_tag_are_the_differences_of_their_problems(
    browser: Browser, site: Path, runs: dict[str, ResultsFile]
) -> None:
    a, b = runs["tagged old"], runs["tagged new"]
    show(browser, site, a, b)
    values = (a.values("pass@1"), b.values("pass@1"))
    tags = {tag for score in a.scores.values() for tag in score.tags}
    seen = 0
    for position in range(len(tags)):
        rows = row_of(browser, f"#differences-{position} tbody tr")
        for name, *cells in rows:
            [subset] = [
                chosen
                for tag in tags
                if (chosen := [k for k, s in a.scores.items() if s.tags.get(tag) == name])
            ]
            chosen = [k for k in subset if values[0][k] is not None and values[1][k] is not None]
            expected = difference(
                "pass@1",
                [values[0][k] or 0.0 for k in chosen],
                [values[1][k] or 0.0 for k in chosen],
                [a.scores[k].cluster for k in chosen],
            )
            assert expected is not None
            assert int(cells[6]) == len(chosen)
            assert close_to(number(cells[2]), expected.estimate.mean)
            assert close_to(number(cells[3]), expected.estimate.low)
            assert close_to(number(cells[5]), expected.p_value)
            seen += 1
    assert seen > 30


def untested(stored: ResultsFile) -> ResultsFile:
    problems = [msgspec.structs.replace(p, passed=None) for p in stored.results.problems]
    results = msgspec.structs.replace(stored.results, problems=problems)
    return ResultsFile(stored.source, results, {p.id: p for p in problems})


def test_a_task_without_tests_is_compared_by_similarity(browser: Browser, tmp_path: Path) -> None:
    for name, chance in (("one", 0.3), ("other", 0.8)):
        make_run(tmp_path / "runs", name, chance, n=1)
    build([tmp_path / "runs"], tmp_path / "site", reported=False)
    [board] = boards(load_runs([tmp_path / "runs"])[0])
    standings = [
        replace(s, run=replace(s.run, stored=untested(s.run.stored))) for s in board.standings
    ]
    [(name, content)] = data_files([replace(board, standings=tuple(standings))])
    (tmp_path / "site" / name).write_text(content)
    open_page(browser, tmp_path / "site")
    assert browser.run("return document.getElementById('metric').selectedOptions[0].text") == "ES"
    b, a = (standing.run.problems for standing in standings)
    expected = difference(
        "es", [p.es or 0 for p in a], [p.es or 0 for p in b], [p.cluster for p in a]
    )
    assert expected is not None
    assert_row(browser, "#differences tbody tr", expected)
    assert browser.texts("#square") == []


# Using the page ---------------------------------------------------------------------------------


def test_a_choice_is_in_the_url_and_restored(
    browser: Browser, site: Path, runs: dict[str, ResultsFile]
) -> None:
    old, new = (str(runs[name].results["run"]) for name in ("old", "new"))
    choose(browser, "a", old)
    choose(browser, "b", new)
    choose(browser, "metric", "pass@5")
    assert browser.fragment == f"#a={old}&b={new}&metric=pass@5"
    said = browser.texts("#verdict")
    assert said[0].startswith("▼ pass@5: B is worse")
    open_page(browser, site, browser.fragment[1:])
    assert browser.texts("#verdict") == said
    browser.click("#swap")
    browser.wait_for("#comparison[data-state=ready]")
    assert browser.texts("#verdict")[0].startswith("▲ pass@5: B is better")
    assert set(browser.fragment[1:].split("&")) == {f"a={new}", f"b={old}", "metric=pass@5"}


def choose(browser: Browser, select: str, value: str) -> None:
    browser.run(
        "const s = document.getElementById(arguments[0]); s.value = arguments[1];"
        "s.dispatchEvent(new Event('change', {bubbles: true}))",
        select, value,
    )  # fmt: skip
    browser.wait_for("#comparison[data-state=ready]")


def test_runs_of_different_boards_are_not_paired(
    browser: Browser, site: Path, runs: dict[str, ResultsFile]
) -> None:
    show(browser, site, runs["old"], runs["many new"])
    [said] = browser.texts("#verdict")
    assert said.startswith("These runs cannot be paired: old (")
    assert said.endswith("differ in: clusters, data, problems, rules of grading, sampling.")
    assert browser.texts("#comparison table") == []


@pytest.mark.parametrize(
    ("fragment", "said"),
    [
        ("a=nobody&b=x", "A run in this link is not on this site."),
        ("a=<img>&metric=pass@99", "A run in this link is not on this site."),
        ("a=&b=&metric=__proto__", "B minus A"),
        ("board=constructor", "B minus A"),
    ],
)
def test_a_garbled_link_does_no_harm(
    browser: Browser, site: Path, fragment: str, said: str
) -> None:
    open_page(browser, site, fragment)
    assert said in browser.texts("#verdict")[0]


def test_a_run_alone_on_its_board_has_nothing_to_be_compared_with(
    browser: Browser, site: Path
) -> None:
    options = browser.run(
        "return [...document.querySelectorAll('#board option')].map((o) => [o.value, o.text])"
    )
    alone = next(value for value, text in options if text.endswith("(1 run)"))
    choose(browser, "board", alone)
    assert "has one run only" in browser.texts("#verdict")[0]
    assert browser.fragment == f"#board={alone}"


def test_a_run_with_itself_and_what_may_explain_a_difference(
    browser: Browser, site: Path, runs: dict[str, ResultsFile]
) -> None:
    show(browser, site, runs["old"], runs["old"])
    assert browser.texts("#verdict") == ["A and B are the same run."]
    show(browser, site, runs["many old"], runs["many new"])
    assert browser.texts("#comparison .note li") == ["n (samples per problem) differs: 70 and 64."]
    show(browser, site, runs["no answer"], runs["new"])
    notes = browser.texts("#comparison .note li")
    unscored = "10.0% of the samples of A are unscored (at most 1.0%); the run's own command tries"
    assert notes == [
        f"{unscored} them again.",
        "4 problems have a score in one of the runs only, and do not count.",
    ]


def test_browser_and_library_say_the_same_of_every_pair(browser: Browser) -> None:
    """They were written apart, and tolerated other shares of faulty problems."""
    base = base_run()
    runs = [base, *(altered(base, rule.field) for rule in RULES if not rule.board)]
    runs += [altered(altered(base, "faulty"), "ungraded"), altered(altered(base, "n"), "harness")]
    order = {key: index for index, key in enumerate(base.scores)}
    for limit in (MOST_UNSCORED, 0.5):
        here = [
            [
                [{"what": x.what, "text": x.text, "level": str(x.level)}
                 for x in differences(facts(a), facts(b), ("A", "B"), limit)]
                for b in runs
            ]
            for a in runs
        ]  # fmt: skip
        there = browser.run(
            "const [rules, facts, limit, count] = arguments;"
            "return facts.map((a) => facts.map((b) => "
            "window.comparability.differences(rules, a, b, ['A', 'B'], limit, count)));",
            browser_rules(), [browser_facts(run, order, digest) for run in runs],
            [limit, percent(limit)], len(order),
        )  # fmt: skip
        assert there == here
        assert sum(map(bool, here[0])) >= (len(runs) - 1 if limit == MOST_UNSCORED else 5)


def test_two_ticked_rows_lead_to_their_comparison(
    browser: Browser, site: Path, runs: dict[str, ResultsFile]
) -> None:
    """The third tick replaces the first, and the ticks are in the URL."""
    browser.open(site / "index.html")
    keys = [str(runs[name].results["run"]) for name in ("none", "old", "new")]
    for key in keys:
        browser.click(f"input[data-pick][value='{key}']")
    assert browser.texts("#picked") == ["Compare old with new"]
    assert browser.fragment == f"#pick={keys[1]}&pick={keys[2]}"
    browser.open(site / "index.html", f"{browser.fragment[1:]}&pick=nobody")
    assert browser.texts("#picked") == ["Compare old with new"]
    browser.click("#picked a")
    browser.wait_for("#comparison[data-state=ready]")
    assert browser.fragment == f"#a={keys[1]}&b={keys[2]}"
    browser.open(site / "index.html", f"pick={keys[0]}")
    assert browser.texts("#picked") == ["Tick another run to compare it with none."]
    browser.click(f"input[data-pick][value='{keys[0]}']")
    assert browser.texts("#picked") == ["Tick two runs to compare them."]


def test_from_a_changed_problem_to_both_answers(
    browser: Browser, site: Path, runs: dict[str, ResultsFile]
) -> None:
    show(browser, site, runs["all"], runs["none"])
    browser.run("document.querySelectorAll('#comparison details').forEach((d) => d.open = true)")
    browser.click("#broken tbody a")
    browser.wait_for("#both[data-state=ready]")
    assert [text.split()[1] for text in browser.texts("#both h3")] == ["all", "none"]


def test_the_gate_is_on_the_first_page_and_leads_to_the_comparison(
    browser: Browser, site: Path, runs: dict[str, ResultsFile]
) -> None:
    browser.open(site / "index.html")
    assert "regress" in browser.texts(".banner")[0]
    browser.click(".banner a")
    assert browser.texts("#gate-history tbody th") == ["none"]
    browser.click("#gate-history tbody a")
    browser.wait_for("#comparison[data-state=ready]")
    a, b = (runs[name].results["run"] for name in ("old", "none"))
    assert browser.fragment == f"#a={a}&b={b}"
    assert browser.texts("#verdict")[0].startswith("▼")


def test_hostile_names_stay_text(browser: Browser, tmp_path: Path) -> None:
    for index, text in enumerate(CORPUS):
        make_run(tmp_path / "runs", f"{text[:300]}{index}", 0.5, n=1, faulty=text[:300])
    build([tmp_path / "runs"], tmp_path / "site", reported=False)
    open_page(browser, tmp_path / "site")
    keys = browser.run("return [...document.querySelectorAll('#a option')].map((o) => o.value)")
    assert len(keys) == len(CORPUS)
    for key in keys:
        choose(browser, "a", key)
        assert browser.run("return window.pwned") is None
        assert (
            browser.run("return document.querySelectorAll('img, iframe, svg[onload]').length") == 0
        )
    assert browser.run("return document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize("width", [320, 390])
def test_no_page_is_wider_than_a_phone(
    browser: Browser, site: Path, runs: dict[str, ResultsFile], width: int
) -> None:
    size = {"height": 900, "deviceScaleFactor": 1}
    browser.command("Emulation.setDeviceMetricsOverride", width=width, mobile=True, **size)
    try:
        show(browser, site, runs["old"], runs["with gaps"])
        browser.run("document.querySelectorAll('details').forEach((d) => d.open = true)")
        assert browser.run("return document.documentElement.scrollWidth") <= width
        browser.open(site / "gate.html")
        assert browser.run("return document.documentElement.scrollWidth") <= width
    finally:
        browser.command("Emulation.setDeviceMetricsOverride", width=1280, mobile=False, **size)


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(site: Path, runs: dict[str, ResultsFile], dark: bool) -> None:
    source, window = axe_source(), Browser(dark=dark)
    try:
        show(window, site, runs["old"], runs["with gaps"])
        window.run("document.querySelectorAll('details').forEach((d) => d.open = true)")
        assert serious(window, source) == []
        for page in ("gate.html", "index.html"):
            window.open(site / page)
            assert serious(window, source) == []
    finally:
        window.close()
