"""Verify a submitted run: check its files and figures, and grade a part of it again.

A pack's bytes are verified when it is read, its results against its records when it is loaded. Here
the figures are computed anew, prompts rendered from the bundled template, and a random part of the
answers is graded in a sandbox of this machine. Nothing from the pack is executed outside of the
sandbox: task, rows and templates are those of this program or of the command line.

What this cannot show: who made the run, that the model named in it wrote the answers, or that no
better looking run was left out.
"""

from __future__ import annotations

import math
import random
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError, UsageError
from recode_eval.metrics import metric
from recode_eval.run.calibration import Calibration, MeasuredLimits
from recode_eval.run.grading import Grader, Unscored
from recode_eval.run.results import estimates
from recode_eval.run.settings import ScoringSettings
from recode_eval.sandbox.base import ISOLATIONS, Limits, Status
from recode_eval.sandbox.null import NullSandbox
from recode_eval.schemas.results import SIMILARITY_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from recode_eval.leaderboard.loading import RunEntry, Sample
    from recode_eval.leaderboard.sources import Sources
    from recode_eval.run.records import Key, ScoreRecord
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.base import Problem, Task

LEAST: Final = 20
"""Samples that are graded again at least, where there are so many."""
_TOLERANCE: Final = 1e-9
_MOST: Final = Limits(cpu_s=120, wall_s=1200, memory_bytes=16 << 30, output_bytes=1 << 20,
                      file_bytes=1 << 30, processes=256)  # fmt: skip
"""Caps on limits read from a submitted run."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """A sample whose verdict here differs from the run's."""

    problem_id: str
    sample: int
    what: str
    """`verdict`, `code`, `similarity`; `timeout`: tests ran out of time in the run and not here, as
    limits depend on the machine; `flaky`: a second try here agrees with the run."""
    detail: str


@dataclass(slots=True)
class Checked:
    """Result of verifying a run."""

    task: str
    model: str
    samples: int
    drawn: int
    deviations: list[Deviation] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    """Metrics that do not follow from the counts."""
    prompts: str = ""
    """Why prompts could not be checked; empty if all that were drawn are right."""
    wrong_prompts: list[str] = field(default_factory=list)
    ungraded: list[str] = field(default_factory=list)
    """Samples that this machine could not grade, with the reason."""

    @property
    def sound(self) -> bool:
        """Whether the machine explains every difference."""
        serious = [item for item in self.deviations if item.what not in {"timeout", "flaky"}]
        return not (serious or self.figures or self.wrong_prompts)

    def as_json(self) -> dict[str, Any]:
        """Return the content for `--json`."""
        return {"sound": self.sound, **asdict(self)}


def check(
    folder: Path,
    where: str,
    sources: Sources,
    task: Callable[[str], Task],
    open_sandbox: Callable[[Task, str], Sandbox],
    *,
    share: float = 0.1,
    seed: int = 0,
    note: Callable[[str], None] = lambda _: None,
) -> Checked:
    """Check an unpacked run; `share` of its samples (0 to 1) are drawn with `seed`.

    Raises:
        DataError: the run's files are damaged or do not agree, or its rows are not here.
        InfrastructureError: there is no sandbox.
    """
    from recode_eval.leaderboard.loading import load_run

    run = load_run(folder, where)
    problems, missing = sources.problems(run)
    if missing:
        raise DataError(f"{where}: {missing}.")
    settings = _settings(run)
    found = Checked(run.task, run.model_name, run.counts["samples"], 0)
    found.figures = wrong_figures(run)
    drawn = _draw(run, share, seed)
    found.drawn = len(drawn)
    _check_prompts(run, sources, problems, drawn, found)
    chosen = task(run.task)
    sandbox = open_sandbox(chosen, settings.isolation) if chosen.conditions else NullSandbox()
    note(f"Grading {len(drawn)} of {found.samples} samples again.")
    grading = _Again(chosen, problems, sandbox, settings)
    first = grading.grade(drawn)
    other = [s for s in drawn if _deviation(s, first.get(s.completion.key)) is not None]
    second = grading.grade(other) if other else {}
    found.ungraded = grading.ungraded
    for sample in other:
        key = sample.completion.key
        if key not in first:
            continue
        deviation = _deviation(sample, first[key])
        assert deviation is not None
        if key in second and _deviation(sample, second[key]) is None:
            deviation = replace(deviation, what="flaky")
        found.deviations.append(deviation)
    return found


def _settings(run: RunEntry) -> ScoringSettings:
    """Return grading rules: the run's limits, capped, and our own calibration.

    A limit too low would make time-outs of failures that a sender calls passes.
    """
    try:
        settings = ScoringSettings.from_json(run.results["scoring"])
        least, most, own = asdict(Limits()), asdict(_MOST), asdict(settings.limits)
        limits = {
            name: type(low)(max(low, min(float(own[name]), most[name])))
            for name, low in least.items()
        }
        if settings.isolation not in ISOLATIONS:
            raise ValueError("isolation")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{run.where}: its grading rules are damaged ({error}).") from error
    calibration = None if settings.calibration is None else Calibration()
    return ScoringSettings(Limits(**limits), settings.isolation, calibration)


def wrong_figures(run: RunEntry) -> list[str]:
    """Return the metrics whose value or interval does not follow from the problems' counts."""
    stated = run.results.metrics
    ks = {k for name in stated if (k := metric(name).k) is not None}
    computed = estimates(run.problems, ks | {1})
    wrong = []
    for name, other in stated.items():
        estimate = computed.get(name)
        if estimate is None or other is None:
            if other is not None or estimate is not None:
                wrong.append(name)
        elif not all(_same(estimate[part], other.get(part)) for part in ("value", "low", "high")):
            wrong.append(name)
    return wrong


