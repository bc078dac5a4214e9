"""What a difference of two training methods is worth: trainings of one method differ, too.

Problems tell how sure the difference of *these trainings* is. Another training of the same method,
with another seed, lies elsewhere; only several trainings show how far. So the squared error of a
difference of methods is that of the problems plus, for each method, the variance of its trainings'
means over their number, with Satterthwaite's degrees of freedom (Satterthwaite 1946, *An
Approximate Distribution of Estimates of Variance Components*, Biometrics Bulletin 2, 6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import variance
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class MethodError:
    """The error of a difference of methods, in the unit of the difference."""

    standard_error: float
    degrees: float
    """Degrees of freedom, above 0; not whole in general."""
    trainings_share: float
    """How much of the squared error is the variance between trainings, in [0, 1]."""

    def interval(self, difference: float, confidence: float = 0.95) -> tuple[float, float]:
        """Return Student's interval around a difference."""
        from scipy.special import stdtrit

        reach = float(stdtrit(self.degrees, (1 + confidence) / 2)) * self.standard_error
        return difference - reach, difference + reach

    def p_value(self, difference: float) -> float:
        """Return the two-sided p-value of 'the methods are equal'."""
        from scipy.special import stdtr

        if self.standard_error == 0:
            return 1.0 if difference == 0 else 0.0
        return 2 * float(stdtr(self.degrees, -abs(difference) / self.standard_error))


def method_error(
    standard_error: float, degrees: float, methods: Sequence[Sequence[float]]
) -> MethodError:
    """Return the error of a difference of methods.

    `standard_error` and `degrees` are those of the paired difference over problems (its unit, and
    above 0). `methods` has, for each side that was trained, the mean of every training over the
    same problems: one side if the other is a model that was not trained. The trainings' variance
    also holds their sampling noise, which the problems' error counts as well: the rule errs on the
    safe side. Raises `ValueError` for a side with one training: it shows no variance.

    >>> found = method_error(0.01, 60, [[0.50, 0.54, 0.52], [0.55, 0.57, 0.59]])
    >>> round(found.standard_error, 4), round(found.degrees, 1), round(found.trainings_share, 2)
    (0.0191, 7.5, 0.73)
    >>> low, high = found.interval(0.05)
    >>> round(low, 3), round(high, 3), round(found.p_value(0.05), 3)
    (0.005, 0.095, 0.033)
    """
    if standard_error < 0 or degrees <= 0:
        raise ValueError("the standard error must be >= 0, the degrees of freedom above 0")
    if any(len(means) < 2 for means in methods):
        raise ValueError("one training does not show how far trainings of a method differ")
    parts = [(standard_error**2, degrees)]
    parts += [(variance(means) / len(means), len(means) - 1) for means in methods]
    total = math.fsum(part for part, _ in parts)
    if total == 0:
        return MethodError(0.0, degrees, 0.0)
    return MethodError(math.sqrt(total), sum_degrees(parts, total), 1 - standard_error**2 / total)


def sum_degrees(parts: Sequence[tuple[float, float]], total: float) -> float:
    """Return Satterthwaite's (1946) degrees of freedom of a sum of variances.

    `parts` are the variances with their own degrees of freedom, `total` (above 0) is their sum.

    >>> sum_degrees([(1.0, 4), (1.0, 4)], 2.0)
    8.0
    """
    return 1 / math.fsum((part / total) ** 2 / freedom for part, freedom in parts)
