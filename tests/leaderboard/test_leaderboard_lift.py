"""The page on documentation: its figures, hostile names, and how it looks in a real browser."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from axe import axe_source, serious
from chromium import Browser
from hostile import CORPUS
from made_runs import make_run

from recode_eval.comparison.lift import lifts
from recode_eval.conversations.settings import ConversationSettings
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
    assert '<a href="lift.html">Documentation</a>' in (site / "index.html").read_text()
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
    assert page.count("<script") == 2
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
    assert "Prompt of 1 run(s): note</summary>" in problem
    assert "none / none, 3 turns, tools run" in problem
    assert "<img" not in problem
