"""Choosing runs by typing, and two answers side by side, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe import axe_source, serious
from chromium import Browser, undisturbed
from hostile import CORPUS
from made_runs import make_run

from recode_eval.leaderboard.site import build

pytestmark = pytest.mark.browser

DOWN, UP, ENTER, ESCAPE, PAGE_DOWN = "\ue015", "\ue013", "\ue007", "\ue00c", "\ue00f"
NAMES = ("Strong-7B", "Middling-32B", "Weak-1.5B")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    for name, chance in zip(NAMES, (0.9, 0.5, 0.1), strict=True):
        make_run(runs, name, chance, n=3)
    out = tmp_path_factory.mktemp("out") / "site"
    build([runs], out, reported=False)
    return out


@pytest.fixture
def browser(window: Browser, site: Path) -> Iterator[Browser]:
    """A window in which no test may leave a complaint or a request to elsewhere."""
    with undisturbed(window):
        window.open(site / "compare.html")
        window.wait_for("#comparison[data-state=ready]")
        yield window


def enter(browser: Browser, field: str, *keys: str) -> None:
    """Press keys in a field as a person does who came by the mouse: its text is selected."""
    browser.click(field)
    browser.driver.switch_to.active_element.send_keys(*keys)


def state(browser: Browser) -> list[object]:
    """What a screen reader is told of the field for A: open, the active option, the value."""
    return browser.run(
        "const f = document.getElementById('a-field');"
        "const active = document.getElementById(f.getAttribute('aria-activedescendant'));"
        "return [f.ariaExpanded, active && active.textContent, f.value];"
    )


def test_a_run_is_found_by_typing_and_chosen_by_the_keyboard(browser: Browser) -> None:
    before = browser.run("return document.getElementById('a').value")
    enter(browser, "#a-field", "weak rank")
    assert [text.split(" (")[0] for text in browser.texts("#a-list li")] == ["Weak-1.5B"]
    opened, active, _ = state(browser)
    assert opened == "true"
    assert str(active).startswith("Weak-1.5B (")
    assert browser.texts(".combo [role=status]")[0] == "1 of 3"
    browser.driver.switch_to.active_element.send_keys(ENTER)
    browser.wait_for("#comparison[data-state=ready]")
    assert browser.run("return document.getElementById('a').value") != before
    assert browser.texts("#a-list") == []
    assert str(state(browser)[2]).startswith("Weak-1.5B (")
    assert "A: Weak-1.5B" in browser.texts("#comparison > p")[0]
    assert browser.fragment.startswith("#a=")


def test_arrows_move_around_the_list_and_escape_keeps_the_choice(browser: Browser) -> None:
    field = browser.driver.find_element("css selector", "#a-field")
    kept = state(browser)[2]
    field.send_keys(DOWN)
    assert state(browser)[1] == kept
    order = browser.texts("#a-list li")
    assert len(order) == 3
    field.send_keys(PAGE_DOWN, DOWN)
    assert state(browser)[1] == order[0]  # around the end
    field.send_keys(UP)
    assert state(browser)[1] == order[-1]
    field.send_keys(ESCAPE)
    enter(browser, "#a-field", "nonsense")
    assert browser.texts("#a-list li") == ["Nothing has these words"]
    field.send_keys(ENTER)  # chooses nothing
    field.send_keys(ESCAPE)
    assert state(browser) == ["false", None, kept]


def test_a_click_chooses_and_leaving_restores_the_text(browser: Browser) -> None:
    browser.click("#a-field")
    browser.click("#a-list li:last-child")
    browser.wait_for("#comparison[data-state=ready]")
    chosen = state(browser)[2]
    enter(browser, "#a-field", "stro")
    browser.click("h1")
    assert state(browser) == ["false", None, chosen]


def test_a_long_list_is_drawn_in_part_and_found_in_whole(browser: Browser) -> None:
    """A list of 200 models could only be scrolled."""
    browser.run(
        "const a = document.getElementById('a');"
        "for (let i = 0; i < 250; i++) a.append(new Option(`model ${i}<img src=x>`, `x${i}`));"
    )
    browser.click("#a-field")
    assert browser.texts("#a-list li")[-1] == "153 more: type to find them"
    browser.driver.switch_to.active_element.send_keys("<img 249")
    assert browser.texts("#a-list li") == ["model 249<img src=x>"]
    browser.type("#a-field", ESCAPE)


def open_sides(browser: Browser, page: Path, fragment: str = "") -> list[str]:
    """Open a problem and return the keys of its runs."""
    browser.open(page, fragment)
    browser.wait_for("#side-a-field")
    keys = "return [...document.querySelectorAll('details.run')].map((d) => d.dataset.run)"
    return list(browser.run(keys))


def test_two_answers_stand_side_by_side_and_are_in_the_address(
    browser: Browser, site: Path
) -> None:
    page = sorted((site / "problems").glob("arena-mini*/*.html"))[0]
    a, b = open_sides(browser, page)[:2]
    for name, words in (("a", "strong"), ("b", "weak")):
        enter(browser, f"#side-{name}-field", words, ENTER)
    browser.wait_for("#both[data-state=ready] .sides > div:nth-child(2) pre.code")
    heads = browser.texts("#both .sides h3")
    assert [head.split()[:2] for head in heads] == [["A:", "Strong-7B"], ["B:", "Weak-1.5B"]]
    assert browser.texts("#both > details > pre.diff")
    browser.run(
        "const s = document.getElementById('sample-b'); s.value = '2';"
        "s.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    browser.wait_for("#both[data-state=ready]")
    assert browser.fragment.endswith(".2")
    shown = browser.texts("#both .sides > div > p:nth-child(2)")
    fragment = browser.fragment[1:]
    open_sides(browser, page, fragment)
    browser.wait_for("#both[data-state=ready] .sides pre.code")
    assert browser.texts("#both .sides h3") == heads
    assert browser.texts("#both .sides > div > p:nth-child(2)") == shown
    browser.click("a[rel=next]")
    assert browser.texts("#sides .sides h3") == []
    open_sides(browser, page, f"a={a}.77&b={b}")  # no such sample: the first that fails
    browser.wait_for("#both[data-state=ready] .sides pre.code")
    open_sides(browser, page, "a=nobody.1&b=%3Cimg%3E")
    assert browser.texts("#both p") == ["Choose two runs to see an answer of each."]


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious_in_open_lists_and_pairs(site: Path, dark: bool) -> None:
    source, window = axe_source(), Browser(dark=dark)
    try:
        page = sorted((site / "problems").glob("arena-mini*/*.html"))[0]
        a, b = open_sides(window, page)[:2]
        open_sides(window, page, f"a={a}&b={b}")
        window.wait_for("#both[data-state=ready] .sides pre.code")
        window.type("#side-a-field", DOWN)
        assert window.texts("#side-a-list li")
        assert serious(window, source) == []
    finally:
        window.close()


def test_hostile_answers_stay_text_side_by_side(browser: Browser, tmp_path: Path) -> None:
    for index, text in enumerate(CORPUS[:12]):
        make_run(tmp_path / "runs", f"{text[:200]}{index}", 0.5, n=1, texts=CORPUS)
    build([tmp_path / "runs"], tmp_path / "site", reported=False)
    page = sorted((tmp_path / "site" / "problems").rglob("*.html"))[0]
    keys = open_sides(browser, page)
    for a, b in zip(keys[::2], keys[1::2], strict=True):
        open_sides(browser, page, f"a={a}&b={b}")
        browser.wait_for("#both[data-state=ready] .sides pre.code")
        browser.type("#side-a-field", DOWN)
        assert browser.run("return window.pwned") is None
        foreign = "img, iframe, svg[onload], meta[http-equiv=refresh]"
        assert browser.run(f"return document.querySelectorAll('{foreign}').length") == 0
        assert browser.run("return document.documentElement.scrollWidth") <= 1280
