"""What a release says of itself: texts about changes and its documents' words, kept in files."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from recode_eval.sandbox.buildlog import temporary_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXTS = "texts-2"
"""The folder of a release's texts; another number whenever they are chosen otherwise."""
_MOST_FILE = 4 << 20
_MOST_NOTES = 2000
SKIPPED = {"tests", "test", "_tests", "benchmarks", "asv_bench"}
_NOTES = re.compile(
    r"(change(s|log)?|history|news|release[_-]?notes?|releases|whats?_?new|migration|upgrad\w*|"
    r"porting|breaking[_-]changes?)([._-].*)?",
    re.IGNORECASE,
)
_NOTE_FOLDERS = {"whatsnew", "changelog", "changelogs", "changes", "releasenotes", "release_notes",
                 "release-notes", "releases", "news", "release", "whats_new",
                 "upgrading"}  # fmt: skip
_MODULE_DIRECTIVE = re.compile(
    r"\s*\.\. (?:currentmodule|automodule|module|py:module)::\s*(?P<module>[\w.]+)"
)
_LISTED = re.compile(r"\s+~?(?P<name>[A-Za-z_][\w.]{0,80})\s*")
_SUFFIXES = (".rst", ".md", ".txt", ".yaml", "")


def write_texts(folder: Path, files: Mapping[str, bytes]) -> Path | None:
    """Choose the texts of a release and keep them; None if there are no files at all."""
    texts = folder / TEXTS
    if not files:
        return None
    notes = {path: data for path, data in files.items() if is_notes(path)}
    words: set[str] = set()
    for path, data in files.items():
        if _is_documentation(path):
            words |= documented_names(data.decode("utf-8", "replace"))
    with temporary_dir(folder) as scratch:
        draft = scratch / TEXTS
        (draft / "notes").mkdir(parents=True)
        for number, (path, data) in enumerate(sorted(notes.items())[:_MOST_NOTES]):
            safe = re.sub(r"[^A-Za-z0-9._-]+", "_", path)[-120:]
            (draft / "notes" / f"{number:04}-{safe}").write_bytes(data[:_MOST_FILE])
        index = {f"{n:04}": path[:300] for n, path in enumerate(sorted(notes)[:_MOST_NOTES])}
        (draft / "notes" / "index.json").write_text(json.dumps(index), encoding="utf-8")
        (draft / "words.txt").write_text("\n".join(sorted(words)), encoding="utf-8")
        try:
            draft.rename(texts)
        except OSError:
            if not texts.is_dir():
                raise
    return texts


def documented_names(text: str) -> set[str]:
    r"""Return every dotted word of a document, and what Sphinx's lists name in a module.

    >>> sorted(documented_names(".. currentmodule:: a.b\n.. autosummary::\n\n   c\n"))
    ['a.b', 'a.b.c', 'autosummary', 'currentmodule']
    """
    words = set(re.findall(r"[A-Za-z_][\w.]{2,80}", text))
    module = ""
    for line in text.splitlines():
        if match := _MODULE_DIRECTIVE.match(line):
            module = match["module"]
        elif module and (match := _LISTED.fullmatch(line)):
            words.add(f"{module}.{match['name']}")
    return words


def is_notes(path: str) -> bool:
    """Whether a file of an archive is about changes, by its name."""
    parts = path.lower().split("/")
    base, suffix = PurePosixPath(parts[-1]).stem, PurePosixPath(parts[-1]).suffix
    if (suffix not in _SUFFIXES and not re.fullmatch(r"\.\d+", suffix)) or SKIPPED & set(parts):
        return False
    if path.endswith(".dist-info/METADATA"):
        return True
    if _NOTE_FOLDERS & set(parts[:-1]) and suffix != "":
        return True
    return _NOTES.fullmatch(base) is not None and len(parts) <= 4


def _is_documentation(path: str) -> bool:
    parts = path.lower().split("/")
    texts = path.endswith((".rst", ".md", ".txt", ".ipynb", "METADATA"))
    return texts and not SKIPPED & set(parts)


def note_files(folder: Path | None) -> dict[str, str]:
    """Return the texts about changes of a release: path in its archive -> text."""
    if folder is None or not (folder / "index.json").is_file():
        return {}
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    found = {}
    for file in sorted(folder.glob("[0-9]*-*")):
        path = index.get(file.name[:4])
        if path is not None:
            found[str(path)] = file.read_bytes().decode("utf-8", "replace")
    return found
