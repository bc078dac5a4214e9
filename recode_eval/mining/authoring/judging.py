"""Deciding on drafts: a pair is kept if execution proves it and its tests notice mistakes.

The stages, cheapest first: `schema`, `leak`, `duplicate`, `suspicious`, `proof`, `mutants`. A draft
leaves at the first one that it does not pass, with the reason. Trouble of the machine is no
reason: such a draft stays undecided, and the same call tries it again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.languages.python.mutants import mutants
from recode_eval.languages.python.tampering import suspicions
from recode_eval.mining.authoring.texts import near_duplicate
from recode_eval.run.validate import validate
from recode_eval.sandbox.base import Limits, SandboxError
from recode_eval.scoring.leaks import leaked
from recode_eval.tasks.migration import NEW_RELEASE, MigrationTask, parse_row
from recode_eval.tasks.rows import RowError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.base import Problem
    from recode_eval.tasks.migration import MigrationRow

STAGES: Final = ("answer", "schema", "leak", "duplicate", "suspicious", "proof", "mutants")
"""What a draft has to pass, in this order; `answer` is that it has all its sections."""
KILLED: Final = 0.8
"""Share of the new program's mutants that the tests must notice."""
_MUTANTS: Final = 24
_LIMITS: Final = Limits(cpu_s=10, wall_s=30)
_REPEATS: Final = 2
"""A proof by luck is none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a draft."""

    id: str
    stage: str
    """The stage it did not pass; `kept`, or `undecided` where the sandbox had trouble."""
    reason: str = ""
    old_release_runs_new_code: bool | None = None
    """Whether the new program passes with the old release too: the fourth execution."""
    mutants: int = 0
    killed: int = 0


class Judge:
    """Judges drafts one by one, against the bundled pairs and those that it kept."""

    def __init__(
        self, task: MigrationTask, sandbox: Sandbox, known: Sequence[MigrationRow]
    ) -> None:
        self._task, self._sandbox = task, sandbox
        self._known = list(known)

    def keep(self, row: MigrationRow) -> None:
        """Count a row among those that a later draft must differ from."""
        self._known.append(row)

    def judge(self, raw: Mapping[str, Any]) -> Verdict:
        """Decide on one draft; never raises for what a model wrote."""
        name = str(raw["id"])
        try:
            row = parse_row(raw)
            problem = self._task.problem(row)
        except RowError as error:
            return Verdict(name, "schema", str(error))
        if passage := leaked(row.update_info, row.old_code, row.new_code):
            return Verdict(name, "leak", f"the note holds the new program's {passage!r}")
        if reason := near_duplicate(row, self._known):
            return Verdict(name, "duplicate", reason)
        for which, code in (("old", row.old_code), ("new", row.new_code)):
            if found := suspicions(code):
                return Verdict(name, "suspicious", f"the {which} program: {'; '.join(found)}")
        try:
            return self._execute(row, problem)
        except SandboxError as error:
            return Verdict(name, "undecided", str(error))

    def _execute(self, row: MigrationRow, problem: Problem) -> Verdict:
        """Run the four programs, then the mutants."""
        [finding] = validate(self._task, [problem], self._sandbox, _LIMITS, repeats=_REPEATS)
        if finding.ungraded:
            return Verdict(row.id, "undecided", finding.ungraded[0])
        if finding.faults:
            return Verdict(row.id, "proof", "; ".join(finding.faults[:3]))
        both = self._sandbox.submit(self._task.new_code_with_old(row), _LIMITS).result().passed
        made = mutants(row.new_code, _MUTANTS, random.Random(row.id))
        running = [
            self._sandbox.submit(self._task.programs(problem, code)[NEW_RELEASE], _LIMITS)
            for code in made
        ]
        killed = sum(not future.result().passed for future in running)
        if killed < KILLED * len(made):
            reason = f"the tests notice {killed} of {len(made)} small mistakes"
            return Verdict(row.id, "mutants", reason, both, len(made), killed)
        self.keep(row)
        return Verdict(row.id, "kept", "", both, len(made), killed)
