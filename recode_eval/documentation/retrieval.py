"""Searching a user's documents for what a problem needs: BM25 over passages, without a model.

The ranking is Okapi BM25 in Lucene's form (k1 1.5, b 0.75: the defaults of the library bm25s, Lù
2024, arXiv 2407.03618). Words are compared in lower case; a dotted name counts as a whole and by
its parts. Passages of equal score keep the order of the folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.documentation.passages import cut
from recode_eval.documentation.tokens import count_tokens
from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recode_eval.documentation.folders import Document
    from recode_eval.documentation.passages import Passage

_WORD = re.compile(r"[^\W_]\w*(?:\.[^\W_]\w*)*")
_DIGITS = 4
"""Of a score that decide an order: sums of floats may differ in the last ones between machines."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found."""

    passage: Passage
    score: float
    """Above 0; comparable within one query."""
    text: str
    """The passage as it is shown, under its place."""
    tokens: int


class Index:
    """The passages of some documents."""

    def __init__(self, documents: Iterable[Document]) -> None:
        """Cut and index them.

        Raises:
            UsageError: the library is missing, or the documents hold no word.
        """
        try:
            import bm25s
        except ImportError as error:
            raise UsageError(
                "Searching a folder of documents needs bm25s: pip install 'recode-eval[retrieval]'"
            ) from error
        self._passages = [passage for document in documents for passage in cut(document)]
        indexed = [words(f"{one.place}\n{one.text}") for one in self._passages]
        if not any(indexed):
            raise UsageError("The documents to search in hold no word.")
        self._ranking: Any = bm25s.BM25(dtype="float64")
        self._known = {word for passage in indexed for word in passage}
        self._ranking.index(indexed, show_progress=False)

    def search(self, query: str, *, top: int, tokens: int) -> list[Hit]:
        """Return the best passages, best first: at most `top`, together at most `tokens` long.

        A passage that does not fit any more is passed over for the next one that does.
        """
        asked = [word for word in words(query) if word in self._known]
        if not asked:
            return []
        scores = self._ranking.get_scores(asked)
        order = sorted(
            (-round(float(score), _DIGITS), number) for number, score in enumerate(scores)
        )
        hits: list[Hit] = []
        left = tokens
        for negative, number in order:
            if len(hits) == top or not negative:
                break
            passage = self._passages[number]
            text = f"[{passage.place}]\n{passage.text}"
            size = count_tokens(text)
            if size <= left:
                hits.append(Hit(passage, -negative, text, size))
                left -= size
        return hits


def words(text: str) -> list[str]:
    """Return the words of a text by which it is found.

    >>> words("Use numpy.trapz(y)")
    ['use', 'numpy.trapz', 'numpy', 'trapz', 'y']
    """
    found = []
    for match in _WORD.finditer(text.lower()):
        found.append(match[0])
        if "." in match[0]:
            found += match[0].split(".")
    return found
