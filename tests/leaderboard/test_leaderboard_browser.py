"""What people do with the site, in a real browser, from `file://`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe import axe_source, serious
from chromium import Browser, undisturbed
from hostile import CORPUS
from made_runs import make_run

from recode_eval.leaderboard.site import build

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    make_run(runs, "Strong-7B", 0.9, texts=["let me think", "well"])
    make_run(runs, "Middling-32B", 0.5, created="2026-02-01T00:00:00+00:00")
    make_run(runs, "Weak-1.5B", 0.1, created="2026-01-01T00:00:00+00:00", backend="vllm")
    make_run(runs, "Weak-1.5B", 0.1, task_name="arena-multi")
    out = tmp_path_factory.mktemp("out") / "site"
    build([runs], out)
    return out


@pytest.fixture
def browser(window: Browser, site: Path) -> Iterator[Browser]:
    """A window in which no test may leave a complaint or a request to elsewhere."""
    with undisturbed(window):
        window.open(site / "index.html")
        yield window


FOREIGN = "iframe, img, svg[onload], meta[http-equiv=refresh], body[onload]"
OPEN_ALL = """
const open = (what) => document.querySelectorAll(what).forEach((item) => {
  item.open = true;
  item.dispatchEvent(new Event("toggle"));  // the browser's own comes later
});
["details", "details.sample", "details.sample details"].forEach(open);
"""


def test_a_click_sorts_and_says_so(browser: Browser) -> None:
    header = '#results thead th[data-col="pass@1"]'
    browser.click(f"{header} button")
    assert browser.run(f"return document.querySelector('{header}').ariaSort") == "descending"
    assert browser.texts("#results tbody th")[0] == "Strong-7B"
    browser.click(f"{header} button")
    assert browser.run(f"return document.querySelector('{header}').ariaSort") == "ascending"
    assert browser.texts("#results tbody th")[0] == "Weak-1.5B"
    assert browser.run("return document.querySelectorAll('[aria-sort]').length") == 1


def test_what_has_no_value_is_last_in_both_directions(browser: Browser) -> None:
    browser.click("label:has([name=board][value=''])")
    browser.click("label:has([name=with][value=reported])")
    for _ in range(2):
        browser.click("#results thead th[data-col=rank] button")
        last = "return document.querySelector('#results tbody tr:last-child').cells[2].textContent"
        assert browser.run(last) == "-"


def test_the_keyboard_sorts(browser: Browser) -> None:
    button = browser.driver.find_element("css selector", "#results th[data-col=model] button")
    button.send_keys("\ue007")  # Enter
    assert browser.run("return document.querySelector('#results thead th').ariaSort") == "ascending"


def test_search_and_filters_hide_rows_and_count_them(browser: Browser) -> None:
    assert len(browser.texts("#results tbody tr")) == 3  # the main board, and no published row
    browser.click("label:has([name=with][value=reported])")
    browser.click("label:has([name=board][value=''])")
    total = len(browser.texts("#results tbody tr"))
    assert total == 4 + 18
    browser.type("input[name=q]", "weak arena-multi")
    assert browser.texts("#results tbody th") == ["Weak-1.5B"]
    assert browser.texts("[data-status=results]") == [f"1 of {total} rows"]
    browser.click("button[type=reset]")
    assert len(browser.texts("#results tbody tr")) == 3
    browser.click("label:has([name=board][value=''])")
    browser.click("details.facet:has([name=source]) summary")
    browser.click("input[name=source][value=measured]")
    assert len(browser.texts("#results tbody tr")) == 4
    browser.click("input[name=backend][value=vllm]")
    assert browser.texts("#results tbody th") == ["Weak-1.5B"]


def test_a_date_window_leaves_only_its_runs(browser: Browser, site: Path) -> None:
    browser.open(site / "index.html", "from=2026-01-15&to=2026-02-15")
    assert browser.texts("#results tbody th") == ["Middling-32B"]


def test_the_url_restores_filters_sort_and_search(browser: Browser, site: Path) -> None:
    browser.click("details.facet:has([name=size]) summary")
    browser.click("input[name=size][value='1.5B']")
    browser.click("input[name=size][value='32B']")
    browser.click("h1")
    browser.type("input[name=q]", "mini")
    browser.click("#results thead th[data-col='pass@1'] button")
    browser.click("#results thead th[data-col='pass@1'] button")
    shown = browser.texts("#results tbody th")
    assert shown == ["Weak-1.5B", "Middling-32B"]
    fragment = browser.run("return location.hash.slice(1)")
    browser.open(site / "index.html", fragment)
    assert browser.texts("#results tbody th") == shown
    assert browser.run("return document.querySelector('[name=q]').value") == "mini"
    browser.click("#results tbody tr:not([hidden]) [data-pick]")
    browser.click("button[type=reset]")
    assert browser.fragment == ""  # sort and ticks were left
    assert (
        browser.run("return document.querySelectorAll('[aria-sort], :checked[data-pick]').length")
        == 0
    )
    browser.driver.refresh()
    assert len(browser.texts("#results tbody tr")) == 3


def test_a_board_its_baselines_and_columns_are_chosen(browser: Browser, site: Path) -> None:
    assert browser.texts("#results th[data-col=backend]") == []
    browser.click("details.facet:has([name=cols]) summary")
    browser.click("input[name=cols][value=backend]")
    browser.click("input[name=cols][value='es_star']")
    assert browser.texts("#results th[data-col=backend]") == ["Backend"]
    assert browser.texts("#results th[data-col=es_star]") == []
    browser.click("h1")
    browser.click("label:has([name=board]):nth-of-type(2)")
    shown = browser.texts("#results tbody th")
    assert shown == ["Weak-1.5B"]
    assert browser.texts("#results tbody td.of-all") == []
    fragment = browser.run("return location.hash.slice(1)")
    browser.open(site / "index.html", fragment)
    assert browser.texts("#results tbody th") == shown
    assert browser.texts("#results th[data-col=backend]") == ["Backend"]
    browser.open(site / "index.html", "board=nonsense&cols=-")
    assert len(browser.texts("#results tbody tr")) == 3
    assert browser.texts("#results thead th") == ["Model", "Rank"]


def test_a_column_of_dashes_is_not_shown(browser: Browser, tmp_path: Path) -> None:
    """UPass@1 and the size stood there for a board whose models have neither."""
    for name in ("one", "two"):
        make_run(tmp_path / "runs", name, 0.5)
    make_run(tmp_path / "runs", "big", 0.5, task_name="arena-multi")
    facts = tmp_path / "models.yaml"
    facts.write_text("models:\n  - {match: big, base: b, method: SFT, size_b: 7}\n")
    build([tmp_path / "runs"], tmp_path / "site", models=[facts])
    page = (tmp_path / "site" / "index.html").read_text()
    assert re.search(r'<th [^>]*data-col="size"[^>]* hidden>', page), "without a script"
    browser.open(tmp_path / "site" / "index.html")
    assert browser.texts("#results th[data-col=size]") == []
    browser.click("label:has([name=board]):nth-of-type(2)")
    assert browser.texts("#results tbody th") == ["big"]
    assert browser.texts("#results th[data-col=size]") == ["Size"]


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844)])
def test_the_ranking_is_seen_without_scrolling(
    browser: Browser, site: Path, width: int, height: int
) -> None:
    """The table began at 2,155 pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.command("Emulation.setDeviceMetricsOverride", **size)
    try:
        browser.open(site / "index.html")
        bottom = browser.run(
            "return document.querySelector('#results tbody tr:nth-child(2)')"
            ".getBoundingClientRect().bottom"
        )
        assert bottom < height
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.run(wide) <= 0
    finally:
        browser.command("Emulation.clearDeviceMetricsOverride")


