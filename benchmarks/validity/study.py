"""What the study reports: per metric and set of answers, how well it predicts passing.

Works on graded answers alone; nothing is executed here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.stats.estimates import cluster_mean
from validity import answers as kinds
from validity.ranking import (
    Scored,
    any_passes,
    auc,
    best_passes,
    kendall,
    pooled_auc,
    spearman,
    within_pairs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

METRICS = ("ES", "EM", "ES*", "EM*", "stale_api", "1 - stale_api", "new_api", "both")
"""The last one is 1 where all of the new API and nothing of the old one is used."""
NEAR, FAR = 0.95, 0.7


@dataclass(frozen=True, slots=True)
class Graded:
    """An answer with its scores and its verdict."""

    pair: str
    cluster: str
    library: str
    update_type: str
    kind: str
    passed: bool
    scores: Mapping[str, float]
    """By the names of `METRICS`; a measure that the pair does not have is left out."""
    detail: str = ""
    """Of the first test that does not pass."""


def scores_of(similarity: Any, measures: Mapping[str, float]) -> dict[str, float]:
    """Return the scores by the names of `METRICS`."""
    scores = {
        "ES": similarity.es,
        "EM": similarity.em,
        "ES*": similarity.es_star,
        "EM*": similarity.em_star,
    }
    stale, new = measures.get("stale_api"), measures.get("new_api")
    if stale is not None:
        scores |= {"stale_api": stale, "1 - stale_api": 1 - stale}
    if new is not None:
        scores["new_api"] = new
    if stale is not None and new is not None:
        scores["both"] = new * (1 - stale)
    return scores


def report(graded: Sequence[Graded]) -> dict[str, Any]:
    """Return all tables, ready for JSON."""
    return {
        "kinds": [_kind(kind, graded) for kind in kinds.KINDS],
        "sets": {name: _metrics(chosen) for name, chosen in answer_sets(graded).items()},
        "contrasts": {name: _metrics(chosen) for name, chosen in contrasts(graded).items()},
        "update_types": {
            name: _metrics([a for a in _novel(graded) if a.update_type == name])
            for name in sorted({a.update_type for a in graded})
        },
        "confusions": confusions(graded),
    }


def _novel(graded: Iterable[Graded]) -> list[Graded]:
    """Return answers that are not copies of the reference, up to comments."""
    return [answer for answer in graded if not answer.scores["EM"]]


def answer_sets(graded: Sequence[Graded]) -> dict[str, list[Graded]]:
    """Return the sets that the main table is about."""
    novel = _novel(graded)
    return {
        "all answers": list(graded),
        "no copies of the reference": novel,
        "no copies, API use visible": [a for a in novel if "both" in a.scores],
        "no copies, API use not visible": [a for a in novel if "both" not in a.scores],
        "no copies, programs only": [a for a in novel if a.kind != "cut off"],
    }


def contrasts(graded: Iterable[Graded]) -> dict[str, list[Graded]]:
    """Return right answers of one sort with wrong ones of another sort, which AUC tells apart."""
    graded = list(graded)

    def between(right: Iterable[str], wrong: Iterable[str]) -> list[Graded]:
        right, wrong = set(right), set(wrong)
        return [a for a in graded if a.kind in (right if a.passed else wrong)]

    any_right = {"reference", *kinds.REWRITTEN}
    single = kinds.REWRITTEN[:-1]
    return {
        "stale / reference or rewritten": between(any_right, kinds.STALE),
        "stale / one rewrite": between(single, {"stale"}),
        "stale / all rewrites at once": between({"rewritten"}, {"stale"}),
        "stale and all rewrites / all rewrites": between({"rewritten"}, {"stale, rewritten"}),
        "old API put back / one rewrite": between(single, {"old API put back"}),
        "migrated in part / one rewrite": between(single, {"migrated in part"}),
        "migrated in part / all rewrites at once": between({"rewritten"}, {"migrated in part"}),
        "one slip / one rewrite": between(single, {"mutated"}),
        "one slip / all rewrites at once": between({"rewritten"}, {"mutated"}),
        "a slip and all rewrites / all rewrites": between({"rewritten"}, {"mutated, rewritten"}),
        "any slip / any rewrite": between(kinds.REWRITTEN, kinds.MUTATED),
        "cut off / any rewrite": between(kinds.REWRITTEN, {"cut off"}),
    }


def _metrics(chosen: Sequence[Graded]) -> dict[str, Any]:
    """Return every metric's figures over a set of answers."""
    return {
        "answers": len(chosen),
        "passing": sum(answer.passed for answer in chosen),
        "pairs": len({answer.pair for answer in chosen}),
        "any_passes": asdict(within_pairs(_scored("ES", chosen), any_passes, (0, 1))),
        "metrics": {name: _figures(name, chosen) for name in METRICS},
    }


def _figures(name: str, chosen: Sequence[Graded]) -> dict[str, Any]:
    scored = _scored(name, chosen)
    values, passed = [s.score for s in scored], [s.passed for s in scored]
    return {
        "answers": len(scored),
        "auc": asdict(pooled_auc(scored)),
        "spearman": spearman(values, passed),
        "kendall": kendall(values, passed),
        "best_passes": asdict(within_pairs(scored, best_passes, (0, 1))),
        "within_auc": asdict(within_pairs(scored, auc, (0, 1))),
        "within_spearman": asdict(within_pairs(scored, spearman, (-1, 1))),
        "within_kendall": asdict(within_pairs(scored, kendall, (-1, 1))),
    }


def _scored(name: str, chosen: Iterable[Graded]) -> list[Scored]:
    return [Scored(a.scores[name], a.passed, a.pair, a.cluster) for a in chosen if name in a.scores]


def _kind(kind: str, graded: Iterable[Graded]) -> dict[str, Any]:
    own = [answer for answer in graded if answer.kind == kind]
    similar = [answer.scores["ES"] for answer in own]
    return {
        "kind": kind,
        "answers": len(own),
        "passing": sum(answer.passed for answer in own),
        "mean_es": sum(similar) / len(own) if own else None,
        "lowest_es": min(similar, default=None),
        "highest_es": max(similar, default=None),
    }


def confusions(graded: Sequence[Graded]) -> dict[str, Any]:
    """Return how often similarity misleads badly, and the clearest examples."""
    wrong = [answer for answer in graded if not answer.passed]
    right = [answer for answer in graded if answer.passed]
    near = sorted((a for a in wrong if a.scores["ES"] > NEAR), key=lambda a: -a.scores["ES"])
    far = sorted((a for a in right if a.scores["ES"] < FAR), key=lambda a: a.scores["ES"])
    return {
        f"failing with ES above {NEAR}": _share(wrong, near, lambda a: a.scores["ES"] > NEAR),
        f"passing with ES below {FAR}": _share(right, far, lambda a: a.scores["ES"] < FAR),
    }


def _share(
    among: Sequence[Graded], found: Sequence[Graded], test: Callable[[Graded], bool]
) -> dict[str, Any]:
    estimate = cluster_mean(
        [float(test(a)) for a in among], [a.cluster for a in among], bounds=(0, 1)
    )
    by_kind = {kind: sum(a.kind == kind for a in found) for kind in kinds.KINDS}
    return {
        "share": asdict(estimate),
        "answers": len(found),
        "kinds": {kind: count for kind, count in by_kind.items() if count},
        "examples": [
            {"pair": a.pair, "kind": a.kind, "es": a.scores["ES"], "detail": a.detail}
            for a in found[:5]
        ],
    }
