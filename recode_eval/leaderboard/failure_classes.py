"""Why a sample fails: one class for each, so that they add up to the samples that do not pass.

A sample has the first class that fits. An answer that still uses the old API counts as that,
whatever it raised: this is what the benchmark is about.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.run.records import ScoreRecord

UNSCORED: Final = "unscored"
NOT_EXECUTED: Final = "not executed"
"""These two are no classes: nothing is known of such samples."""
PASSED: Final = "passes"
STALE: Final = "old API"
NO_CODE: Final = "no code"
WRONG: Final = "wrong value"
TIMEOUT: Final = "timeout"
MEMORY: Final = "memory"
CRASH: Final = "crash"
SYNTAX: Final = "syntax"
NAMES: Final = "missing name"
ARGUMENTS: Final = "wrong type"
OTHER: Final = "other exception"
CLASSES: Final[Mapping[str, str]] = {
    STALE: "uses what the update removed or changed",
    WRONG: "a test's assertion failed",
    NAMES: "AttributeError, NameError, ImportError or KeyError",
    ARGUMENTS: "TypeError: other arguments or types than the API takes",
    OTHER: "another exception",
    SYNTAX: "does not compile",
    TIMEOUT: "ran out of time",
    MEMORY: "ran out of memory",
    CRASH: "the process died",
    NO_CODE: "no code was found in the answer",
}
"""Every class of failure, in the order of the bars, and what it means."""
_BY_STATUS: Final = {"timeout": TIMEOUT, "memory": MEMORY, "crashed": CRASH}
_BY_EXCEPTION: Final = {
    "AssertionError": WRONG, "SyntaxError": SYNTAX, "IndentationError": SYNTAX, "TabError": SYNTAX,
    "AttributeError": NAMES, "NameError": NAMES, "ImportError": NAMES, "KeyError": NAMES,
    "ModuleNotFoundError": NAMES, "UnboundLocalError": NAMES, "TypeError": ARGUMENTS,
}  # fmt: skip
_EXCEPTION: Final = re.compile(r"[A-Za-z_][\w.]*")


@dataclass(slots=True)
class Failures:
    """The failures of one run; made while its scores are read."""

    counts: Counter[str] = field(default_factory=Counter)
    """Scored samples by class; `passes` too."""
    first: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Of a problem (by position) with failing samples: the first of them, and its class."""

    def add(self, position: int, sample: int, found: str) -> None:
        """Count a sample's class; the samples of a problem come in any order."""
        self.counts[found] += 1
        if found == PASSED:
            return
        known = self.first.get(position)
        if known is None or sample < known[0]:
            self.first[position] = sample, found


def failure_class(record: ScoreRecord) -> str:
    """Return why a graded sample does not pass, or `passes`."""
    return raw_class(record.code, record.conditions, record.measures)


def raw_class(
    code: str | None,
    conditions: Mapping[str, Mapping[str, Any]],
    measures: Mapping[str, float],
) -> str:
    """Return the class of a sample by the parts of its record."""
    if code is None:
        return NO_CODE
    condition: Mapping[str, Any] = next(iter(conditions.values()), {})
    if condition.get("passed"):
        return PASSED
    if measures.get("stale_api"):
        return STALE
    failing = (test for test in condition.get("tests", ()) if test[1] != "passed")
    for _, status, detail in failing:
        if status in _BY_STATUS:
            return _BY_STATUS[status]
        named = _EXCEPTION.match(detail)
        return _BY_EXCEPTION.get(named.group().rpartition(".")[2], OTHER) if named else OTHER
    return OTHER
