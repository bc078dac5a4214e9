"""What the page of one problem shows: prompt, reference, and every sample of every run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from recode_eval.leaderboard.answers import AnswerFile, coloured_samples, shared_files
from recode_eval.leaderboard.boards import asked
from recode_eval.leaderboard.failure_classes import PASSED
from recode_eval.leaderboard.index_cache import program
from recode_eval.leaderboard.text import cut, digest, slug
from recode_eval.metrics import TaskKind, metric, primary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from recode_eval.leaderboard.loading import RunEntry
    from recode_eval.leaderboard.sources import Sources
    from recode_eval.models.base import Prompt
    from recode_eval.schemas.results import ProblemResult

_MOST_SHOWN = 20
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
class ProblemRow:
    """One run on the page."""

    run: RunEntry
    problem: ProblemResult
    samples: Sequence[tuple[int, str]]
    """The first samples: number, and class (`failure_classes`) or `unscored`."""
    more: int
    """Samples beyond these."""

    @property
    def state(self) -> str:
        """`failing`, `passing` or `unknown`."""
        if self.problem.passed is None or not self.problem.n:
            return "unknown"
        return "passing" if self.problem.passed == self.problem.n else "failing"

    @property
    def first_failing(self) -> tuple[int, str] | None:
        """The first of `samples` that does not pass."""
        for sample in self.samples:
            if sample[1] != PASSED:
                return sample
        return None


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
    files: Mapping[str, bytes | Path]
    """Name and content of these files, which stand beside the page; or where the same file is."""


@lru_cache(maxsize=100_000)
def problem_path(task: str, data_hash: str, problem_id: str) -> str:
    """Return the path of a problem's page below the site."""
    return f"problems/{slug(task)}-{data_hash[:8]}/{slug(problem_id)}.html"


def problem_page(
    problem_id: str,
    members: Members,
    sources: Sources,
    coloured: int,
    earlier: Path | None = None,
) -> ProblemPage:
    """Collect the page of a problem from the runs that have it.

    The code of the first `coloured` samples is coloured. Files of answers that the site in
    `earlier` has are not made again. Raises `StorageError`.
    """
    first = members[0][0]
    problems, missing = sources.problems(first)
    problem = problems.get(problem_id)
    answers = dict(problem.solutions) if problem else {}
    path = problem_path(first.task, first.identity["data"], problem_id)
    language = first.results.task.language
    files, places = _answers(members, path, language, coloured, earlier)
    reference = answers.get("reference")
    return ProblemPage(
        id=problem_id,
        task=first.task,
        language=language,
        data_hash=first.identity["data"],
        path=path,
        rows=tuple(_row(run, at) for run, at in members),
        prompts=tuple(_prompts(problem_id, members, sources)),
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


def _answers(
    members: Members, path: str, language: str, coloured: int, earlier: Path | None
) -> tuple[dict[str, bytes | Path], dict[str, str]]:
    """Return the files of a problem's answers by name, and the name of each run's file.

    A name has a hash of everything that goes into the file, so a file of that name in an earlier
    site is the same.
    """
    shares = coloured_samples(coloured, len(members))
    files: dict[str, bytes | Path] = {}
    places: dict[str, str] = {}
    stem = path.removesuffix(".html")
    for group in shared_files([(run.key, run.index.completions.size(at)) for run, at in members]):
        chosen = [(*members[place], shares[place]) for place in group]
        inputs = [program(), language, *(f"{run.inputs} {share}" for run, _, share in chosen)]
        hashed = hashlib.sha256("\n".join(inputs).encode())
        name = f"{stem.rpartition('/')[2]}.{hashed.hexdigest()[:16]}.js"
        places.update((run.key, name) for run, _, _ in chosen)
        if earlier is not None:
            kept = (earlier / path).with_name(name)
            if kept.is_file() and not kept.is_symlink():
                files[name] = kept
                continue
        file = AnswerFile(language)
        for run, at, share in chosen:
            file.add(run.key, run.raw_samples(at), share)
        files[name] = file.script(name)
    return files, places


def _row(run: RunEntry, position: int) -> ProblemRow:
    verdicts = run.index.verdicts(position)
    more = max(0, len(verdicts) - _MOST_SHOWN)
    return ProblemRow(run, run.problems[position], verdicts[:_MOST_SHOWN], more)


def _prompts(
    problem_id: str,
    members: Members,
    sources: Sources,
) -> Iterable[PromptShown]:
    groups: dict[str, list[RunEntry]] = {}
    for run, position in members:
        if run.index.prompts[position]:
            groups.setdefault(run.index.prompts[position], []).append(run)
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
