"""Data of the comparison page: every run of a board with one character per problem.

The page tests any two runs of a board in the browser (static/compare.js). What it needs is one file
per board: names, clusters and tags of the problems once, and of each run how many samples pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from recode_eval.comparison.comparability import (
    MOST_UNSCORED,
    RULES,
    browser_facts,
    browser_rules,
    percent,
)
from recode_eval.leaderboard.boards import is_baseline
from recode_eval.leaderboard.citing import comparison_bibtex
from recode_eval.leaderboard.drilldown import problem_path
from recode_eval.leaderboard.site_views import SiteView
from recode_eval.leaderboard.tex import tex
from recode_eval.leaderboard.text import cut, digest, script_json
from recode_eval.metrics import DEFAULT_KS, metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from recode_eval.leaderboard.boards import Board, Standing
    from recode_eval.leaderboard.site_views import SiteData
    from recode_eval.schemas.results import ProblemResult

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
NO_VALUE = "-"
"""Stands for a problem without a score: it is in no pair."""
_LONGEST = 200
"""Characters of a name; whatever is longer is on the run's and the problem's own page."""


def board_index(boards: Iterable[Board]) -> list[dict[str, Any]]:
    """Return what the page knows before a board is loaded: its runs, and what they share.

    `conditions` are digests: enough to say in what two boards differ.
    """
    labels = {rule.field: rule.label for rule in RULES}
    return [
        {
            "key": board.key,
            "label": cut(board.label, _LONGEST),
            "file": data_path(board),
            "conditions": {
                labels.get(name, name): digest(value)
                for name, value in {**board.conditions, "isolation": board.isolation}.items()
            },
            "runs": [[standing.run.key, _title(standing)] for standing in board.standings],
            "baselines": [s.run.key for s in board.standings if is_baseline(s.run)],
        }
        for board in boards
    ]


def data_path(board: Board) -> str:
    """Return the path of a board's data below the site."""
    return f"data/compare/{board.key}.js"


def data_files(boards: Iterable[Board]) -> Iterator[tuple[str, str]]:
    """Yield path and content of every board's data: a script, since `file://` allows no other."""
    for board in boards:
        content = script_json(board_data(board))
        yield data_path(board), f'(window.compareData ??= {{}})["{board.key}"] = {content};\n'


def board_data(board: Board) -> dict[str, Any]:
    """Return a board's problems and runs; leaderboard/static/compare.js says how it is read."""
    problems = board.first.problems
    order = {problem.id: index for index, problem in enumerate(problems)}
    return {
        "bibtex": comparison_bibtex(board),
        "metrics": [metric(name).to_json() for name in _metrics(board)],
        "rules": browser_rules(),
        "limit": [MOST_UNSCORED, percent(MOST_UNSCORED)],
        "ids": [cut(key, _LONGEST) for key in order],
        "pages": [problem_path(board.task, board.conditions["data"], key) for key in order],
        "clusters": _numbered([problem.cluster for problem in problems])[1],
        "tags": _tags(problems),
        "runs": {standing.run.key: _run(standing, order) for standing in board.standings},
    }


def _metrics(board: Board) -> list[str]:
    """Return what the page can compare: pass@k follows from the counts, anything else is stored."""
    family = [f"pass@{k}" for k in DEFAULT_KS]
    return family if board.primary in family else [board.primary]


def _title(standing: Standing) -> str:
    place = f"rank {standing.rank}" if standing.rank else "unranked"
    return f"{cut(standing.run.model_name, _LONGEST)} ({place}, run {standing.run.key[:8]})"


def _run(standing: Standing, order: Mapping[str, int]) -> dict[str, Any]:
    run = standing.run
    by_id = {problem.id: problem for problem in run.problems}
    counts = [by_id[key] for key in order]
    n = run.stored.n
    found: dict[str, Any] = {
        "name": cut(run.model_name, _LONGEST),
        "page": f"models/{run.model_slug}.html",
        "n": n,
        "facts": browser_facts(run.stored, order, digest),
    }
    escaped = tex(run.model_name)
    if escaped != found["name"]:
        found["tex"] = escaped
    if not run.tested:
        rates = dict(zip(by_id, run.rates, strict=True))
        return {**found, "values": [rates[key] for key in order]}
    return {**found, **encoded(counts, n)}


def encoded(counts: Sequence[ProblemResult], n: int) -> dict[str, Any]:
    """Return the passes of the problems as text, `width` characters each.

    One character holds 0 to 61 passes; more samples take as many as their number needs (a number to
    base 62, highest digit first). `scored` has the samples of those problems where not all `n` of
    them could be graded, by index.
    """
    width = 1
    while 62**width <= max((p.passed or 0 for p in counts), default=0):
        width += 1
    texts = [NO_VALUE * width if not _counted(p) else _digits(p.passed or 0, width) for p in counts]
    scored = {str(index): p.n for index, p in enumerate(counts) if p.n != n and _counted(p)}
    return {"passed": "".join(texts), "width": width, "scored": scored}


def _counted(problem: ProblemResult) -> bool:
    return bool(problem.n) and problem.passed is not None


def _digits(number: int, width: int) -> str:
    found = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        found = DIGITS[digit] + found
    return found


def _tags(problems: Sequence[ProblemResult]) -> list[dict[str, Any]]:
    """Return each kind of tag with its values and the value of every problem, by number."""
    found = []
    for name in sorted({name for problem in problems for name in problem.tags}):
        values, numbers = _numbered([problem.tags.get(name, "") for problem in problems])
        if len(values) > 1:
            texts = [cut(value, _LONGEST) or "(none)" for value in values]
            found.append({"name": cut(name, _LONGEST), "values": texts, "of": numbers})
    return found


def _numbered(values: Sequence[str]) -> tuple[list[str], list[int]]:
    """Return the distinct values, and each value's number among them."""
    known: dict[str, int] = {}
    numbers = [known.setdefault(value, len(known)) for value in values]
    return list(known), numbers


def _context(site: SiteData) -> dict[str, Any]:
    return {"index": Markup(script_json(board_index(site.boards)))}  # noqa: S704


COMPARE_VIEW = SiteView(
    "compare.html", "Compare", "compare.html", _context, lambda site: data_files(site.boards)
)
