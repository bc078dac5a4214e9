"""The tool `search`: passages of a folder of documentation that fit some words best."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_WORD: Final = re.compile(r"\w+")
_TEXTS: Final = frozenset({".md", ".rst", ".txt", ".html", ".py", ".pyi", ".json", ".mdx"})
_LARGEST: Final = 4 << 20
_K1, _B = 1.2, 0.75
PASSAGE: Final = 1_500
"""Characters of a passage."""


class Searcher(Protocol):
    """What finds passages."""

    def search(self, query: str, top: int) -> list[tuple[float, str]]:
        """Return the best passages with their scores, best first; fewer where fewer fit."""
        ...


class Index:
    """BM25 over passages (Robertson and Zaragoza 2009, The Probabilistic Relevance Framework).

    >>> index = Index(["the old name", "the new name is shown here"])
    >>> index.search("shown", 5)[0][1]
    'the new name is shown here'
    """

    def __init__(self, passages: list[str]) -> None:
        self._passages = passages
        self._words = [Counter(_words(passage)) for passage in passages]
        self._lengths = [sum(words.values()) for words in self._words]
        self._mean = sum(self._lengths) / len(passages) if passages else 0.0
        self._holding: Counter[str] = Counter(word for words in self._words for word in words)

    def search(self, query: str, top: int) -> list[tuple[float, str]]:
        """Return the best passages with their scores, best first; ties in the passages' order."""
        weights = {
            word: math.log(1 + (len(self._passages) - held + 0.5) / (held + 0.5))
            for word in set(_words(query))
            if (held := self._holding[word])
        }
        scores = [self._score(index, weights) for index in range(len(self._passages))]
        best = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[:top]
        return [(scores[i], self._passages[i]) for i in best if scores[i] > 0]

    def _score(self, index: int, weights: dict[str, float]) -> float:
        words = self._words[index]
        norm = _K1 * (1 - _B + _B * self._lengths[index] / self._mean) if self._mean else _K1
        return sum(
            weight * words[word] * (_K1 + 1) / (words[word] + norm)
            for word, weight in weights.items()
            if words[word]
        )


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def read_folder(folder: Path) -> list[tuple[str, str]]:
    """Return the text files below a folder, by their relative names, in order.

    Raises:
        UsageError: it is no folder, or holds no text.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder. Give --tool-docs a folder of documentation.")
    root = folder.resolve()
    found = [
        (path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8", errors="replace"))
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _TEXTS
        and path.is_file()
        and path.resolve().is_relative_to(root)
        and path.stat().st_size <= _LARGEST
    ]
    if not found:
        raise UsageError(f"{folder} holds no text ({', '.join(sorted(_TEXTS))}) to search in.")
    return found


def texts_hash(texts: list[tuple[str, str]]) -> str:
    """Return the SHA-256 of names and texts."""
    digest = hashlib.sha256()
    for name, text in texts:
        for part in (name, text):
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def open_index(folder: Path) -> Searcher:
    """Return the index of a folder's passages; raises `UsageError`."""
    return Index(
        [
            f"{name}:\n{text[at : at + PASSAGE]}"
            for name, text in read_folder(folder)
            for at in range(0, max(1, len(text)), PASSAGE)
        ]
    )
