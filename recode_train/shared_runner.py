"""One sandbox for all training processes of a machine.

Every process asks for verdicts at the same moment, as TRL calls the reward functions of a step in
all processes. The first process of each machine runs the answers of all of its processes, so a
machine opens one pool of workers, and no process waits for workers that another leaves idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recode_eval.errors import RecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.tasks.base import Problem
    from recode_train.test_runner import TestRunner


class SharedTestRunner:
    """A `TestRunner` that the processes of a machine share."""

    __test__ = False

    def __init__(self, inner: TestRunner, problems: Mapping[str, Problem]) -> None:
        """Run on `inner` in the first process of a machine; `problems` are all there are, by id."""
        self._inner = inner
        self._problems = problems

    def passed(self, answers: Sequence[tuple[Problem, str | None]]) -> list[bool | None]:
        """Return what `TestRunner.passed` returns. All processes must call this, each with its own.

        Raises in all processes of a machine what `TestRunner.passed` raises in the first.
        """
        from accelerate import PartialState
        from accelerate.utils import gather_object

        state = PartialState()
        if state.num_processes == 1:
            return self._inner.passed(answers)
        machine = state.process_index - state.local_process_index
        asked = [(problem.id, code) for problem, code in answers]
        every = gather_object([(machine, asked)])
        verdicts: Any = None
        if state.is_local_main_process:
            verdicts = self._run([rows for at, rows in every if at == machine])
        found = dict(pair for pair in gather_object([(machine, verdicts)]) if pair[1] is not None)
        mine = found[machine]
        if isinstance(mine, RecodeError):
            raise mine
        return list(mine[state.local_process_index])

    def _run(self, asked: Sequence[Sequence[tuple[str, str | None]]]) -> Any:
        """Return the verdicts process by process, or the error that all of them are to raise."""
        rows = [(self._problems[name], code) for part in asked for name, code in part]
        try:
            verdicts = iter(self._inner.passed(rows))
        except RecodeError as error:
            return error
        return [[next(verdicts) for _ in part] for part in asked]

    def close(self) -> None:
        """Close the sandbox. Idempotent."""
        self._inner.close()
