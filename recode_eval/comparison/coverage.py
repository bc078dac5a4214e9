"""Which metrics of two runs can be compared, and over how many problems: none is left out mutely.

A metric may be newer than one of the runs, a measure may exist for some problems only, and a
problem of which fewer than k samples were graded has no pass@k.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from recode_eval.metrics import label

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recode_eval.run.results_file import ResultsFile


def coverage_notes(
    a: ResultsFile, b: ResultsFile, named: Iterable[str] | None = None, *, asked: bool = True
) -> list[str]:
    """Return a sentence per reason why metrics are not compared, or not over all problems.

    `named` are the metrics that are compared; None: all that one of the runs has. Unless the user
    `asked` for them, one that neither run has is not missed.
    """
    names = dict.fromkeys([*a.metrics, *b.metrics] if named is None else named)
    graded = sum(bool(problem.n and b.scores[key].n) for key, problem in a.scores.items()
                 if key in b.scores)  # fmt: skip
    reasons: dict[str, list[str]] = defaultdict(list)
    for name in names:
        old, new = _problems_with(a, name), _problems_with(b, name)
        if not old and not new:
            # Asked for by name, it is missed; else it is a pass@k that neither run can have.
            if named is not None and asked:
                reasons["neither run has a value, so it is not compared"].append(name)
        elif not old or not new:
            whose = "the baseline" if old else "the candidate"
            reasons[f"only {whose} has a value, so it is not compared"].append(name)
        elif len(old & new) < graded:
            reasons[
                f"compared over {len(old & new)} of the {graded} problems that both runs have a "
                "score of; the others have no value of it in one of the runs"
            ].append(name)
    return [f"{', '.join(map(label, found))}: {reason}" for reason, found in reasons.items()]


def _problems_with(run: ResultsFile, metric: str) -> set[str]:
    return {key for key, value in run.values(metric).items() if value is not None}
