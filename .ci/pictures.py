"""Take pictures of pages in headless Chromium: `.ci/pictures.py PAGE FILE [PAGE FILE ...]`.

PAGE is a file, with a fragment if need be (`compare.html#a=...`); FILE ends in .png or .webp. A
picture shows the upper part of the page. Needs Chromium, chromedriver and the extra dev.
"""

from __future__ import annotations

import argparse
import base64
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTLE_S = 1.0
"""For what a page draws after it was loaded."""
QUALITY = 55
"""Of WebP, 0 to 100."""


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="PAGE FILE", help="a page and its picture")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--scale", type=float, default=1.0, help="pixels of the picture per pixel")
    arguments = parser.parse_args()
    if len(arguments.names) % 2:
        parser.error("name a FILE for every PAGE")
    sys.path.insert(0, str(ROOT / "tests" / "leaderboard"))
    from chromium import Browser, why_no_browser

    missing = why_no_browser()
    if missing:
        raise SystemExit(f"pictures: error: {missing}")
    browser = Browser(arguments.width, arguments.height)
    try:
        for page, picture in zip(arguments.names[::2], arguments.names[1::2], strict=True):
            place, _, fragment = page.partition("#")
            browser.open(Path(place), fragment)
            time.sleep(SETTLE_S)
            _take(browser, Path(picture), arguments)
    finally:
        browser.close()


def _take(browser: object, picture: Path, arguments: argparse.Namespace) -> None:
    kind = picture.suffix.removeprefix(".")
    clip = {"x": 0, "y": 0, "width": arguments.width, "height": arguments.height}
    options = {"quality": QUALITY} if kind == "webp" else {}
    found = browser.command(  # type: ignore[attr-defined]
        "Page.captureScreenshot", format=kind, clip={**clip, "scale": arguments.scale}, **options
    )
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(base64.b64decode(found["data"]))
    print(f"{picture}: {picture.stat().st_size / 1e3:.0f} KB")


if __name__ == "__main__":
    main()
