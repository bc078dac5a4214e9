"""What the page of one problem shows: prompt, reference, and every sample of every run.

Samples go into the page as data; the page's script makes text of them when they are opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.leaderboard.highlight import tokens
from recode_eval.leaderboard.text import cut, digest, shown, slug

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recode_eval.leaderboard.loading import ProblemCounts, RunEntry, Sample
    from recode_eval.leaderboard.sources import Sources
    from recode_eval.models.base import Prompt

_LONGEST_DETAIL = 2_000


@dataclass(frozen=True, slots=True)
class PromptShown:
    """A prompt, and the runs that were asked this way; `prompt` is None where it is not known."""

    prompt: Prompt | None
    runs: tuple[RunEntry, ...]


@dataclass(frozen=True, slots=True)
class ProblemPage:
    """Everything on the page of a problem of one version of a task's data."""

    id: str
    task: str
    data_hash: str
    path: str
    rows: tuple[tuple[RunEntry, ProblemCounts], ...]
    prompts: tuple[PromptShown, ...]
    answers: Mapping[str, str]
    """Known solutions; empty where the rows are not here, and `missing` says why."""
    missing: str
    data: Mapping[str, Any]
    """What the page's script reads."""


def problem_path(task: str, data_hash: str, problem_id: str) -> str:
    """Return the path of a problem's page below the site."""
    return f"problems/{slug(task)}-{data_hash[:8]}/{slug(problem_id)}.html"


def problem_page(
    problem_id: str, rows: Sequence[tuple[RunEntry, ProblemCounts]], sources: Sources
) -> ProblemPage:
    """Collect the page of a problem from the runs that have it; raises `DataError`."""
    first = rows[0][0]
    problems, missing = sources.problems(first)
    problem = problems.get(problem_id)
    samples = {run.key: run.samples(problem_id) for run, _ in rows}
    answers = dict(problem.answers) if problem else {}
    return ProblemPage(
        id=problem_id,
        task=first.task,
        data_hash=first.identity["data"],
        path=problem_path(first.task, first.identity["data"], problem_id),
        rows=tuple(rows),
        prompts=tuple(_prompts(problem_id, rows, samples, sources)),
        answers=answers,
        missing=missing,
        data=_data(samples, answers),
    )


def _prompts(
    problem_id: str,
    rows: Iterable[tuple[RunEntry, ProblemCounts]],
    samples: Mapping[str, Sequence[Sample]],
    sources: Sources,
) -> Iterable[PromptShown]:
    groups: dict[str, list[RunEntry]] = {}
    for run, _ in rows:
        for sample in samples[run.key][:1]:
            groups.setdefault(sample.completion.prompt_hash, []).append(run)
    for expected, members in sorted(groups.items()):
        problem = sources.problems(members[0])[0].get(problem_id)
        found = (sources.prompt(run, problem, expected) for run in members) if problem else iter(())
        yield PromptShown(next((p for p in found if p is not None), None), tuple(members))


def _data(samples: Mapping[str, Sequence[Sample]], answers: Mapping[str, str]) -> dict[str, Any]:
    codes: dict[str, int] = {}

    def code(text: str | None) -> int | None:
        return None if text is None else codes.setdefault(text, len(codes))

    reference = code(answers.get("reference"))
    named = {name: code(text) for name, text in answers.items()}
    runs = {key: [_sample(s, code) for s in items] for key, items in samples.items()}
    return {
        "answers": named,
        "codes": [list(tokens(text)) for text in codes],
        "reference": reference,
        "runs": runs,
    }


def _sample(sample: Sample, code: Any) -> dict[str, Any]:
    completion, score = sample.completion, sample.score
    shared = {
        "i": completion.sample,
        "finish": shown(completion.finish_reason),
        "tokens": completion.completion_tokens,
        "prefill": cut(completion.prefill),
        "text": cut(completion.text),
    }
    if score is None:
        return {**shared, "scored": False}
    return {
        **shared,
        "scored": True,
        "extraction": shown(score.extraction),
        "detail": cut(score.extraction_detail, _LONGEST_DETAIL),
        "code": code(score.code),
        "es": round(float(score.similarity.get("es", 0.0)), 4),
        "faulty": None if score.setup_error is None else cut(score.setup_error, _LONGEST_DETAIL),
        "flags": [cut(str(flag), _LONGEST_DETAIL) for flag in score.flags],
        "conditions": [
            {
                "name": shown(name),
                "passed": bool(condition.get("passed")),
                "tests": [
                    [cut(str(part), _LONGEST_DETAIL) for part in test]
                    for test in condition["tests"]
                ],
                "output": cut(str(condition.get("output", ""))),
            }
            for name, condition in score.conditions.items()
        ],
    }


def grouped(
    runs: Iterable[RunEntry],
) -> dict[tuple[str, str, str], list[tuple[RunEntry, ProblemCounts]]]:
    """Return the runs' problems by (task, data hash, problem id), in the order of these."""
    found: dict[tuple[str, str, str], list[tuple[RunEntry, ProblemCounts]]] = {}
    for run in runs:
        for problem in run.problems:
            key = run.task, str(run.identity["data"]), problem.id
            found.setdefault(key, []).append((run, problem))
    return dict(sorted(found.items()))


def anchor(run: RunEntry) -> str:
    """Return the id of a run's part of a problem's page."""
    return f"run-{run.key}-{digest(run.model_name)}"
