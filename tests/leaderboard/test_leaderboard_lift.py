"""The page on documentation: its figures, hostile names, and how it looks in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest
from axe import axe_source, serious
from chromium import Browser
from hostile import CORPUS
from made_runs import make_run

from recode_eval.comparison.lift import lifts
from recode_eval.conversations.settings import ConversationSettings
from recode_eval.documentation.arms import arm_of
from recode_eval.leaderboard.charts import Whisker, forest_plot
from recode_eval.leaderboard.site import build
from recode_eval.run.results_file import read_run
from recode_eval.run.store import identity_hash

if TYPE_CHECKING:
    from pathlib import Path


def make_arms(folder: Path, name: str, *, other: str | None = None) -> None:
    """Store two arms of a model, and with `other` a third one of that name."""
    make_run(folder, name, 0.3, n=1, update_note=False)
    make_run(folder, name, 0.8, n=1)
    if other is not None:
        place = make_run(folder / "third", name, 0.5, n=1, update_note=False)
        content = json.loads((place / "results.json").read_text())
        docs = content["identity"]["docs"] = {"arm": other, "hash": "ab" * 32}
        content["prompt"]["docs"] = {**docs, "problems": 9, "mean_tokens": 9, "max_tokens": 9}
        content["run"] = identity_hash(content["identity"])
        (place / "results.json").write_text(json.dumps(content))
        manifest = json.loads((place / "manifest.json").read_text())
        manifest["identity"] = content["identity"]
        (place / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lift")
    for name in ("org/one", "org/two"):
        make_arms(folder / "runs", name, other="signature")
    build([folder / "runs"], folder / "site", reported=False)
    return folder / "site"


def test_the_page_has_the_figures_of_the_command(site: Path) -> None:
    page = (site / "lift.html").read_text()
    assert '<a href="lift.html">Effect of docs</a>' in (site / "index.html").read_text()
    assert page.count("Effect of docs") == 2, "the title and the link, no crumb"
    assert "trainings" not in page
    files = sorted((site.parent / "runs").rglob("results.json"))
    found = lifts([read_run(file) for file in files])
    assert len(found) == 2
    for item in found:
        assert item.model in page
        for effect in item.effects:
            mean = effect.primary.estimate.mean
            assert mean is not None
            assert re.search(rf'data-v="{re.escape(str(mean))}"', page), effect
    assert page.count("<tr>") == 1 + 2 * 3


def test_a_site_without_arms_has_no_such_page(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "alone", 0.5, n=1)
    build([tmp_path / "runs"], tmp_path / "site", reported=False)
    assert not (tmp_path / "site" / "lift.html").exists()


def test_two_runs_of_one_arm_do_not_stop_a_build(tmp_path: Path) -> None:
    """Graded twice, or sent twice: the command refuses that, a site of many must not."""
    make_arms(tmp_path / "runs", "m")
    make_run(tmp_path / "more", "m", 0.8, n=1)
    build([tmp_path / "runs", tmp_path / "more"], tmp_path / "site", reported=False)
    assert (tmp_path / "site" / "lift.html").exists()


def test_hostile_arms_and_models_stay_text(tmp_path: Path) -> None:
    for number, text in enumerate(CORPUS[:6]):
        make_arms(tmp_path / "runs", f"{text[:200]}{number}", other=text[:200] or "x")
    build([tmp_path / "runs"], tmp_path / "site", reported=False)
    page = (tmp_path / "site" / "lift.html").read_text()
    assert page.count("<script") == page.count('<script src="static/')
    assert not re.search(r"<(img|iframe|object|embed)\b", page)
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]", page)


def test_a_forest_plot_says_in_words_what_it_shows() -> None:
    rows = [Whisker("<b>", 0.25, 0.1, 0.4), Whisker("no interval", -0.05, None, None)]
    chart = str(forest_plot(rows, "title", "i"))
    assert "&lt;b&gt;: +25.0 points, interval +10.0 to +40.0" in chart
    assert "no interval: -5.0 points, no interval" in chart
    assert "style=" not in chart
    places = [float(x) for x in re.findall(r'class="dot ranked" cx="([0-9.]+)"', chart)]
    zero = float(re.findall(r'class="grid zero" x1="([0-9.]+)"', chart)[0])
    assert places[1] < zero < places[0]
    assert places[0] - zero == pytest.approx(5 * (zero - places[1]), abs=0.3)


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_the_screen_and_axe_finds_nothing_serious(site: Path, width: int) -> None:
    browser = Browser()
    try:
        browser.command(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        browser.open(site / "lift.html")
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert serious(browser, axe_source()) == []
    finally:
        browser.close()


def test_boards_and_prompts_name_an_unusual_arm_and_turns(tmp_path: Path) -> None:
    """Boards were told apart by four digits alone, and prompts by the number of their runs."""
    hostile = "<img src=x onerror=alert(1)>" + "x" * 100
    make_arms(tmp_path / "runs", "m", other=hostile)
    talk = ConversationSettings(3, ("run",))
    make_run(tmp_path / "more", "m", 0.5, n=1, update_note=False, conversation=talk)
    build([tmp_path / "runs", tmp_path / "more"], tmp_path / "site", reported=False)
    [page] = (tmp_path / "site" / "models").glob("*.html")
    headings = re.findall(r'<h2 id="[^"]*">(arena-mini #[^<]*)</h2>', page.read_text())
    notes = sorted(re.sub("^arena-mini #[0-9a-f]{4}", "", text) for text in headings)
    cut = f" ({hostile[:59]}…)".replace("<", "&lt;").replace(">", "&gt;")
    assert notes == ["", cut, " (none)", " (none, 3 turns, tools run)"]
    problem = sorted((tmp_path / "site" / "problems").rglob("*.html"))[0].read_text()
    assert "Prompt plain of 1 run: note</summary>" in problem
    assert "none / none, 3 turns, tools run" in problem
    assert "<img" not in problem


def test_the_chart_is_against_none_and_says_which_rows_it_lacks(tmp_path: Path) -> None:
    """The first model ruled: without the arm none of its own, the chart left out all others."""
    make_arms(tmp_path / "a", "apart", other="signature")
    for file in list((tmp_path / "a").rglob("results.json")):
        if arm_of(json.loads(file.read_text())) == "none":
            shutil.rmtree(file.parent)
    make_arms(tmp_path / "b", "whole", other="changelog")
    build([tmp_path / "a", tmp_path / "b"], tmp_path / "site", reported=False)
    page = (tmp_path / "site" / "lift.html").read_text()
    assert "of each arm minus that of none" in page
    assert "as there is no run of the arm none: apart (n = 1).</p>" in page
    labels = re.findall(r'<text class="label"[^>]*>([^<]*)<', page)
    assert labels == ["whole: note", "whole: changelog"]
    assert re.findall(r'class="sort">(Against [a-z]+)', page) == ["Against none", "Against note"]
    arms = re.findall(r"</th><td>([a-z]+)</td>", page)
    assert arms == ["note", "signature", "none", "note", "changelog"]


def test_a_long_name_hides_no_arm_in_the_chart(tmp_path: Path) -> None:
    """Labels were cut from the end, which is where the arm stands."""
    name = "organisation/" + "long" * 20
    make_arms(tmp_path / "runs", name)
    make_run(tmp_path / "runs", name, 0.5, n=1, conversation=ConversationSettings(3))
    talk = ConversationSettings(3)
    make_run(tmp_path / "runs", name, 0.5, n=1, conversation=talk, update_note=False)
    build([tmp_path / "runs"], tmp_path / "site", reported=False)
    page = (tmp_path / "site" / "lift.html").read_text()
    labels = re.findall(r'<text class="label"[^>]*>([^<]*)<', page)
    assert [label[-16:] for label in labels] == ["… (1 turn): note", " (3 turns): note"]
    assert all(label.startswith("organisation/") and len(label) <= 40 for label in labels)


def test_no_line_of_a_forest_plot_crosses_a_label() -> None:
    """On a phone the zero line ran through the names."""
    chart = str(forest_plot([Whisker("m" * 90, 0.2, 0.1, 0.3)] * 3, "title", "i"))
    labels = [float(y) for y in re.findall(r'class="label" x="32" y="([0-9.]+)"', chart)]
    lines = re.findall(r'class="grid[^"]*" x1="[0-9.]+" x2="[0-9.]+" y1="(\d+)" y2="(\d+)"', chart)
    assert (len(labels), len(lines)) == (3, 15)
    for top, bottom in lines:
        assert not any(float(top) < y + 4 and y - 12 < float(bottom) for y in labels)


@pytest.mark.browser
def test_long_arms_and_conversations_fit_a_phone(tmp_path: Path) -> None:
    """Beside a model's name on a problem's page, a board's label did not wrap."""
    make_arms(tmp_path / "runs", "organisation/model", other="file:" + "w" * 90)
    talk = ConversationSettings(3, ("run",))
    for note in (True, False):
        make_run(tmp_path / "talk", "m", 0.6, n=1, update_note=note, conversation=talk)
    site = tmp_path / "site"
    build([tmp_path / "runs", tmp_path / "talk"], site, reported=False)
    pages = [site / name for name in ("index.html", "lift.html", "compare.html")]
    pages += [min(site.rglob(f"{kind}/**/*.html")) for kind in ("tasks", "models", "problems")]
    browser = Browser()
    try:
        browser.command(
            "Emulation.setDeviceMetricsOverride",
            width=390, height=900, deviceScaleFactor=1, mobile=True,
        )  # fmt: skip
        for page in pages:
            browser.open(page)
            assert browser.run("return document.documentElement.scrollWidth") <= 390, page
            assert serious(browser, axe_source()) == [], page
    finally:
        browser.close()
