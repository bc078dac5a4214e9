"""Scores of single samples and problems: pure functions of a completion, a reference and counts."""

from recode_eval.scoring.pass_at_k import pass_at_k
from recode_eval.scoring.response_format import is_well_formed
from recode_eval.scoring.similarity import (
    Similarity,
    edit_similarity,
    em_star,
    es_star,
    exact_match,
    normalize,
    similarity_scores,
)

__all__ = [
    "Similarity",
    "edit_similarity",
    "em_star",
    "es_star",
    "exact_match",
    "is_well_formed",
    "normalize",
    "pass_at_k",
    "similarity_scores",
]