def test_the_head_of_the_table_stays_while_scrolling(browser: Browser) -> None:
    box = browser.run(
        "const box = document.querySelector('.tall'); box.style.maxHeight = '120px';"
        "box.scrollTop = 60; const head = box.querySelector('thead th').getBoundingClientRect();"
        "return [box.scrollTop, head.top - box.getBoundingClientRect().top]"
    )
    assert box[0] > 0
    assert abs(box[1]) < 2


def test_a_garbled_url_state_does_no_harm(browser: Browser, site: Path) -> None:
    browser.open(
        site / "index.html", "sort.results=999.asc&q=%E0%A4%A&task=<b>&sort.results=x&=&from=now"
    )
    assert len(browser.texts("#results tbody tr")) in {0, 3}


def test_from_a_model_to_a_problem_and_its_answers(browser: Browser) -> None:
    browser.click("#results tbody tr:first-child a")
    assert browser.texts("h1") == ["Strong-7B"]
    browser.click("details[data-keep] > summary")
    browser.click("details[data-keep] tbody a")
    assert browser.texts("details.run[open] > summary")[0].startswith("Strong-7B")
    browser.click("details.run[open] details.sample summary")
    browser.wait_for("details.sample[open] pre.code")
    code = browser.texts("details.sample[open] pre.code")
    assert "def " in code[0]
    assert browser.run("return document.querySelectorAll('details.sample[open] .tk').length") > 0
    heads = browser.texts("details.sample[open] table.verdicts thead th")
    assert heads == ["Test", "with update", "without update"]
    assert len(browser.texts("details.sample[open] table.verdicts tbody tr")) == 2
    assert ".0" in browser.fragment


