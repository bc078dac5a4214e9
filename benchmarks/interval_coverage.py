"""How often the intervals hold the truth, and how often equal models are called different.

Simulated models of known truth on seven layouts of problems and clusters. Printed beside the rules
of `recode_eval.stats` are those that they replaced: t with G-1 degrees of freedom on the CV1 error,
and McNemar's test on problems solved with more than half of their samples. Every figure of this
kind in docs/ comes from `python benchmarks/interval_coverage.py`, which takes some ten minutes;
`--draws` changes how many models each figure stands for.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import stdtr, stdtrit
from scipy.stats import binomtest

from recode_eval.comparison.differences import change, two_sided_p
from recode_eval.comparison.problems import changed_problems
from recode_eval.stats.estimates import cluster_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Sizes = NDArray[np.int64]

SEED: Final = 20261129
PROBLEM_SPREAD: Final = 0.3
"""How far the problems of one cluster lie apart: correlation of two samples of one problem."""


def _spread(problems: int, weights: Floats) -> Sizes:
    """Share out the problems by weight, at least one to each cluster."""
    sizes = np.maximum(1, np.floor(weights / weights.sum() * problems)).astype(np.int64)
    while (missing := problems - int(sizes.sum())) != 0:
        step = 1 if missing > 0 else -1
        sizes[np.argsort(-sizes, kind="stable")[: abs(missing)]] += step
    return sizes


LAYOUTS: Final[dict[str, Sizes]] = {
    "arena: 670 in 161": _spread(670, 1.0 + np.arange(161) % 8),
    "migration: 222 in 195": _spread(222, np.where(np.arange(195) < 27, 2.0, 1.0)),
    "arena-mini: 96 in 48": np.full(48, 2),
    "HumanEval: 164 in 164": np.full(164, 1),
    "Zipf: 271 in 70": _spread(271, 1 / np.arange(1.0, 71.0)),
    "half in one: 40 in 20": np.array([21] + [1] * 19),
    "few: 40 in 8": np.array([9, 8, 7, 6, 4, 3, 2, 1]),
}
CHANCES: Final = (0.02, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.98)
DESIGNS: Final = ((1, 0.15), (1, 0.4), (10, 0.15), (10, 0.4))
"""Samples per problem, and the correlation of two problems of a cluster."""
CHANGES: Final = ("same", "shift", "flip", "sparse", "skew")


def clusters_of(sizes: Sizes) -> list[int]:
    """Return the cluster of every problem."""
    return [int(x) for x in np.repeat(np.arange(len(sizes)), sizes)]


def _beta(rng: np.random.Generator, mean: Floats, correlation: float) -> Floats:
    weight = 1 / correlation - 1
    tiny = 1e-9
    return rng.beta(np.maximum(mean * weight, tiny), np.maximum((1 - mean) * weight, tiny))


def pass_rates(
    rng: np.random.Generator, sizes: Sizes, chance: float, n: int, together: float, draws: int
) -> Floats:
    """Draw pass rates, `draws` x problems, of a model whose true mean is `chance`.

    `together` is the correlation of two problems of one cluster; each has `n` samples.
    """
    level = _beta(rng, np.full((draws, len(sizes)), chance), together)
    return rng.binomial(n, _beta(rng, level[:, clusters_of(sizes)], PROBLEM_SPREAD)) / n


def paired_changes(rng: np.random.Generator, sizes: Sizes, kind: str, n: int, draws: int) -> Floats:
    """Draw changes of two models with one true mean, `draws` x problems.

    same: the models are one. shift: clusters move either way. flip: one in five clusters moves by
    40 points. sparse: the samples hardly ever differ. skew: one in ten clusters falls by 54 points
    and the others rise by 6.
    """
    groups, of = len(sizes), clusters_of(sizes)
    shape = draws, groups
    before = _beta(rng, np.full(shape, 0.55), 0.35)
    if kind == "sparse":
        before = rng.choice([0.02, 0.98], size=shape)
    after = before
    if kind == "shift":
        room = np.minimum(before, 1 - before)
        after = before + np.clip(rng.normal(0, 0.15, shape), -room, room)
    elif kind == "flip":
        before = np.full(shape, 0.5)
        after = before + rng.choice([-0.4, 0.4, 0.0], p=[0.1, 0.1, 0.8], size=shape)
    elif kind == "skew":
        before = np.full(shape, 0.8)
        after = before + np.where(rng.random(shape) < 0.1, -0.54, 0.06)
    return (rng.binomial(n, after[:, of]) - rng.binomial(n, before[:, of])) / n


def _former(rows: Floats, sizes: Sizes) -> tuple[Floats, Floats]:
    """Return mean and CV1 error of every row."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    means, groups = rows.mean(axis=1), len(sizes)
    left = np.add.reduceat(rows, starts, axis=1) - sizes * means[:, None]
    return means, np.sqrt((left**2).sum(axis=1) * groups / (groups - 1)) / rows.shape[1]


def former_coverage(rows: Floats, sizes: Sizes, chance: float) -> float:
    """Return how often the former interval holds the truth."""
    means, errors = _former(rows, sizes)
    reach = stdtrit(len(sizes) - 1, 0.975) * errors
    bound = 0.025 ** (1 / len(sizes))
    low = np.where(means == 1, bound, np.where(means == 0, 0, means - reach))
    high = np.where(means == 0, 1 - bound, np.where(means == 1, 1, means + reach))
    return float(np.mean((low <= chance) & (chance <= high)))


