"""Hand the answers to a grader, and report what it returned beside what it should have."""

from __future__ import annotations

import inspect
import math
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.checks import texts
from recode_eval.conformance.cases import CASES, ConformanceCase
from recode_eval.errors import UsageError
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Grade = Callable[[ConformanceCase], float | bool | None]
    """Returns the reward of an answer: 1 (or true), 0 (or false), or None if it has none."""

_HUNG: Final = "gives no answer in time"


@dataclass(frozen=True, slots=True)
class CheckedCase:
    """What a grader returned for one answer."""

    name: str
    kind: str
    expected: float | None
    returned: str
    """As text: a number, `None`, what it raised, or that it gave no answer."""
    sound: bool
    seconds: float

    @property
    def grave(self) -> bool:
        """Whether a wrong answer was rewarded: what reinforcement learning finds first."""
        return not self.sound and self.expected != 1 and self.returned == "1"


@dataclass(frozen=True, slots=True)
class GraderReport:
    """All answers.

    >>> report = check_grader(lambda case: case.expected, kinds=["right", "wrong"])
    >>> report.sound, len(report.cases)
    (True, 15)
    """

    cases: tuple[CheckedCase, ...]

    @property
    def sound(self) -> bool:
        """Whether every answer got what it should."""
        return all(case.sound for case in self.cases)

    @property
    def unsound(self) -> tuple[CheckedCase, ...]:
        """The answers that got something else."""
        return tuple(case for case in self.cases if not case.sound)

    def text(self) -> str:
        """Return a line per answer that was graded wrongly, and the counts."""
        counts = Counter(case.kind for case in self.cases)
        wrong = Counter(case.kind for case in self.unsound)
        lines = [
            f"{'WRONG REWARD' if case.grave else 'unsound'}: {case.kind}: {case.name}: "
            f"{_what(case)}, not {_shown(case.expected)}"
            for case in self.unsound
        ]
        shares = ", ".join(f"{kind} {counts[kind] - wrong[kind]}/{counts[kind]}" for kind in counts)
        return "\n".join([*lines, f"sound: {shares}"])


def check_grader(
    grade: Grade,
    *,
    broken: Grade | None = None,
    kinds: Iterable[str] | None = None,
    seconds: float = 120.0,
) -> GraderReport:
    """Grade every answer and compare.

    `grade` takes a case (its `answer` is the model's text, its `code` the program) and returns its
    reward. `broken` is the same grader on a machine that cannot run programs: it must return None
    for a right answer and for a wrong one, never 0. `kinds` are those of the answers that are
    checked (all by default). A grader that takes longer than `seconds` for one answer is unsound
    there; its thread is left behind.

    Raises `UsageError` for a kind that there is not, and for a grader that is no function of a
    case, or an async one: wrap that in `lambda case: asyncio.run(grade(case))`.
    """
    for given in (grade,) if broken is None else (grade, broken):
        if not callable(given):
            raise UsageError(f"A grader is a function that takes a case, not {given!r:.60}.")
        if inspect.iscoroutinefunction(given):
            raise UsageError("The grader is async. Wrap it: lambda case: asyncio.run(grade(case)).")
    kinds = None if kinds is None else texts("kinds", kinds)
    known = tuple(dict.fromkeys(case.kind for case in CASES))
    wanted = known if kinds is None else tuple(kinds)
    for kind in wanted:
        if kind not in known:
            raise UsageError(f"There is no kind {kind!r} of answers; known: {', '.join(known)}.")
    checked = [
        _checked(grade, case, case.expected, case.kind, seconds)
        for case in CASES
        if case.kind in wanted
    ]
    if broken is not None:
        for case in (CASES[0], next(case for case in CASES if case.kind == "wrong")):
            checked.append(_checked(broken, case, None, "broken machine", seconds))
    return GraderReport(tuple(checked))


def _checked(
    grade: Grade, case: ConformanceCase, expected: float | None, kind: str, seconds: float
) -> CheckedCase:
    started = time.perf_counter()
    box: list[Any] = []

    def work() -> None:
        try:
            box.append(("value", grade(case)))
        except BaseException as error:  # noqa: BLE001 - whatever a grader raises is its answer
            box.append(("raised", error))

    thread = threading.Thread(target=work, daemon=True, name=f"grade {case.name}")
    thread.start()
    thread.join(seconds)
    taken = time.perf_counter() - started
    if not box:
        return CheckedCase(case.name, kind, expected, _HUNG, False, taken)
    how, value = box[0]
    if how == "raised":
        # For a broken machine an exception is as good as None: nobody can take it for a 0.
        text = one_line(f"raised {type(value).__name__}: {value}")[:200]
        return CheckedCase(case.name, kind, expected, text, expected is None, taken)
    number = float(value) if isinstance(value, bool | int | float) else None
    sound = (number is None and value is None) if expected is None else number == expected
    unscored = expected is None and number is not None and math.isnan(number)
    return CheckedCase(case.name, kind, expected, _shown(value), sound or unscored, taken)


def _what(case: CheckedCase) -> str:
    """Return what a grader did, as a clause."""
    is_value = not case.returned.startswith(("raised ", _HUNG))
    return f"returned {case.returned}" if is_value else case.returned


def _shown(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return f"{float(value):g}"
    return one_line(repr(value))[:100]
