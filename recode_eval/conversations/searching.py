"""The tool `search`: passages of a folder of documentation that fit some words best."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Protocol

from recode_eval.documentation.folders import read_folder
from recode_eval.documentation.retrieval import Index
from recode_eval.errors import UsageError
from recode_eval.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recode_eval.documentation.folders import Document

MOST_TOKENS: Final = 4000
"""Of all passages that one search shows (`documentation.tokens`)."""


class Searcher(Protocol):
    """What finds passages."""

    def search(self, query: str, top: int) -> list[tuple[float, str]]:
        """Return the best passages with their scores, best first; fewer where fewer fit."""
        ...


class FolderSearcher:
    """The documents of a folder, as `documentation.retrieval` ranks their passages."""

    def __init__(self, documents: Sequence[Document]) -> None:
        """Index them; raises `UsageError` if they hold no word, or the library is missing."""
        self._index = Index(documents)

    def search(self, query: str, top: int) -> list[tuple[float, str]]:
        """Return the best passages with their scores, best first."""
        hits = self._index.search(query, top=top, tokens=MOST_TOKENS)
        return [(hit.score, hit.text) for hit in hits]


def read_texts(folder: Path) -> list[Document]:
    """Return the documents of a folder; raises `UsageError` as `documentation.folders` does."""
    return read_folder(folder, "--tool-docs").found


def texts_hash(documents: Sequence[Document]) -> str:
    """Return the SHA-256 of names and texts."""
    digest = hashlib.sha256()
    for document in documents:
        for part in (document.path, document.text):
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def open_index(folder: Path, expected: str) -> Searcher:
    """Return the index of a folder's passages; `expected` is the hash that the run goes by.

    Raises `UsageError`, also where the texts have become others since they were hashed: the run
    would be stored as one that searched in texts that it never saw.
    """
    documents = read_texts(folder)
    if texts_hash(documents) != expected:
        raise UsageError(
            f"--tool-docs {printable(folder)}: the documents changed while the run began. Repeat "
            "the command when nothing writes there any more."
        )
    return FolderSearcher(documents)
