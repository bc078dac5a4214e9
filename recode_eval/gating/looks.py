"""What a sequential gate has seen: the information at each look, and the levels from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.comparison.differences import standard_error
from recode_eval.stats.sequential import adjusted_p, nominal_levels, planned_times

if TYPE_CHECKING:
    from recode_eval.gating.policy import Policy
    from recode_eval.run.results_file import ResultsFile


class Looks:
    """Observations of a sequential gate: every metric's information at each look, by task."""

    def __init__(self) -> None:
        self._at: dict[str, tuple[int, ...]] = {}
        self._information: dict[tuple[str, str], list[float | None]] = {}

    def observe(
        self, baseline: ResultsFile, candidate: ResultsFile, policy: Policy, looks: tuple[int, ...]
    ) -> None:
        """Note the next look at a task; `looks` are all that are planned for it."""
        task = baseline.task
        self._at[task] = looks
        for metric in policy.metrics(task):
            found = standard_error(baseline, candidate, metric)
            known = self._information.setdefault((task, metric), [])
            known.append(1 / found**2 if found else None)

    def level(self, task: str, metric: str, alpha: float) -> float:
        """Return the one-sided level of the latest look at a metric."""
        information = self._information[task, metric]
        return nominal_levels(planned_times(self._at[task]), information, alpha)[-1]

    def adjusted(self, task: str, metric: str, p_value: float) -> float:
        """Return a p-value of the latest look that accounts for the earlier ones."""
        return adjusted_p(p_value, planned_times(self._at[task]), self._information[task, metric])
