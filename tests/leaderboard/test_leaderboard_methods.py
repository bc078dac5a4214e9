"""RL against SFT: roles, pooling of seeds, pairing, and what the pages say."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe import axe_source, serious
from chromium import Browser, undisturbed
from hostile import CORPUS
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run
from made_trainings import PAPER, config, make_comparison, make_training

from recode_eval.comparison.differences import metric_difference
from recode_eval.comparison.pooling import (
    Change,
    Evidence,
    adjusted,
    compared,
    evidence,
    pooled,
)
from recode_eval.errors import DataError, UsageError
from recode_eval.leaderboard.boards import boards
from recode_eval.leaderboard.loading import load_runs
from recode_eval.leaderboard.methods import Role, blocks, reported_methods, role
from recode_eval.leaderboard.model_facts import FactBook, ModelFacts, ReportedRow, read_facts
from recode_eval.leaderboard.retention import tradeoffs
from recode_eval.leaderboard.site import build
from recode_eval.run.results_file import read_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_comparison(tmp_path_factory.mktemp("comparison") / "tiny")
    only_format = config("grpo", rewards={"format": 1.0})
    make_training(folder / "arms" / "grpo-format", only_format, {0: 0.35, 40: 0.3})
    return folder


@pytest.fixture(scope="module")
def site(comparison: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "site"
    assert build([comparison], out).broken == ()
    return out


@pytest.fixture(scope="module")
def found(comparison: Path) -> Any:
    runs, _ = load_runs([comparison / "runs"])
    return blocks(boards(runs), read_facts([comparison / "models.yaml"]))


def facts(**by_name: tuple[str | None, str | None]) -> FactBook:
    return FactBook([(name, ModelFacts(*pair)) for name, pair in by_name.items()])


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("untrained", Role.BASE), ("Base", Role.BASE), (" none ", Role.BASE), ("SFT", Role.SFT),
        ("sft (clean pairs)", Role.SFT), ("GRPO", Role.OTHER), ("DPO", Role.OTHER),
    ],
)  # fmt: skip
def test_the_role_of_a_method(method: str, expected: Role) -> None:
    assert role(method) is expected


def test_a_block_has_the_methods_in_order_and_every_pair(found: Any) -> None:
    (block,) = found
    assert block.base == "Tiny-1B"
    assert [s.board.task for s in block.sections] == ["arena-mini", "arena-multi", "humaneval"]
    section = block.sections[0]
    assert [row.method for row in section.rows] == ["untrained", "SFT", "GRPO", "DAPO"]
    assert [len(row.counted) for row in section.rows] == [1, 2, 2, 2]
    assert [(d.method, d.reference) for d in section.deltas] == [
        ("SFT", "untrained"), ("GRPO", "untrained"), ("DAPO", "untrained"),
        ("GRPO", "SFT"), ("DAPO", "SFT"),
    ]  # fmt: skip
    assert section.metrics == ("pass@1", "pass@5", "upass@1", "es_star")
    assert section.retention.board.task == "humaneval"
    assert section.kept(section.deltas[0]).verdict == "down"


def test_differences_are_those_of_the_library(tmp_path: Path) -> None:
    """A single seed each: the same numbers as `recode-eval compare` has."""
    folders = [make_run(tmp_path, name, chance) for name, chance in (("a", 0.3), ("b", 0.6))]
    runs, _ = load_runs([tmp_path])
    old, new = (evidence(next(r for r in runs if r.folder == f).problems) for f in folders)
    first, second = (read_run(folder / "results.json") for folder in folders)
    for metric in ("pass@1", "upass@1", "es_star"):
        expected = metric_difference(first, second, metric, 0.95)
        change = compared(old, new, metric)
        assert expected is not None
        assert change is not None
        assert change.value == pytest.approx(expected.estimate.mean)
        assert (change.low, change.high) == (expected.estimate.low, expected.estimate.high)
        assert change.p == expected.p_value
        assert change.detectable == expected.detectable
        assert new.estimate(metric)["value"] == pytest.approx(expected.candidate)


def one(values: dict[str, float | None]) -> Evidence:
    return Evidence({"pass@1": values}, {"pass@1": (0.0, 1.0)}, {key: key for key in values})


UNITS = st.lists(st.floats(0, 1) | st.none(), min_size=4, max_size=4)


@given(st.lists(UNITS, min_size=1, max_size=4))
def test_seeds_are_pooled_by_the_mean_per_problem(seeds: list[list[float | None]]) -> None:
    members = [one({str(i): value for i, value in enumerate(values)}) for values in seeds]
    together = pooled(members).values["pass@1"]
    for index, values in enumerate(zip(*seeds, strict=True)):
        known = [value for value in values if value is not None]
        expected = math.fsum(known) / len(known) if known else None
        assert together[str(index)] == (None if expected is None else pytest.approx(expected))


def test_a_second_seed_is_no_second_problem() -> None:
    """Twice the same values leave the interval as wide as it was."""
    values = {str(i): float(i % 3 == 0) for i in range(30)}
    single, double = one(values), pooled([one(values), one(values)])
    assert single.estimate("pass@1") == double.estimate("pass@1")


def test_only_exploratory_verdicts_follow_the_adjusted_p_value() -> None:
    """Of many metrics some differ by luck; the ranking one has one verdict wherever it stands."""
    change = Change(0.1, 0.01, 0.19, 0.03, 0.12, 50)
    assert [item.verdict for item in adjusted([change], ["es_star"]) if item] == ["up"]
    several = adjusted([change, change, None], ["es_star"] * 3)
    assert [item.verdict for item in several if item] == ["same", "same"]
    ranking = adjusted([change, change, None], ["pass@1"] * 3)
    assert [(item.verdict, item.p_words) for item in ranking if item] == [
        ("up", "p 0.030 (Holm: 0.060)")
    ] * 2
    untested = Change(0.1, None, None, None, None, 50)
    assert adjusted([untested], ["es"])[0].verdict == "none"
    assert Change(-0.1, -0.2, -0.05, 0.01, None, 50, 0.01).verdict == "down"


def test_only_runs_of_one_board_are_paired(tmp_path: Path) -> None:
    """Another temperature is another board: no difference, however large."""
    make_run(tmp_path, "base-1B", 0.2, temperature=0.8)
    make_run(tmp_path, "sft-1B", 0.9, temperature=0.2)
    runs, _ = load_runs([tmp_path])
    book = facts(**{"base*": ("B", "untrained"), "sft*": ("B", "SFT")})
    assert blocks(boards(runs), book) == []


def test_what_is_not_known_or_a_baseline_is_in_no_block(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        make_run(tmp_path, name, 0.5)
    runs, _ = load_runs([tmp_path])
    book = facts(one=("B", "baseline"), two=("B", None), three=(None, "SFT"))
    assert blocks(boards(runs), book) == []


def test_a_run_with_unscored_samples_is_shown_and_not_compared(tmp_path: Path) -> None:
    make_run(tmp_path, "base", 0.5)
    make_run(tmp_path, "sft-a", 0.5)
    make_run(tmp_path, "sft-b", 0.9, unscored=30)
    runs, _ = load_runs([tmp_path])
    book = facts(**{"base": ("B", "untrained"), "sft*": ("B", "SFT")})
    (block,) = blocks(boards(runs), book)
    row = block.sections[0].row("SFT")
    assert [run.why_not == "" for run in row.runs] == [True, False]
    assert row.metrics["pass@1"] == row.counted[0].metrics["pass@1"]


def test_two_names_of_one_method_are_one_row(tmp_path: Path) -> None:
    for name in ("base", "grpo-a", "grpo-b"):
        make_run(tmp_path, name, 0.5)
    runs, _ = load_runs([tmp_path])
    book = facts(**{"base": ("B", "none"), "grpo-a": ("B", "GRPO"), "grpo-b": ("B", "grpo")})
    (block,) = blocks(boards(runs), book)
    assert [len(row.runs) for row in block.sections[0].rows] == [1, 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"es_star": 5.0}, "es_star of the problem"),
        ({"passed": 99}, "99 of 4 samples"),
        ({"n": None}, "problems[1].n"),
        ({"es_star": "1"}, "problems[1].es_star"),
        ({"similarity": {"es": 1}, "measures": {"new_api": -0.5}}, "new_api of the problem"),
    ],
)
def test_values_that_no_run_has_are_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """An ES* of 5 would put the mean outside of its range and stop the build."""
    file = make_run(tmp_path, "m", 0.5) / "results.json"
    results = json.loads(file.read_text())
    results["problems"][1].update(change)
    file.write_text(json.dumps(results))
    with pytest.raises(DataError, match="damaged") as raised:
        read_run(file)
    assert said in str(raised.value)
    _, [broken] = load_runs([tmp_path])
    assert said in broken.reason


def test_reported_differences_are_computed_not_copied() -> None:
    rows = [
        ReportedRow("m", "B", "SFT", 7, "humaneval-plus", {"pass@1": 0.702}, "s", "u", "n"),
        ReportedRow("m", "B", "untrained", 7, "humaneval-plus", {"pass@1": 0.841}, "s", "u", "n"),
        ReportedRow("m", "alone", "untrained", 7, "arena", {"pass@1": 0.5}, "s", "u", "n"),
    ]
    found = reported_methods(rows)
    assert [(item.base, item.method) for item in found] == [("B", "untrained"), ("B", "SFT")]
    value, more = found[1].figures["humaneval-plus", "pass@1"]
    assert (value, more) == (0.702, pytest.approx(-0.139))


def test_retention_stands_against_gain_to_the_base(found: Any) -> None:
    first = tradeoffs(found)[0]
    assert [delta.method for _, _, delta, _, _ in first.points] == ["SFT", "GRPO", "DAPO"]
    assert {delta.reference for _, _, delta, _, _ in first.points} == {"untrained"}
    point, _, _, gain, kept = first.points[0]
    assert (point.x.value, point.y.value) == (gain.value, kept.value)


def test_the_folder_of_a_comparison_is_enough(site: Path) -> None:
    """Facts, trainings and runs are found in it; checkpoints are not listed as models."""
    rows = json.loads((site / "data" / "leaderboard.json").read_text())["rows"]
    names = {row["model"] for row in rows if row["source"] == "measured"}
    assert names == {"Tiny-1B/base", *(f"Tiny-1B/{m}-seed{s}" for m in ("sft", "grpo", "dapo")
                                       for s in range(2))}  # fmt: skip
    methods = json.loads((site / "data" / "methods.json").read_text())
    assert [item["board"].split()[0] for item in methods] == [
        "arena-mini", "arena-multi", "humaneval",
    ]  # fmt: skip
    assert (site / "training.html").is_file()
    index = (site / "index.html").read_text()
    assert 'href="methods.html"' in index
    assert "Retention against gain" in index


def test_the_runs_of_a_comparison_find_the_trainings_beside_them(
    comparison: Path, tmp_path: Path
) -> None:
    build([comparison / "runs"], tmp_path / "site", models=[comparison / "models.yaml"])
    assert (tmp_path / "site" / "training.html").is_file()


def test_final_models_of_a_training_are_known_by_their_facts(
    comparison: Path, tmp_path: Path
) -> None:
    """`training` ties a model on the boards to the rewards it was trained with."""
    folder = tmp_path / "copy"
    shutil.copytree(comparison, folder, symlinks=True)
    make_run(folder / "runs", "Tiny-1B/grpo-format", 0.3, n=5)
    content = json.loads((folder / "models.yaml").read_text())
    entry = {"match": "Tiny-1B/grpo-format", "base": "Tiny-1B", "method": "GRPO (format)"}
    content["models"].append({**entry, "training": "arms/grpo-format"})
    (folder / "models.yaml").write_text(json.dumps(content))
    build([folder], tmp_path / "site")
    page = (tmp_path / "site" / "training.html").read_text()
    tables = re.findall(r'<h3 id="a-\w+">([^<]*)</h3>', page)
    assert len(tables) == 2
    assert any(re.fullmatch(r"GRPO on arena-mini #\w{4}, final models", t) for t in tables)
    assert "GRPO on arena-mini, evaluation at step 40" in tables
    final = page[page.index("final models") :]
    assert "Against format + es_star" in final


def test_two_builds_of_trainings_are_byte_identical(
    comparison: Path, site: Path, tmp_path: Path
) -> None:
    build([comparison], tmp_path / "again")
    for name in ("index.html", "methods.html", "training.html", "data/methods.json",
                 "data/training.json"):  # fmt: skip
        assert (tmp_path / "again" / name).read_bytes() == (site / name).read_bytes(), name


def test_pages_without_facts_or_logs_are_not_made(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "some", 0.5)
    build([tmp_path / "runs"], tmp_path / "site", reported=False)
    assert not (tmp_path / "site" / "methods.html").exists()
    assert not (tmp_path / "site" / "training.html").exists()
    with pytest.raises(UsageError, match=r"No training in"):
        build([tmp_path / "runs"], tmp_path / "site", trainings=[tmp_path / "runs"])


@pytest.fixture
def browser(window: Browser) -> Iterator[Browser]:
    """A window in which no test may leave a complaint or a request to elsewhere."""
    with undisturbed(window):
        yield window


@pytest.mark.browser
def test_choosing_base_and_task_is_in_the_url(browser: Browser, tmp_path: Path) -> None:
    names = {"Alpha": 0.2, "Beta": 0.4}
    entries = []
    for base, chance in names.items():
        for method, more in (("untrained", 0.0), ("SFT", 0.3)):
            name = f"{base}-{method}"
            entries.append({"match": name, "base": base, "method": method})
            make_run(tmp_path / "runs", name, chance + more, n=1)
    (tmp_path / "facts.yaml").write_text(json.dumps({"models": entries}))
    build([tmp_path / "runs"], tmp_path / "site", models=[tmp_path / "facts.yaml"])
    page = tmp_path / "site" / "methods.html"
    browser.open(page)
    assert browser.texts(".card > h2") == ["Alpha", "Beta"]
    browser.type("#pick-block input", "bet")
    assert browser.texts(".card > h2") == ["Beta"]
    assert browser.texts("#pick-status") == ["1 of 2 base models"]
    fragment = browser.run("return location.hash.slice(1)")
    browser.open(page, f"{fragment}&task=arena-mini&sort.scores-2-x=1.desc")
    assert browser.texts(".card > h2") == ["Beta"]
    assert browser.run("return document.querySelector('#pick-block select').value") == "arena-mini"
    assert browser.complaints() == []
    assert serious(browser, axe_source()) == []
    browser.complaints()  # The checker asks for style sheets, which the page's policy forbids.
    browser.open(page, "base=nothing&task=unknown")
    assert browser.texts(".card > h2") == []


@pytest.mark.browser
def test_differences_sort_and_glyphs_have_words(browser: Browser, site: Path) -> None:
    browser.open(site / "methods.html")
    table = browser.run("return document.querySelector('table[id^=deltas]').id")
    browser.click(f"#{table} thead th:nth-child(2) button")
    assert browser.texts(f"#{table} tbody th")[0] == "DAPO - untrained"
    assert f"sort.{table}=pass@1.desc" in browser.fragment
    words = browser.run(
        "return [...document.querySelectorAll(`#${arguments[0]} .glyph`)].map(e => e.textContent)",
        table,
    )
    assert words
    assert all(re.search(r"higher|lower|not distinguishable|no test", text) for text in words)
    browser.click("details[data-keep^=runs] > summary")
    browser.wait_for("details[data-keep^=runs][open]")
    assert "show=runs-" in browser.fragment


@pytest.mark.browser
def test_lines_have_the_colours_of_the_theme(browser: Browser, site: Path) -> None:
    browser.open(site / "training.html")
    colour = "return getComputedStyle(document.querySelector('.panels .line.c0')).stroke"
    assert browser.run(colour) == "rgb(11, 87, 176)"
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    browser.command("Emulation.setEmulatedMedia", features=[dark])
    try:
        assert browser.run(colour) == "rgb(122, 183, 255)"
    finally:
        browser.command("Emulation.setEmulatedMedia", features=[{**dark, "value": "light"}])


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_new_pages_are_no_wider_than_the_screen(
    browser: Browser, site: Path, width: int
) -> None:
    size = {"height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.command("Emulation.setDeviceMetricsOverride", width=width, **size)
    try:
        for name in ("methods.html", "training.html", "index.html"):
            browser.open(site / name)
            browser.run("document.querySelectorAll('details').forEach((d) => d.open = true)")
            assert browser.run("return document.documentElement.scrollWidth") <= width, name
    finally:
        browser.command("Emulation.setDeviceMetricsOverride", width=1280,
                        **{**size, "mobile": False})  # fmt: skip


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious_in_the_new_pages(site: Path, dark: bool) -> None:
    source, window = axe_source(), Browser(dark=dark)
    try:
        for name in ("methods.html", "training.html", "index.html"):
            window.open(site / name)
            window.run(
                "document.querySelectorAll('details:not(.facet)').forEach((d) => d.open = true)"
            )
            assert serious(window, source) == [], name
    finally:
        window.close()


@pytest.mark.browser
def test_hostile_names_of_models_methods_and_trainings_stay_text(
    browser: Browser, tmp_path: Path
) -> None:
    """Base, method, reward and task names come from files that strangers may send."""
    entries: list[dict[str, Any]] = []
    for index, text in enumerate(CORPUS):
        text = text[:200].encode("utf-8", "replace").decode()
        for method in ("untrained", f"{text}{index}"):
            name = f"run {index} {len(method)}"
            entries.append({"match": name, "base": f"b{text}", "method": method})
            make_run(tmp_path / "runs", name, 0.5, n=1)
        settings = config("grpo", model=f"x/{text}", max_steps=2, rewards={**PAPER, text: 1.0},
                          learning_rate=text, seed=index)  # fmt: skip
        make_training(tmp_path / "logs" / f"t{index}", settings)
        with (tmp_path / "logs" / f"t{index}" / "train.jsonl").open("a") as file:
            file.write(json.dumps({"step": 2, "evaluation": {text[:90]: {"pass@1": 0.5}}}) + "\n")
    (tmp_path / "facts.json").write_text(json.dumps({"models": entries}))
    built = build([tmp_path / "runs"], tmp_path / "site", models=[tmp_path / "facts.json"],
                  trainings=[tmp_path / "logs"])  # fmt: skip
    assert built.broken == ()
    foreign = "iframe, img, svg[onload], meta[http-equiv=refresh], body[onload]"
    for name in ("methods.html", "training.html", "index.html"):
        browser.open(tmp_path / "site" / name)
        browser.run("document.querySelectorAll('details').forEach((d) => d.open = true)")
        assert browser.run("return window.pwned") is None, name
        assert browser.run(f"return document.querySelectorAll('{foreign}').length") == 0