def test_the_diff_against_the_reference_names_the_added_line(browser: Browser, site: Path) -> None:
    _open_answer(browser, site)
    browser.run(
        "const item = document.querySelector('details.sample[open] > div > details');"
        "item.open = true; item.dispatchEvent(new Event('toggle'));"
    )
    browser.wait_for("details.sample[open] .diff .added")
    added = browser.texts("details.sample[open] .diff .added")
    assert any(line.startswith("+ #") for line in added)


def test_an_open_answer_is_restored_from_the_url(browser: Browser, site: Path) -> None:
    _open_answer(browser, site)
    fragment = browser.run("return location.hash.slice(1)")
    page = Path(browser.run("return decodeURIComponent(location.pathname)"))
    browser.open(page, fragment)
    assert len(browser.texts("details.run[open]")) == 1
    assert len(browser.texts("details.sample[open]")) == 1
    assert browser.run("return location.hash.slice(1)") == fragment


def test_three_clicks_lead_from_the_first_page_to_what_failed(browser: Browser) -> None:
    """It took seven clicks to an AssertionError without the test or the answer."""
    browser.click("nav a[href='failures.html']")
    browser.click("table tbody td.num a")
    browser.click("details[open] tbody td a")
    browser.wait_for("details.sample[open] .failing .why")
    assert browser.texts("details.sample[open] .failing .why")[0].startswith(
        "test_two failed at line 2"
    )
    assert browser.texts("details.sample[open] pre.code")
    assert browser.texts("details.sample[open] .diff .added, details.sample[open] .diff .removed")


def test_the_keyboard_moves_in_the_heat_map_and_opens_an_answer(
    browser: Browser, site: Path
) -> None:
    browser.open(sorted((site / "tasks").glob("arena-mini*.html"))[0])
    browser.run("document.querySelector('details.heat-map').open = true")
    browser.wait_for("[data-state=ready] canvas")
    canvas = browser.driver.find_element("css selector", ".heat canvas")
    assert browser.texts(".heat-names li")[0].startswith("Strong-7B")
    canvas.send_keys("\ue015\ue014\ue014")  # down, right, right
    assert browser.texts("[data-state=ready] .status")[0].startswith("Middling-32B, ")
    canvas.send_keys("\ue007")
    browser.wait_for("details.run[open]")
    assert browser.texts("details.run[open] > summary")[0].startswith("Middling-32B")


