"""Which of a problem's tests the model may see: its first, where there are hidden ones besides.

The choice depends on the problem alone, so that every model sees the same, and its hash over the
data is part of a run's identity.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from recode_eval.tasks.base import Showing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recode_eval.sandbox.base import Test
    from recode_eval.tasks.base import Problem, Task


def visible_test(task: Task, problem: Problem) -> Test | None:
    """Return the test that the model may see; None where the problem has only one.

    Asked of the program of the reference: some tasks add a test for what an answer lacks.
    """
    reference = problem.solutions["reference"]
    tests = task.programs(problem, reference)[task.conditions[0]].tests
    return tests[0] if len(tests) > 1 else None


def shown_source(task: Task, problem: Problem, test: Test) -> str | None:
    """Return the text of a visible test as the model sees it; None: it sees the verdict alone.

    The text of a test that holds the reference is never shown, whatever the task says.
    """
    source = task.shown(problem, test) if isinstance(task, Showing) else test.code
    reference = problem.solutions["reference"].strip()
    return None if source is None or (reference and reference in source) else source


def visible_hash(task: Task, problems: Iterable[Problem]) -> str:
    """Return the SHA-256 of the visible tests, problem by problem."""
    digest = hashlib.sha256()
    for problem in problems:
        test = visible_test(task, problem)
        seen = None if test is None else [test.name, test.code]
        digest.update(json.dumps([problem.id, seen]).encode() + b"\n")
    return digest.hexdigest()
