"""What the page of one problem shows: prompt, reference, and every sample of every run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from recode_eval.leaderboard.answers import answer_files
from recode_eval.leaderboard.boards import asked
from recode_eval.leaderboard.failure_classes import PASSED, raw_class
from recode_eval.leaderboard.text import cut, digest, slug
from recode_eval.metrics import TaskKind, metric, primary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.leaderboard.answers import Graded
    from recode_eval.leaderboard.loading import RunEntry
    from recode_eval.leaderboard.sources import Sources
    from recode_eval.models.base import Prompt
    from recode_eval.schemas.results import ProblemResult

_UNSCORED, _NOT_EXECUTED = "unscored", "not executed"
_MOST_CHIPS = 20
"""Samples of a run that the table shows."""

Members = list[tuple["RunEntry", int]]
"""The runs that have a problem, and its position in each."""


@dataclass(frozen=True, slots=True)
class PromptShown:
    """A prompt and the runs that used it; `prompt` is None if it is unknown."""

    prompt: Prompt | None
    runs: tuple[RunEntry, ...]

    @property
    def variant(self) -> str:
        """The prompt variants' names; hostile text."""
        return " / ".join(dict.fromkeys(run.results.prompt.name for run in self.runs))

    @property
    def asked(self) -> str:
        """The arms of the runs, with turns and tools where they had any; hostile text."""
        return " / ".join(dict.fromkeys(", ".join(asked(run.results)) for run in self.runs))


@dataclass(frozen=True, slots=True)
class Chip:
    """One sample of a row: a link to its answer."""

    sample: int
    word: str
    """Its class (`failure_classes`), or `unscored`."""

    @property
    def kind(self) -> str:
        """`good`, `bad`, or `none` where nothing was executed."""
        if self.word in {_UNSCORED, _NOT_EXECUTED}:
            return "none"
        return "good" if self.word == PASSED else "bad"


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """One run on the page."""

    run: RunEntry
    problem: ProblemResult
    chips: tuple[Chip, ...]
    """The first samples."""
    more: int
    """Samples that have no chip."""

    @property
    def state(self) -> str:
        """`failing`, `passing` or `unknown`."""
        if self.problem.passed is None or not self.problem.n:
            return "unknown"
        return "passing" if self.problem.passed == self.problem.n else "failing"

    @property
    def first_failing(self) -> Chip | None:
        """The first sample that does not pass, if a chip shows it."""
        return next((chip for chip in self.chips if chip.word != PASSED), None)


@dataclass(frozen=True, slots=True)
class ProblemPage:
    """Everything on the page of a problem of one version of a task's data."""

    id: str
    task: str
    language: str
    data_hash: str
    path: str
    rows: tuple[ProblemRow, ...]
    prompts: tuple[PromptShown, ...]
    answers: Mapping[str, str]
    """Known solutions; empty where the rows are not here, and `missing` says why."""
    missing: str
    data: Mapping[str, Any]
    """What the page's script reads: the reference, what the samples' similarity is called, and per
    run the file with its samples."""
    files: Mapping[str, bytes]
    """Name and content of these files, which stand beside the page."""


@lru_cache(maxsize=100_000)
def problem_path(task: str, data_hash: str, problem_id: str) -> str:
    """Return the path of a problem's page below the site."""
    return f"problems/{slug(task)}-{data_hash[:8]}/{slug(problem_id)}.html"


def problem_page(problem_id: str, members: Members, sources: Sources, coloured: int) -> ProblemPage:
    """Collect the page of a problem from the runs that have it.

    The code of the first `coloured` samples is coloured. Raises `StorageError`.
    """
    first = members[0][0]
    problems, missing = sources.problems(first)
    problem = problems.get(problem_id)
    samples = {run.key: run.raw_samples(position) for run, position in members}
    answers = dict(problem.solutions) if problem else {}
    path = problem_path(first.task, first.identity["data"], problem_id)
    language = first.results.task.language
    files: dict[str, bytes] = {}
    places: dict[str, str] = {}
    for number, file in enumerate(answer_files(samples.items(), coloured, language)):
        name = f"{path.rpartition('/')[2].removesuffix('.html')}.{number}.js"
        files[name] = file.script(name)
        places.update(dict.fromkeys(file.runs, name))
    reference = answers.get("reference")
    return ProblemPage(
        id=problem_id,
        task=first.task,
        language=language,
        data_hash=first.identity["data"],
        path=path,
        rows=tuple(_row(run, run.problems[at], samples[run.key]) for run, at in members),
        prompts=tuple(_prompts(problem_id, members, samples, sources)),
        answers=answers,
        missing=missing,
        data={
            "reference": None if reference is None else cut(reference),
            "files": places,
            "similarity": metric(primary(TaskKind.UNTESTED)).heading,
            "tests": {cut(n, 200): cut(c) for n, c in sources.tests(first, problem).items()},
        },
        files=files,
    )


def _row(run: RunEntry, problem: ProblemResult, samples: Sequence[Graded]) -> ProblemRow:
    chips = tuple(
        Chip(completion["sample"], _word(score)) for completion, score in samples[:_MOST_CHIPS]
    )
    return ProblemRow(run, problem, chips, max(0, len(samples) - _MOST_CHIPS))


def _word(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return _UNSCORED
    if score.get("code") is not None and not score.get("conditions"):
        return _NOT_EXECUTED
    return raw_class(score.get("code"), score.get("conditions") or {}, score.get("measures") or {})


def _prompts(
    problem_id: str,
    members: Members,
    samples: Mapping[str, Sequence[Graded]],
    sources: Sources,
) -> Iterable[PromptShown]:
    groups: dict[str, list[RunEntry]] = {}
    for run, _ in members:
        for completion, _ in samples[run.key][:1]:
            groups.setdefault(completion["prompt_hash"], []).append(run)
    # The prompt of most runs comes first: it is open, and that of a single test run is not.
    for expected, runs in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        problem = sources.problems(runs[0])[0].get(problem_id)
        found = (sources.prompt(run, problem, expected) for run in runs) if problem else iter(())
        yield PromptShown(next((p for p in found if p is not None), None), tuple(runs))


def grouped(runs: Iterable[RunEntry]) -> dict[tuple[str, str, str], Members]:
    """Return the runs' problems by (task, data hash, problem id), in the order of these."""
    found: dict[tuple[str, str, str], Members] = {}
    for run in runs:
        for position, problem in enumerate(run.problems):
            key = run.task, str(run.identity["data"]), problem.id
            found.setdefault(key, []).append((run, position))
    return dict(sorted(found.items()))


def anchor(run: RunEntry) -> str:
    """Return the id of a run's part of a problem's page."""
    return f"run-{run.key}-{digest(run.model_name)}"
