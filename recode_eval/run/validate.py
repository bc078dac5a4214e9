"""Proving a task's problems by execution, without a model.

A problem is sound if its reference passes with the update in force and fails without it, if its
stale solution (where it has one) fails with it, and if whatever else must pass or fail does: the
update's own tests, or the old code with the old release; the reference with one of several updates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from recode_eval.sandbox.base import SandboxError, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from recode_eval.sandbox.base import Execution, Limits, Program, Sandbox
    from recode_eval.tasks.base import Problem, Task


@dataclass(frozen=True, slots=True)
class Expectation:
    """A program, and whether a sound problem's program passes."""

    name: str
    program: Program
    passes: bool
    reference: bool = False
    """Whether it is the row's own answer, which a model is asked for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What validation found out about one problem; no faults means it is sound."""

    problem_id: str
    checks: int
    faults: tuple[str, ...]
    ungraded: tuple[str, ...] = ()
    """Checks that the sandbox could not carry out."""
    reference_fails: bool = False
    """The row's own answer fails here: whatever a model answers, its failure says nothing."""
    environments: tuple[str, ...] = ()
    """Environments of single releases that the problem's programs run in."""
    sound: int = 0
    """Repeats in which every check went as it must."""


@runtime_checkable
class OwnPrograms(Protocol):
    """A task whose rows hold more that must pass than the reference."""

    def own_programs(self, problem: Problem) -> Iterable[tuple[str, Program]]:
        """Yield what must pass, with a name for people."""
        ...


@runtime_checkable
class FailingPrograms(Protocol):
    """A task whose rows hold more that must fail than the stale solution."""

    def failing_programs(self, problem: Problem) -> Iterable[tuple[str, Program]]:
        """Yield what must fail, with a name for people."""
        ...


@runtime_checkable
class OwnChecks(Protocol):
    """A task whose rows can be wrong in ways that no execution shows."""

    def faults(self, problem: Problem) -> Sequence[str]:
        """Return what is wrong with a row."""
        ...


def expectations(task: Task, problem: Problem) -> Iterator[Expectation]:
    """Yield everything that must hold for a problem; nothing for a task without tests."""
    if not task.conditions:
        return
    first, *others = task.conditions
    programs = task.programs(problem, problem.solutions["reference"])
    yield Expectation(f"reference {_words(first)}", programs[first], passes=True, reference=True)
    for condition in others:
        yield Expectation(f"reference {_words(condition)}", programs[condition], passes=False)
    if "stale" in problem.solutions:
        stale = task.programs(problem, problem.solutions["stale"])
        yield Expectation(f"stale solution {_words(first)}", stale[first], passes=False)
    if isinstance(task, OwnPrograms):
        for name, program in task.own_programs(problem):
            yield Expectation(name, program, passes=True)
    if isinstance(task, FailingPrograms):
        for name, program in task.failing_programs(problem):
            yield Expectation(name, program, passes=False)


def validate(
    task: Task,
    problems: Sequence[Problem],
    sandbox: Sandbox,
    limits: Limits,
    *,
    repeats: int = 1,
    on_done: Callable[[], None] = lambda: None,
) -> list[Finding]:
    """Run every expectation of every problem `repeats` times; findings in the problems' order."""
    running = []
    for problem in problems:
        checks = []
        for expectation in expectations(task, problem):
            futures = [sandbox.submit(expectation.program, limits) for _ in range(repeats)]
            checks.append((expectation, futures))
        running.append((problem, checks))
    findings = []
    for problem, checks in running:
        faults = list(task.faults(problem)) if isinstance(task, OwnChecks) else []
        ungraded: list[str] = []
        reference_fails = False
        wrong = set(range(repeats)) if faults else set[int]()
        for expectation, futures in checks:
            before = len(faults)
            for repeat, future in enumerate(futures):
                if not _check(expectation, future, faults, ungraded):
                    wrong.add(repeat)
            reference_fails |= expectation.reference and len(faults) > before
        environments = (expectation.program.environment for expectation, _ in checks)
        findings.append(
            Finding(
                problem.id,
                len(checks),
                tuple(dict.fromkeys(faults)),
                tuple(dict.fromkeys(ungraded)),
                reference_fails,
                tuple(dict.fromkeys(name for name in environments if name)),
                repeats - len(wrong),
            )
        )
        on_done()
    return findings


def _check(
    expectation: Expectation,
    future: Future[Execution],
    faults: list[str],
    ungraded: list[str],
) -> bool:
    """Return whether the program ended as it must; what else happened is added to the lists."""
    before = len(faults), len(ungraded)
    try:
        execution = future.result()
    except SandboxError as error:
        ungraded.append(f"{expectation.name}: {error}")
        return False
    if execution.setup_error is not None:
        faults.append(f"{expectation.name}: the set-up fails: {execution.setup_error}")
    elif execution.passed and not expectation.passes:
        faults.append(f"{expectation.name}: passes all tests but must fail")
    elif expectation.passes and not execution.passed:
        failed = [v for v in execution.verdicts if v.status is not Status.PASSED]
        shown = "; ".join(f"{v.name} {v.status}: {v.detail}" for v in failed[:3])
        faults.append(f"{expectation.name}: {len(failed)} tests do not pass ({shown})")
    return before == (len(faults), len(ungraded))


def _words(condition: str) -> str:
    """Return a condition in words: "with the update", "with the new release"."""
    words = condition.replace("_", " ").replace("with ", "with the ")
    words = words.replace("without ", "without the ")
    return words if words.startswith("with") or " " not in words else f"with the {words}"