def _open_answer(browser: Browser, site: Path) -> None:
    browser.open(sorted((site / "problems").glob("arena-mini*/*.html"))[0])
    browser.click("details.run > summary")
    browser.click("details.run details.sample > summary")
    browser.wait_for("details.sample[open] pre.code")


def test_the_theme_follows_the_system_and_the_button(browser: Browser, site: Path) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    assert browser.run(background) == "rgb(255, 255, 255)"
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    browser.command("Emulation.setEmulatedMedia", features=[dark])
    assert browser.run(background) == "rgb(14, 17, 22)"
    browser.click("#theme")
    assert browser.texts("#theme") == ["Theme: light"]
    assert browser.run(background) == "rgb(255, 255, 255)"
    browser.command("Emulation.setEmulatedMedia", features=[{**dark, "value": "light"}])
    browser.click("#theme")
    assert browser.run(background) == "rgb(14, 17, 22)"
    browser.open(site / "index.html")
    assert browser.run(background) == "rgb(14, 17, 22)", "the choice is kept"
    browser.click("#theme")
    assert browser.texts("#theme") == ["Theme: system"]


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_page_is_wider_than_the_screen(browser: Browser, site: Path, width: int) -> None:
    """Wide tables scroll by themselves; the page does not."""
    size = {"height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.command("Emulation.setDeviceMetricsOverride", width=width, **size)
    try:
        pages = [site / "index.html"]
        pages += [
            sorted((site / kind).rglob("*.html"))[0] for kind in ("models", "tasks", "problems")
        ]
        for page in pages:
            browser.open(page)
            browser.run(
                "document.querySelectorAll('details:not(.facet)').forEach((d) => d.open = true)"
            )
            assert browser.run("return document.documentElement.scrollWidth") <= width, (
                page.parent.name
            )
    finally:
        browser.command(
            "Emulation.setDeviceMetricsOverride", width=1280, **{**size, "mobile": False}
        )


def test_print_shows_no_controls(browser: Browser) -> None:
    browser.command("Emulation.setEmulatedMedia", media="print")
    try:
        assert browser.texts(".filters") == []
        assert browser.texts("#theme") == []
        assert len(browser.texts("#results tbody tr")) == 3  # what is shown is printed
    finally:
        browser.command("Emulation.setEmulatedMedia", media="")


def test_hostile_runs_stay_text(browser: Browser, tmp_path: Path) -> None:
    """Script tags, `</script>`, handlers, javascript: links, control characters, 1 MB lines."""
    for index, text in enumerate(CORPUS):
        make_run(tmp_path / "runs", f"{text[:300]}{index}", 0.5, n=1, texts=CORPUS,
                 backend=text[:300], faulty=text[:300])  # fmt: skip
    build([tmp_path / "runs"], tmp_path / "site")
    pages = sorted((tmp_path / "site").rglob("*.html"))
    chosen = [p for p in pages if p.parent.parent.name != "problems"]
    chosen += [p for p in pages if p.parent.parent.name == "problems"][:4]
    for page in chosen:
        browser.open(page)
        browser.run(OPEN_ALL)
        assert browser.run("return window.pwned") is None, page
        assert browser.run(f"return document.querySelectorAll('{FOREIGN}').length") == 0
    samples = browser.run("return document.querySelectorAll('details.sample').length")
    assert samples == len(CORPUS)


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(site: Path, dark: bool) -> None:
    source, window = axe_source(), Browser(dark=dark)
    try:
        kinds = ("models", "tasks", "problems")
        pages = [site / "index.html", *(sorted((site / k).rglob("*.html"))[0] for k in kinds)]
        for page in pages:
            window.open(page)
            window.run(OPEN_ALL.replace('"details",', '"details:not(.facet)",'))
            assert serious(window, source) == [], page
    finally:
        window.close()
