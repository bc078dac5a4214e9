"""How close a program is to the reference: EM, ES and their reward forms EM*, ES*.

Both sides are normalized first, as their language says: comments and blank lines go. Formulas after
Wu et al., *ReCode*, arXiv 2506.20495. Linear up to the edit distance, which rapidfuzz counts 64
characters at a time; nothing is executed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from recode_eval.languages import PYTHON, get_language
from recode_eval.languages.base import MAX_CODE_CHARS

NO_PROGRAM = -2.0
"""ES* and EM* where there is no code or it does not parse."""
WRONG_PROGRAM = -1.5
"""EM* of a program that differs; also the lower end of ES* of a program."""
EXACT = 2.0
"""EM* of the reference itself; also the upper end of ES*."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """Similarity of one candidate to its reference; ES and EM in [0, 1], the others in [-2, 2]."""

    es: float
    em: float
    es_star: float
    em_star: float


@lru_cache(maxsize=256)
def _normalized_reference(language: str, code: str) -> str:
    # All samples of a problem are compared with one reference; its tokens are half of the work.
    return get_language(language).normalize(code)


def normalize(code: str, language: str = PYTHON) -> str:
    r"""Return a program without comments and blank lines; text without tokens as it is.

    >>> normalize("x = 1  # one\n\ny = 2")
    'x = 1\ny = 2'
    """
    return get_language(language).normalize(code)


def exact_match(candidate: str, reference: str, language: str = PYTHON) -> float:
    """Return EM: 1.0 if the normalized programs are equal, else 0.0."""
    return float(normalize(candidate, language) == normalize(reference, language))


def edit_similarity(candidate: str, reference: str, language: str = PYTHON) -> float:
    """Return ES = 1 - Levenshtein / longer length, by characters, in [0, 1]; two empty ones: 1."""
    return _edit_similarity(normalize(candidate, language), normalize(reference, language))


def es_star(candidate: str | None, reference: str, language: str = PYTHON) -> float:
    """Return ES*: 3.5 ES - 1.5, in [-1.5, 2], if `candidate` parses, else -2."""
    return similarity_scores(candidate, reference, language).es_star


def em_star(candidate: str | None, reference: str, language: str = PYTHON) -> float:
    """Return EM*: 2 if the normalized programs are equal, -1.5 if the candidate parses, else -2."""
    return similarity_scores(candidate, reference, language).em_star


def similarity_scores(candidate: str | None, reference: str, language: str = PYTHON) -> Similarity:
    """Return all four measures; None (no code in the completion) is the worst of each."""
    if candidate is None:
        return Similarity(es=0.0, em=0.0, es_star=NO_PROGRAM, em_star=NO_PROGRAM)
    is_program = get_language(language).parses(candidate)
    ours = normalize(candidate, language)
    theirs = _normalized_reference(language, reference)
    similarity = _edit_similarity(ours, theirs)
    wrong = WRONG_PROGRAM if is_program else NO_PROGRAM
    scaled = WRONG_PROGRAM + (EXACT - WRONG_PROGRAM) * similarity
    return Similarity(
        es=similarity,
        em=float(ours == theirs),
        es_star=scaled if is_program else NO_PROGRAM,
        em_star=EXACT if ours == theirs else wrong,
    )


def _edit_similarity(first: str, second: str) -> float:
    from rapidfuzz.distance import Levenshtein

    longest = max(len(first), len(second))
    if not longest:
        return 1.0
    # The distance costs len * len / 64. Where that takes seconds it is bounded from above (so ES
    # from below): the distance of the heads and every character of the longer tail.
    head = MAX_CODE_CHARS if len(first) * len(second) > MAX_CODE_CHARS**2 else longest
    tail = longest - head if first[head:] != second[head:] else 0
    return 1.0 - (Levenshtein.distance(first[:head], second[:head]) + tail) / longest