def _same(one: float | None, two: object) -> bool:
    if one is None or not isinstance(two, int | float):
        return one is None and two is None
    return math.isclose(one, two, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _draw(run: RunEntry, share: float, seed: int) -> list[Sample]:
    """Return a random part of the graded samples, in the run's order."""
    keys: list[Key] = []
    for problem in run.problems:
        keys += [
            sample.completion.key for sample in run.samples(problem.id) if sample.score is not None
        ]
    count = min(len(keys), max(LEAST, math.ceil(share * len(keys))))
    wanted = set(random.Random(seed).sample(keys, count))
    return [
        sample
        for problem_id in dict.fromkeys(key[0] for key in keys if key in wanted)
        for sample in run.samples(problem_id)
        if sample.completion.key in wanted
    ]


def _check_prompts(
    run: RunEntry,
    sources: Sources,
    problems: Mapping[str, Problem],
    drawn: Sequence[Sample],
    found: Checked,
) -> None:
    """Render the drawn samples' prompts with the bundled template, and compare the hashes."""
    for problem_id in dict.fromkeys(sample.completion.problem_id for sample in drawn):
        if problem_id not in problems:
            raise DataError(f"{run.where}: the task has no problem {problem_id}.")
    if not sources.knows_template(run):
        found.prompts = "the run used a template that is not bundled"
        return
    for sample in drawn:
        record = sample.completion
        if sources.prompt(run, problems[record.problem_id], record.prompt_hash) is None:
            found.wrong_prompts.append(record.problem_id)
    found.wrong_prompts = sorted(set(found.wrong_prompts))


class _Again:
    """Grades stored completions as a run does, without a run."""

    def __init__(
        self,
        task: Task,
        problems: Mapping[str, Problem],
        sandbox: Sandbox,
        settings: ScoringSettings,
    ) -> None:
        self._task, self._problems = task, problems
        self._sandbox = sandbox
        self._limits = MeasuredLimits(
            settings.calibration, settings.limits, split=sandbox.info.isolation == "split"
        )
        self.ungraded: list[str] = []

    def grade(self, samples: Sequence[Sample]) -> dict[Key, ScoreRecord]:
        """Return the scores; what cannot be graded is named in `ungraded`."""
        if self._task.conditions:
            wanted = sorted({sample.completion.problem_id for sample in samples})
            problems = [self._problems[key] for key in wanted]
            self._limits.measure(self._task, problems, self._sandbox)
        found: dict[Key, ScoreRecord] = {}

        def keep(record: ScoreRecord) -> None:
            found[record.key] = record

        def give_up(item: Unscored) -> None:
            self.ungraded.append(f"{item.problem_id}, sample {item.sample}: {item.reason}")

        grader = Grader(
            self._task,
            self._sandbox,
            self._limits.limits,
            "check",
            unsplit=self._limits.unsplit,
            on_score=keep,
            on_unscored=give_up,
        )
        try:
            for sample in samples:
                grader.submit(self._problems[sample.completion.problem_id], sample.completion)
            grader.finish()
        except BaseException:
            grader.abandon()
            raise
        return found


def _deviation(sample: Sample, here: ScoreRecord | None) -> Deviation | None:
    """Compare a stored score with one of this machine; None if they agree or it does not exist."""
    stored = sample.score
    if here is None or stored is None:
        return None
    key = sample.completion.key
    if stored.code != here.code:
        return Deviation(*key, "code", "extraction found other code in the answer")
    for name, value in here.similarity.items():
        there = stored.similarity.get(name)
        # A metric that came later is not in an older record; the first ones always are.
        due = name in stored.similarity or name in SIMILARITY_FIELDS
        if due and not _same(value, there):
            return Deviation(*key, "similarity", f"{name}: {there} in the run, {value} here")
    for name in sorted(here.conditions.keys() | stored.conditions.keys()):
        one, two = _tests(stored, name), _tests(here, name)
        sides = [f"{_passing(side).count(True)} of {len(side)} tests pass" for side in (one, two)]
        detail = f"{name}: {sides[0]} in the run, {sides[1]} here"
        if [test[0] for test in one] != [test[0] for test in two]:
            return Deviation(*key, "verdict", f"{detail}; not the same tests")
        if stored.passed(name) == here.passed(name) and _passing(one) == _passing(two):
            continue
        # Only where the run itself ran out of time: a pass that times out here is not confirmed.
        slow = all(a[1] == b[1] or a[1] == Status.TIMEOUT for a, b in zip(one, two, strict=True))
        return Deviation(*key, "timeout" if slow and one else "verdict", detail)
    return None


def _tests(record: ScoreRecord, condition: str) -> list[list[str]]:
    found: list[list[str]] = record.conditions.get(condition, {}).get("tests", [])
    return found


def _passing(tests: Sequence[Sequence[str]]) -> list[bool]:
    return [test[1] == Status.PASSED for test in tests]


def unpacked(file: Path, folder: Path) -> Path:
    """Unpack a pack below `folder`, or return a run's own folder as it is.

    Raises `UsageError` if it is neither, `DataError` for a pack that is not sound.
    """
    from recode_eval.run.archive import SUFFIX, unpack

    if file.is_dir():
        return file
    if not file.is_file() or not file.name.endswith(SUFFIX):
        raise UsageError(f"{file} is neither a pack (*{SUFFIX}) nor the folder of a run.")
    place = folder / file.name.removesuffix(SUFFIX)
    unpack(file, place)
    return place
