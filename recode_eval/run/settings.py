"""What a run does, resolved from a configuration and a task: prompt, problems, grading, seeds."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from recode_eval.documentation.block import in_front
from recode_eval.errors import UsageError
from recode_eval.run.grading import SCORING_VERSION
from recode_eval.run.prompts import DOCS_VARIABLE
from recode_eval.sandbox.base import Limits
from recode_eval.sandbox.requirements import get_environment, has_environment
from recode_eval.tasks.base import OwnEnvironments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.documentation.shown import PromptDocs
    from recode_eval.models.base import Prompt
    from recode_eval.run.calibration import Calibration
    from recode_eval.run.prompts import PromptTemplate
    from recode_eval.tasks.base import Problem, Task, TaskData


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """Which prompt: a variant's name or a file, and what the model is told of the update."""

    name: str
    template: PromptTemplate
    source: str
    update_note: bool = True
    docs: PromptDocs | None = None
    """What the arms besides `note` and `none` show; the template's own note is then left out."""

    def render(self, problem: Problem) -> Prompt:
        """Return the prompt of a problem, which must be one that the documentation covers."""
        text = "" if self.docs is None else self.docs.shown[problem.id].text
        return render(self.template, problem, text, update_note=self.update_note)

    def covers(self, problem: Problem) -> bool:
        """Whether there is something to show for a problem."""
        return self.docs is None or problem.id in self.docs.shown


def render(template: PromptTemplate, problem: Problem, text: str, *, update_note: bool) -> Prompt:
    """Return a problem's prompt with the `text` of an arm, if there is any.

    The text stands in a block before the user's message, or where the template has `{{ docs }}`. It
    is a value: nothing in it is evaluated.
    """
    own_place = {DOCS_VARIABLE: text} if template.shows_docs else {}
    prompt = template.render({**problem.context, "update_note": update_note, **own_place})
    return in_front(prompt, text) if text and not own_place else prompt


@dataclass(frozen=True, slots=True)
class ScoringSettings:
    """How answers are graded; `isolation` is one of `sandbox.base.ISOLATIONS`."""

    limits: Limits = field(default_factory=Limits)
    isolation: str = "program"
    calibration: Calibration | None = None
    """How CPU limits follow from the references; None: `limits` as they are, for every problem."""

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ScoringSettings:
        """Return what a manifest or results.json says.

        Raises `KeyError`, `TypeError` or `ValueError` for what cannot be right.
        """
        from recode_eval.run.calibration import Calibration

        calibration = stored.get("calibration")
        try:
            limits = Limits(**stored["limits"])
        except UsageError as error:  # the file's mistake, not the user's
            raise ValueError(str(error)) from error
        return cls(
            limits,
            stored["isolation"],
            None if calibration is None else Calibration(**calibration),
        )

    def hash(self, task: Task, data: TaskData) -> str:
        """Hash everything that decides a verdict, except the sandbox's tier.

        That includes the pins of all libraries: what was graded with others is graded again.
        """
        content = [
            SCORING_VERSION,
            asdict(self),
            task.spec.version,
            task.spec.environment,
            data.content_hash,
            _pins(task, data),
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _pins(task: Task, data: TaskData) -> dict[str, str]:
    """Return the hash of every environment's pins by its name; empty if nothing is executed."""
    if not task.conditions:
        return {}
    names = {task.spec.environment}
    if isinstance(task, OwnEnvironments):
        names.update(name for problem in data.problems for name in task.environments(problem))
    return {name: get_environment(name).key for name in sorted(names) if has_environment(name)}


def changed_limits(base: Limits, timeout_s: float | None, memory_mib: float | None) -> Limits:
    """Return `base` with other CPU seconds per test and memory (MiB), where they are given."""
    if timeout_s is not None:
        base = replace(base, cpu_s=timeout_s, wall_s=4 * timeout_s)
    if memory_mib is not None:
        base = replace(base, memory_bytes=int(memory_mib) << 20)
    return base


@dataclass(frozen=True, slots=True)
class Selection:
    """Which problems and how many samples of each."""

    n: int
    limit: int | None = None
    patterns: tuple[str, ...] = ()
    since: str | None = None
    """Only problems whose change was not public before this day (ISO)."""
    until: str | None = None
    """Only problems whose change was public by this day (ISO)."""

    @classmethod
    def from_json(cls, n: int, stored: Mapping[str, Any]) -> Selection:
        """Read what a run's files say of its selection; older runs have no dates."""
        return cls(
            n,
            stored["limit"],
            tuple(stored["patterns"]),
            stored.get("since"),
            stored.get("until"),
        )

    def problems(self, data: TaskData) -> tuple[Problem, ...]:
        """Return the selected problems, in the data's order; raises `UsageError` if none is."""
        chosen = data.problems
        if self.patterns:
            chosen = tuple(p for p in chosen if any(_matches(p.id, x) for x in self.patterns))
        if self.since or self.until:
            chosen = self._dated(chosen, data.source)
        chosen = chosen[: self.limit]
        if not chosen:
            raise UsageError(
                f"No problem of {data.source} matches {', '.join(self.patterns) or '--limit 0'}."
            )
        return chosen

    def _dated(self, problems: tuple[Problem, ...], source: str) -> tuple[Problem, ...]:
        """Return the problems that surely lie in the span of days; those without days do not."""
        if not any(problem.changed_on or problem.changed_after for problem in problems):
            raise UsageError(
                f"--since and --until need to know when the changes were made, but no problem of "
                f"{source} says so."
            )
        first = date.min if self.since is None else date.fromisoformat(self.since)
        last = date.max if self.until is None else date.fromisoformat(self.until)
        chosen = tuple(
            problem
            for problem in problems
            if (problem.changed_on or problem.changed_after) is not None
            and (self.since is None or first <= (problem.changed_after or date.min))
            and (self.until is None or (problem.changed_on or date.max) <= last)
        )
        if not chosen:
            begins = max((p.changed_after for p in problems if p.changed_after), default=None)
            latest = (
                "no row says after which day (changed_after)"
                if begins is None
                else f"the latest was made after {begins}"
            )
            raise UsageError(
                f"No problem of {source} is about a change made between "
                f"{self.since or 'the beginning'} and {self.until or 'today'}; {latest}."
            )
        return chosen


def _matches(identifier: str, pattern: str) -> bool:
    # Ids are full of square brackets, which are text here and not a set of characters.
    return fnmatch.fnmatchcase(identifier, f"*{pattern.replace('[', '[[]')}*")


def sample_seed(base: int, problem_id: str, sample: int) -> int:
    """Return the seed of one sample, below 2**31, whatever else is drawn."""
    content = f"{base}\0{problem_id}\0{sample}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(content).digest()
    return int.from_bytes(digest[:4], "big") >> 1
