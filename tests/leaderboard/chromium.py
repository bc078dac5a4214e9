"""Headless Chromium for tests: what a page says, asks for and complains about."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FLAGS = (
    "--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-default-apps", "--metrics-recording-only",
)  # fmt: skip


def why_no_browser() -> str | None:
    """Say what is missing, or None if pages can be tested."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed (pip install 'recode-eval[dev]')"
    if not _program("chromium", "chromium-browser", "google-chrome"):
        return "no Chromium (Debian: apt-get install chromium)"
    if not _program("chromedriver"):
        return "no chromedriver (Debian: apt-get install chromium-driver)"
    return None


def _program(*names: str) -> str | None:
    return next((path for path in map(shutil.which, names) if path), None)


class Browser:
    """One window; `width` below 600 is a phone."""

    def __init__(self, width: int = 1280, height: int = 1000, *, dark: bool = False) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service

        options = Options()
        options.binary_location = _program("chromium", "chromium-browser", "google-chrome") or ""
        for flag in (*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(
            options=options, service=Service(_program("chromedriver") or "")
        )
        self.driver.set_page_load_timeout(60)
        self.driver.implicitly_wait(2)
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def command(self, name: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, parameters)

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file anew, also if only the fragment differs."""
        self.driver.get("about:blank")
        self.driver.get(path.resolve().as_uri() + (f"#{fragment}" if fragment else ""))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def click(self, selector: str) -> None:
        """Click as a person does; the element is scrolled to first."""
        element = self.driver.find_element("css selector", selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def type(self, selector: str, text: str) -> None:
        self.driver.find_element("css selector", selector).send_keys(text)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the visible elements."""
        return self.run(
            "return [...document.querySelectorAll(arguments[0])]"
            ".filter((e) => e.checkVisibility()).map((e) => e.innerText.trim())",
            selector,
        )

    def wait_for(self, selector: str) -> None:
        """Wait for an element: a browser says later that something was opened."""
        self.driver.find_element("css selector", selector)

    @property
    def fragment(self) -> str:
        return str(self.run("return decodeURIComponent(location.hash)"))

    def complaints(self) -> list[str]:
        """Return and forget what the console holds."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Return and forget the addresses of everything that was asked for."""
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def close(self) -> None:
        self.driver.quit()


@contextlib.contextmanager
def undisturbed(window: Browser) -> Iterator[None]:
    """Forget what was, and assert that pages complain of nothing and ask for nothing elsewhere."""
    window.complaints()
    window.requests()
    yield
    assert window.complaints() == []
    for url in window.requests():
        assert url.startswith(("file://", "data:", "blob:", "about:")), url
