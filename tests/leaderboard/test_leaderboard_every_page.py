"""Every kind of page in a real browser: accessible, readable at any width, inert, by keyboard.

The pages are those that the site has, so a new kind of page is covered without an edit here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe import axe_source, serious
from chromium import Browser
from hostile import CORPUS
from whole_site import KINDS, pages, whole_site

pytestmark = pytest.mark.browser

OPEN = "document.querySelectorAll('details:not(.facet)').forEach((d) => { d.open = true; })"
FOREIGN = "iframe, img, svg[onload], meta[http-equiv=refresh], body[onload]"
TAB, ENTER = "\ue004", "\ue007"
WIDTHS = (390, 800, 1400, 1920)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_site(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    browser = Browser(1400, 900)
    yield browser
    browser.close()


def named(page: Path, site: Path) -> str:
    return page.relative_to(site).as_posix()


def test_the_site_has_every_kind_of_page(site: Path) -> None:
    assert {named(page, site).split("/")[0] for page in pages(site)} >= KINDS


def test_no_page_scrolls_sideways_and_none_complains(window: Browser, site: Path) -> None:
    """Wide tables and charts scroll by themselves, at the widths of a phone to a large screen."""
    wide, window.requests()[:] = {}, []
    window.complaints()
    for page in pages(site):
        window.open(page)
        window.run(OPEN)
        for width in WIDTHS:
            window.command(
                "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                mobile=width < 500,
            )  # fmt: skip
            found = window.run("return document.documentElement.scrollWidth")
            if found > width:
                wide[named(page, site), width] = found
    window.command(
        "Emulation.setDeviceMetricsOverride", width=1400, height=900, deviceScaleFactor=1,
        mobile=False,
    )  # fmt: skip
    assert wide == {}
    assert window.complaints() == []
    local = ("file://", "data:", "blob:", "about:")
    assert [url for url in window.requests() if not url.startswith(local)] == []


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_axe_finds_nothing_serious_on_any_page(window: Browser, site: Path, scheme: str) -> None:
    """In print only contrast is looked at: nobody clicks on paper."""
    feature = {"name": "prefers-color-scheme", "value": "dark" if scheme == "dark" else "light"}
    media = "print" if scheme == "print" else ""
    rules = ["color-contrast"] if scheme == "print" else None
    source, faults = axe_source(), {}
    window.command("Emulation.setEmulatedMedia", media=media, features=[feature])
    try:
        for page in pages(site):
            window.open(page)
            window.run(OPEN)
            found = serious(window, source, rules)
            if found:
                faults[named(page, site)] = found
    finally:
        window.command("Emulation.setEmulatedMedia", media="", features=[])
    assert faults == {}


def test_hostile_texts_are_inert_on_every_page(window: Browser, tmp_path: Path) -> None:
    """Also on those that have names, methods, libraries and causes of failure in charts."""
    site = whole_site(tmp_path, [text for text in CORPUS if len(text) < 1000])
    window.complaints()
    for page in pages(site):
        window.open(page)
        window.run(OPEN)
        assert window.run("return window.pwned") is None, page
        assert window.run(f"return document.querySelectorAll('{FOREIGN}').length") == 0, page
        assert window.run("return document.documentElement.scrollWidth") <= 1400, page
    assert window.complaints() == []


# The five jobs of docs/leaderboard-design.md, by the keyboard alone. ------------------------------


def focus(window: Browser, selector: str, most: int = 120) -> None:
    """Press Tab until an element that fits has the focus, and is seen to have it."""
    for _ in range(most):
        window.driver.switch_to.active_element.send_keys(TAB)
        if window.run("return document.activeElement.matches(arguments[0])", selector):
            style = "const s = getComputedStyle(document.activeElement); return s.outlineStyle"
            assert window.run(style) != "none", f"{selector} has the focus and does not show it"
            return
    raise AssertionError(f"{most} times Tab do not lead to {selector}")


def press(window: Browser, *keys: str) -> None:
    window.driver.switch_to.active_element.send_keys(*keys)


def heading(window: Browser) -> str:
    return str(window.texts("h1")[0])


def test_the_keyboard_finds_where_rl_beats_sft(window: Browser, site: Path) -> None:
    window.open(site / "index.html")
    focus(window, "nav a[href='methods.html']")
    press(window, ENTER)
    window.wait_for("section[data-base]")
    assert any("GRPO" in text for text in window.texts("section[data-base] table tbody th"))
    focus(window, "details:not([open]) > summary")
    press(window, ENTER)
    window.wait_for("details[open] svg.chart")


def test_the_keyboard_finds_whether_a_checkpoint_may_ship(window: Browser, site: Path) -> None:
    window.open(site / "index.html")
    assert "GRPO" in window.texts(".banner")[0]
    focus(window, ".banner a")
    press(window, ENTER)
    window.wait_for("main .badge")
    focus(window, "main a[href^='compare.html#']")
    press(window, ENTER)
    window.wait_for("#comparison[data-state=ready]")
    assert "B minus A is" in window.texts("#verdict")[0]


def test_the_keyboard_finds_why_an_answer_failed(window: Browser, site: Path) -> None:
    window.open(site / "index.html")
    focus(window, "nav a[href='failures.html']")
    press(window, ENTER)
    window.wait_for("table tbody th a")
    focus(window, "table tbody td a")
    press(window, ENTER)
    window.wait_for("details[open] tbody td a")
    focus(window, "details[open] tbody td a[href*='#open=']", 400)
    press(window, ENTER)
    window.wait_for("details.sample[open] .failing .why")


def test_the_keyboard_reaches_a_number_to_cite(window: Browser, site: Path) -> None:
    """The address has what is shown, and the rows are to be had as a file."""
    window.open(site / "index.html")
    focus(window, "input[name=q]")
    press(window, "GRPO")
    assert window.fragment == "#q=GRPO"
    focus(window, "button[data-csv]")
    focus(window, "footer a[href='data/leaderboard.json']", 300)


def test_the_keyboard_finds_one_model_of_many(window: Browser, site: Path) -> None:
    window.open(site / "index.html")
    focus(window, "input[name=q]")
    press(window, "base-sft")
    assert len(window.texts("#results tbody th")) == 1
    focus(window, "#results tbody th a")
    press(window, ENTER)
    window.wait_for("a[href*='tasks/']")
    assert heading(window).startswith("Base-SFT")
