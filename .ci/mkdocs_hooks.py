"""Hooks of MkDocs: pages made of files outside docs/, and links to files that have no page.

README.md, CONTRIBUTING.md and CHANGELOG.md stay where people look for them and become pages here.
A link to another file of the repository becomes its text and its path, since the site may be read
without the repository.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).resolve().parents[1]
_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)")
_IMAGE = re.compile(r"(!\[[^\]]*\]\()docs/")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the root."""
    for source, page in _PAGES.items():
        text = (_ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_from_root(text)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Rewrite links that leave docs/."""
    return _LINK.sub(_outside, markdown)


def _from_root(text: str) -> str:
    """Rewrite links of a file in the root as if it lay in docs/."""

    def moved(match: re.Match[str]) -> str:
        text, target, anchor = match["text"], match["target"], match["anchor"] or ""
        if not target or "://" in target:
            return match[0]
        inside = target.removeprefix("docs/")
        target = inside if inside != target else f"../{target}"
        return f"[{text}]({target}{anchor})"

    return _LINK.sub(moved, _IMAGE.sub(r"\1", text))


def _outside(match: re.Match[str]) -> str:
    target = match["target"]
    if not target.startswith("../"):
        return match[0]
    path = target.removeprefix("../")
    if path in _PAGES:
        return f"[{match['text']}]({_PAGES[path]}{match['anchor'] or ''})"
    if not (_ROOT / path).exists():
        return match[0]  # MkDocs warns
    shown = f"`{path}`"
    return shown if match["text"] in {path, shown} else f"{match['text']} ({shown})"
