"""Rows of which a site has one per problem and run, as markup.

A template would take most of the time of a large build for them, even to call one by one. What
people or models wrote is escaped here as the templates escape it; words of `run_index.WORDS` and
hashes are plain.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from recode_eval.leaderboard.drilldown import anchor, problem_path
from recode_eval.leaderboard.failure_classes import NOT_EXECUTED, PASSED, UNSCORED
from recode_eval.leaderboard.text import shown
from recode_eval.metrics import TaskKind, metric, primary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recode_eval.leaderboard.drilldown import ProblemRow
    from recode_eval.leaderboard.loading import RunEntry

_SIGNS: Final = {"good": "✓", "none": "·", "bad": "✗"}


@lru_cache(maxsize=100_000)
def _text(text: str) -> str:
    return str(escape(shown(text)))


def _count(value: int | None) -> str:
    if value is None:
        return '<td class="num" data-v="">-</td>'
    return f'<td class="num" data-v="{value}">{value}</td>'


def _kind(word: str) -> str:
    """Return `good`, `bad`, or `none` where nothing was executed."""
    if word in {UNSCORED, NOT_EXECUTED}:
        return "none"
    return "good" if word == PASSED else "bad"


@lru_cache(maxsize=10_000)
def _chip(verdict: tuple[int, str]) -> tuple[str, str]:
    """Return what stands before and after the run's key in the link to a sample."""
    sample, word = verdict
    kind, name = _kind(word), f"sample {sample}: {word}"
    after = (
        f'.{sample}" title="{name}"><span aria-hidden="true">{_SIGNS[kind]}</span>'
        f'<span class="sr">{name}</span></a>'
    )
    return f'<a class="chip {kind}" href="#open=', after


def run_rows(rows: Iterable[ProblemRow], labels: Mapping[str, str]) -> Markup:
    """Return the rows of the table of a problem's page; `labels` are the boards' by run."""
    return _joined(_run_row(row, labels[row.run.key]) for row in rows)


def run_folds(rows: Iterable[ProblemRow], labels: Mapping[str, str]) -> Markup:
    """Return the closed parts of a problem's page that the runs' answers are put into."""
    return _joined(_run_fold(row, labels[row.run.key]) for row in rows)


def problem_rows(run: RunEntry) -> Markup:
    """Return the rows of the table of a run on its model's page."""
    return _joined(_problem_row(run, position) for position in range(len(run.problems)))


def _joined(rows: Iterable[str]) -> Markup:
    return Markup("".join(rows))  # noqa: S704


def _run_row(row: ProblemRow, board: str) -> str:
    run, problem, first = row.run, row.problem, row.first_failing
    key = run.key
    chips = "".join([key.join(_chip(verdict)) for verdict in row.samples])
    faulty = "" if problem.faulty is None else ' <span class="badge warn">faulty problem</span>'
    more = f' <span class="ci">and {row.more} more</span>' if row.more else ""
    return (
        f'<tr data-state="{row.state}"><th scope="row"><a href="#open={key}'
        f'{f".{first[0]}" if first else ""}">{_text(run.model_name)}</a>{faulty}</th>'
        f"<td>{_text(board)}</td>{_count(problem.passed)}{_count(problem.n)}"
        f"{_count(problem.passed_without_update)}"
        f'<td class="chips" data-v="{first[1] if first else ""}">{chips}{more}</td></tr>\n'
    )


def _run_fold(row: ProblemRow, board: str) -> str:
    run, problem = row.run, row.problem
    if problem.faulty is not None:
        badge = '<span class="badge warn">faulty problem</span>'
    elif not problem.n:
        badge = '<span class="badge warn">unscored</span>'
    elif problem.passed is None:
        badge = '<span class="badge">not executed</span>'
    else:
        kind = "good" if problem.passed == problem.n else ""
        badge = f'<span class="badge {kind}">{problem.passed} of {problem.n} pass</span>'
    return (
        f'<details class="run card" data-run="{run.key}" id="{anchor(run)}"><summary>'
        f'{_text(run.model_name)} <span class="ci">{_text(board)}</span>\n{badge}</summary>\n'
        '<div class="samples"></div></details>\n'
    )


def _problem_row(run: RunEntry, position: int) -> str:
    problem = run.problems[position]
    path = f"../{problem_path(run.task, run.identity['data'], problem.id)}#open={run.key}"
    faulty = "" if problem.faulty is None else ' <span class="badge warn">faulty</span>'
    why = run.failures.first.get(position) if problem.faulty is None else None
    similarity = metric(primary(TaskKind.UNTESTED))
    value = similarity.value(problem)
    told = "-" if value is None else similarity.show(value)
    return (
        f'<tr><th scope="row"><a href="{path}">{_text(problem.id)}</a>{faulty}</th><td>'
        + (f'<a href="{path}.{why[0]}">{why[1]}</a>' if why else "-")
        + f"</td>{_count(problem.passed)}{_count(problem.n)}"
        f"{_count(problem.passed_without_update)}"
        f'<td class="num" data-v="{"" if value is None else value}">{told}</td></tr>\n'
    )
