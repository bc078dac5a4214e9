"""The served site in a real browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Browser
from made_runs import make_run

from recode_eval.leaderboard import serving
from recode_eval.leaderboard.serving import Server
from recode_eval.leaderboard.site import build

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served-in-browser")
    make_run(folder / "runs", "Strong-7B", 0.9, n=1)
    build([folder / "runs"], folder / "site")
    with Server(folder / "site", "127.0.0.1", 0) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join()


def problem(site: Path) -> Path:
    return sorted(site.glob("problems/*/*.html"))[0].relative_to(site)


def test_answers_open_over_http_without_a_complaint(server: Server, window: Browser) -> None:
    window.complaints()
    window.requests()
    window.driver.get(server.url + problem(server.site).as_posix())
    window.click("details.run > summary")
    window.click("details.run details.sample > summary")
    window.wait_for("details.sample[open] pre.code")
    assert window.complaints() == []
    assert all(url.startswith((server.url, "data:")) for url in window.requests())


def test_another_page_cannot_load_the_answers(
    server: Server, window: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attack: any page that is open in a browser loads data, which are scripts, from this port."""
    page = server.site / problem(server.site)
    [script, *_] = sorted(page.parent.glob(f"{page.stem}.*.js"))
    data = server.url + script.relative_to(server.site).as_posix()
    page = tmp_path / "strange.html"
    page.write_text(f"<script src='{data}'></script>")
    window.open(page)
    assert window.run("return window.answers === undefined")
    monkeypatch.delitem(serving._HEADERS, "Cross-Origin-Resource-Policy")
    window.open(page)
    assert window.run("return window.answers !== undefined"), "the attack itself does not work"
