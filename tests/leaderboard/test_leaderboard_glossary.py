"""Tooltips of the heads of tables, the glossary, and the links between pages of one run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from axe import axe_source, serious
from chromium import Browser
from hostile import CORPUS, MARK
from made_runs import make_run

from recode_eval.leaderboard.glossary import MARKER, find, terms, tip, with_definitions
from recode_eval.leaderboard.site import build
from recode_eval.metrics import METHODS, OVERVIEW, metric

FACTS = """
models:
  - {match: base, base: The base, method: untrained}
  - {match: tuned, base: The base, method: GRPO}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("glossary")
    for name, chance in (("base", 0.4), ("tuned", 0.8)):
        make_run(folder / "runs", name, chance, n=2)
    make_run(folder / "runs", "tuned", 0.5, n=2, update_note=False)
    (folder / "models.yaml").write_text(FACTS)
    build([folder / "runs"], folder / "site", models=[folder / "models.yaml"], reported=False)
    return folder / "site"


def test_every_term_is_said_once_and_every_metric_of_a_head_is_explained() -> None:
    keys = [term.key for term in terms()]
    assert len(keys) == len(set(keys))
    heads = [head.lower() for term in terms() for head in (term.name, *term.heads)]
    assert len(heads) == len(set(heads))
    for name in {*OVERVIEW, *METHODS, "stale_api", "pass@10", "upass@5", "em_star"}:
        assert find(metric(name).heading) is not None, name
    for word in ("cluster", "detectable", "lift", "Pareto", "Rank", "n"):
        assert find(word) is not None, word


@pytest.mark.parametrize("text", CORPUS[:-1])
def test_a_strangers_words_are_inert_in_a_tooltip(text: str) -> None:
    """A title travels from the button's attribute into the definition: it must stay text there."""
    page = with_definitions(str(tip(text, text)) + MARKER, "")
    definition = page.partition("<div popover")[2]
    assert definition.count("<") == 1  # the end of the element
    for character in "\x00\x1b\u202e\ufeff":
        assert character not in page
    assert tip(text) == ""


def test_a_page_defines_the_words_of_its_heads_and_no_others(site: Path) -> None:
    """A button whose definition is missing would do nothing."""
    pages = [path for path in site.rglob("*.html") if "problems" not in path.parts]
    pages.append(next(site.rglob("problems/**/*.html")))
    for path in pages:
        text = path.read_text()
        asked = set(re.findall(r'popovertarget="([^"]+)"', text))
        asked |= {f"term-{key}" for keys in re.findall(r'data-terms="([^"]*)"', text)
                  for key in keys.split()}  # fmt: skip
        defined = re.findall(r'<div popover id="([^"]+)"', text)
        assert sorted(defined) == sorted(asked), path
        assert MARKER not in text
        for link in re.findall(r'href="((?:\.\./)*glossary\.html)#([a-z0-9-]+)"', text):
            assert (path.parent / link[0]).resolve() == (site / "glossary.html").resolve()
    glossary = (site / "glossary.html").read_text()
    for term in terms():
        assert f'<div id="{term.key}">' in glossary


def test_no_head_of_a_table_has_a_title_alone(site: Path) -> None:
    """A title attribute is neither for a keyboard nor for a finger."""
    for path in site.rglob("*.html"):
        heads = re.findall(r"<thead>.*?</thead>", path.read_text(), re.DOTALL)
        assert not any("title=" in head for head in heads), path


def test_a_model_leads_to_its_base_its_failures_and_what_documentation_changes(
    site: Path,
) -> None:
    text = next((site / "models").glob("tuned-*.html")).read_text()
    links = re.findall(r'<p class="related">(.*?)</p>', text)
    found = [re.findall(r'href="\.\./([a-z]+)\.html#([^"]*)">([^<]*)<', part) for part in links]
    kinds = {page for part in found for page, _, _ in part}
    assert {"compare", "failures", "lift", "methods"} <= kinds
    for part in found:
        for page, fragment, words in part:
            target = (site / f"{page}.html").read_text()
            if page == "compare":
                assert words == "Compare with its base, base"
                assert re.fullmatch(r"a=[0-9a-f]+&amp;b=[0-9a-f]+", fragment)
            else:
                assert f'id="{fragment}"' in target
    base = next((site / "models").glob("base-*.html")).read_text()
    assert "Compare with its base" not in base
    methods = (site / "methods.html").read_text()
    assert re.search(r'>GRPO <a class="ci" href="lift\.html#lift-of-[0-9a-f]+"', methods)


@pytest.mark.browser
def test_a_definition_opens_by_key_by_click_and_by_pointer(site: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser = Browser()
    try:
        browser.open(site / "index.html")
        shown = "return document.querySelector(':popover-open')?.innerText ?? ''"
        button = browser.driver.find_element("css selector", "th[data-col=rank] .tip")
        button.send_keys(Keys.ENTER)
        browser.wait_for(".definition:popover-open")
        assert "Models that cannot be told apart" in browser.run(shown)
        box = browser.run(
            "const b = document.querySelector(':popover-open').getBoundingClientRect();"
            "return [b.left, b.top, innerWidth - b.right, innerHeight - b.bottom]"
        )
        assert min(box) >= 0
        assert browser.complaints() == []
        assert serious(browser, axe_source()) == []
        browser.complaints()  # the policy stops the checker from reading the style sheets
        button.send_keys(Keys.ESCAPE)
        assert browser.run(shown) == ""
        browser.click("th[data-col='upass@1'] .tip")
        browser.wait_for(".definition:popover-open")
        assert "needs the update" in browser.run(shown)
        assert browser.run("return document.querySelectorAll('[aria-sort]').length") == 0
        browser.driver.find_element("css selector", "body").send_keys(Keys.ESCAPE)
        ActionChains(browser.driver).move_to_element(
            browser.driver.find_element("css selector", "th[data-col=es_star] .tip")
        ).perform()
        browser.wait_for("#term-es-star:popover-open")
        browser.open(site / "compare.html")
        browser.wait_for("#comparison[data-state=ready]")
        browser.click("#differences .tip[popovertarget=term-cluster]")
        browser.wait_for("#term-cluster:popover-open")
        browser.open(site / "glossary.html", "es-star")
        assert not browser.run(f"return {MARK} ?? ''")
        assert browser.complaints() == []
        assert serious(browser, axe_source()) == []
    finally:
        browser.close()