def coverage(rows: Floats, sizes: Sizes, chance: float) -> tuple[float, float]:
    """Return how often `cluster_mean` holds the truth, and its mean width."""
    of, held, width = clusters_of(sizes), 0, 0.0
    for row in rows.tolist():
        found = cluster_mean(row, of, bounds=(0.0, 1.0))
        # Without an interval nothing is claimed: it counts as the whole range.
        low, high = (
            (0.0 if found.low is None else found.low),
            (1.0 if found.high is None else found.high),
        )
        held += low <= chance <= high
        width += high - low
    return held / len(rows), width / len(rows)


def false_findings(rows: Floats, sizes: Sizes) -> float:
    """Return how often the paired test calls equal models different at 5 %."""
    of, found = clusters_of(sizes), 0
    for row in rows.tolist():
        p_value = two_sided_p(change(row, of, bounds=(0, 1), confidence=0.95))
        found += p_value is not None and p_value < 0.05
    return found / len(rows)


def former_false_findings(rows: Floats, sizes: Sizes) -> float:
    """Return the same of the test that was replaced."""
    means, errors = _former(rows, sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_values = 2 * stdtr(len(sizes) - 1, -np.abs(means) / errors)
    return float(np.mean(np.nan_to_num(p_values, nan=1.0) < 0.05))


def unequal_samples(
    sizes: Sizes, draws: int, first: int = 2, second: int = 10
) -> tuple[float, float]:
    """Return how often identical models with unequal n are called different: per problem, McNemar.

    The first is the share of comparisons with any fixed or broken problem.
    """
    rng = np.random.default_rng(SEED)
    per_problem = mcnemar = 0
    for _ in range(draws):
        level = _beta(rng, np.full(len(sizes), 0.6), 0.35)
        chance = _beta(rng, level[clusters_of(sizes)], PROBLEM_SPREAD)
        one, two = rng.binomial(first, chance), rng.binomial(second, chance)
        counts = [(int(a), first, int(b), second) for a, b in zip(one, two, strict=True)]
        per_problem += any(changed_problems(counts))
        solved = one / first > 0.5, two / second > 0.5
        fixed, broken = (int(np.sum(a & ~b)) for a, b in (solved[::-1], solved))
        mcnemar += bool(fixed + broken) and binomtest(fixed, fixed + broken).pvalue < 0.05
    return per_problem / draws, mcnemar / draws


def _percent(values: Iterable[float]) -> str:
    return " | ".join(f"{100 * value:.1f}" for value in values)


def _print_table(title: str, headings: Sequence[str], rows: Iterable[tuple[str, str]]) -> None:
    print(f"\n{title}\n\n| | {' | '.join(headings)} |")
    print(f"| --- |{' ---: |' * len(headings)}")
    for name, text in rows:
        print(f"| {name} | {text} |", flush=True)


def _coverage_rows(draws: int) -> Iterable[tuple[str, str]]:
    for name, sizes in LAYOUTS.items():
        former, least, widths = [], [], []
        for chance in CHANCES:
            rng = np.random.default_rng(SEED)
            drawn = [pass_rates(rng, sizes, chance, *design, draws) for design in DESIGNS]
            found = [coverage(rows, sizes, chance) for rows in drawn]
            former.append(min(former_coverage(rows, sizes, chance) for rows in drawn))
            least.append(min(share for share, _ in found))
            widths.append(sum(width for _, width in found) / len(found))
        yield f"{name}, former rule", _percent(former)
        yield f"{name}, coverage", _percent(least)
        yield f"{name}, mean width in points", _percent(widths)


def _type_one_rows(draws: int) -> Iterable[tuple[str, str]]:
    for name, sizes in LAYOUTS.items():
        former, now = [], []
        for kind in CHANGES:
            rng = np.random.default_rng(SEED)
            drawn = [paired_changes(rng, sizes, kind, n, draws) for n in (1, 10)]
            former.append(max(former_false_findings(rows, sizes) for rows in drawn))
            now.append(max(false_findings(rows, sizes) for rows in drawn))
        yield f"{name}, former rule", _percent(former)
        yield f"{name}, now", _percent(now)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=2_000, help="models per figure")
    draws = parser.parse_args().draws
    _print_table(
        f"Coverage of 95 % intervals in percent, worst of {len(DESIGNS)} designs, {draws} draws",
        [f"p = {chance:g}" for chance in CHANCES],
        _coverage_rows(draws),
    )
    _print_table(
        f"Equal models called different at 5 %, in percent, worst of n = 1 and 10, {draws} draws",
        CHANGES,
        _type_one_rows(draws),
    )
    few = max(1, draws // 10)
    _print_table(
        f"Identical models with 2 and 10 samples called different, in percent, {few} draws",
        ("any problem (Fisher, false discovery rate 5 %)", "McNemar, former rule"),
        ((name, _percent(unequal_samples(sizes, few))) for name, sizes in LAYOUTS.items()),
    )


if __name__ == "__main__":
    main()
