"""A difference of two ways to train, from several starts: another start is another draw.

Trainings from one start share what it can and cannot do, so starts are the unit: the squared error
is that of the problems plus the variance of the starts' means over their number, with
Satterthwaite's degrees of freedom (`recode_eval.stats.trainings`). A start's mean is over its
seeds, whose variance is in it. With five starts a bootstrap over them would give intervals that are
too short; Student's t allows for their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recode_eval.comparison.differences import change, two_sided_p
from recode_eval.stats.trainings import method_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class OverStarts:
    """A mean difference with its 95 % interval."""

    value: float
    low: float | None
    high: float | None
    p: float | None
    starts: int
    starts_share: float | None
    """How much of the squared error is the variance between starts, in [0, 1]; None with one start,
    of which the interval says nothing about others."""
    means: tuple[float, ...]
    """The difference from each start."""


def over_starts(
    differences: Sequence[Mapping[str, float]], bounds: tuple[float, float] = (0.0, 1.0)
) -> OverStarts:
    """Return the mean over problems and starts; `bounds` is the range of the measure.

    `differences[s][problem]` is one way minus the other from start `s`, each a mean over its seeds.
    Raises `ValueError` unless every start has the same problems, one at least.

    >>> found = over_starts([{"a": 0.5, "b": 0.25}, {"a": 0.25, "b": 0.5}, {"a": 0.5, "b": 0.1}])
    >>> round(found.value, 3), found.starts, [round(mean, 3) for mean in found.means]
    (0.35, 3, [0.375, 0.375, 0.3])
    """
    if not differences or not differences[0]:
        raise ValueError("a difference needs a start and a problem")
    problems = sorted(differences[0])
    if any(sorted(start) != problems for start in differences):
        raise ValueError("every start must have the same problems")
    count = len(differences)
    changes = [math.fsum(start[key] for start in differences) / count for key in problems]
    means = tuple(math.fsum(start.values()) / len(problems) for start in differences)
    found = change(changes, problems, bounds=bounds, confidence=_CONFIDENCE)
    value = math.fsum(means) / count
    single = OverStarts(value, found.low, found.high, two_sided_p(found), count, None, means)
    if count < 2 or found.low is None or found.high is None or found.effective_clusters is None:
        return single
    # Without spread over problems the bound stands in for their error, as a half width of about 2.
    problem_error = found.standard_error or (found.high - found.low) / 4
    error = method_error(problem_error, found.effective_clusters - 1, [means])
    low, high = error.interval(value, _CONFIDENCE)
    reach = bounds[1] - bounds[0]
    return OverStarts(value, max(low, -reach), min(high, reach), error.p_value(value), count,
                      error.trainings_share, means)  # fmt: skip
