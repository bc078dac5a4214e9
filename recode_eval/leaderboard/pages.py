"""Rendering: view data into the templates, with everything escaped and spelt out.

Jinja escapes every value; before that, control characters and direction marks of every text are
spelt out. Only markup made in `charts` and in the templates themselves is markup.
"""

from __future__ import annotations

import html
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from recode_eval.comparison.comparability import model_key
from recode_eval.comparison.items import counts_of, screened
from recode_eval.leaderboard.charts import Dot, dot_plot
from recode_eval.leaderboard.citing import board_bibtex, board_latex, run_bibtex
from recode_eval.leaderboard.drilldown import anchor, problem_path
from recode_eval.leaderboard.glossary import tip, with_definitions
from recode_eval.leaderboard.highlight import tokens
from recode_eval.leaderboard.methods import method_class
from recode_eval.leaderboard.overview import overview
from recode_eval.leaderboard.publishing import public, public_command
from recode_eval.leaderboard.related import related
from recode_eval.leaderboard.row_markup import problem_rows, run_folds, run_rows
from recode_eval.leaderboard.site_views import shown_views, view_files
from recode_eval.leaderboard.text import cut, digest, script_json, shown, slug
from recode_eval.leaderboard.views import HELPERS
from recode_eval.metrics import (
    METHODS,
    OVERVIEW,
    TaskKind,
    metric,
    plain_labels,
    primary,
    unit_note,
)
from recode_eval.run.report import money
from recode_eval.stats.estimates import is_bound
from recode_eval.terminal import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from recode_eval.leaderboard.boards import Board, Standing
    from recode_eval.leaderboard.drilldown import ProblemPage
    from recode_eval.leaderboard.loading import RunEntry
    from recode_eval.leaderboard.model_facts import ReportedRow
    from recode_eval.leaderboard.rows import Row
    from recode_eval.leaderboard.site_views import SiteData, SiteView
    from recode_eval.schemas.results import ProblemResult, StoredEstimate

    Shown = StoredEstimate | Mapping[str, Any] | None

_MOST_DOTS = 40
_MOST_COLUMNS = 12
_MOST_ROWS = 25
"""Runs of a board's ranking that are shown before all of them are asked for."""


class Pages:
    """The pages of a site; each method returns HTML."""

    def __init__(
        self,
        resources: Path,
        site: SiteData,
        *,
        indexed: bool = False,
    ) -> None:
        self._site, self._boards, self._rows = site, site.boards, site.rows
        self._views = shown_views(site)
        self._environment = environment(resources, [view for view, _ in self._views])
        links = related(site, self._views)
        self._environment.globals.update(exposures=site.exposures, indexed=indexed, related=links)
        self._environment.filters["arms_of"] = lambda key: next(
            (link.path for link in links.get(key, ()) if link.kind == "arms"), ""
        )
        labels = [(board, board.label) for board in site.boards]
        self._labels = {s.run.key: label for board, label in labels for s in board.standings}
        self._by_model: dict[str, list[tuple[Board, Standing]]] = {}
        for board in site.boards:
            for standing in board.standings:
                self._by_model.setdefault(standing.run.model_slug, []).append((board, standing))

    def overview(self) -> str:
        """The first page: what was measured, all rows, what was left out."""
        site = self._site
        table = overview(self._boards, self._rows)
        return self._render(
            "overview.html",
            root="",
            boards=self._boards,
            table=table,
            rows=self._rows,
            models=len(self._by_model),
            facets=_facets(self._rows),
            broken=site.broken,
            sources=_citations(site.reported),
            latest=site.verdicts[0] if site.verdicts else None,
            verdicts=site.verdicts,
            paths={view.path for view, _ in self._views},
            view=site.training,
        )

    def views(self) -> Iterator[tuple[str, str]]:
        """Yield path and content of the views' pages and files (`site_views.VIEWS`)."""
        return view_files(self._site, self._views, self._render)

    @property
    def models(self) -> list[str]:
        """The models' names in paths, sorted."""
        return sorted(self._by_model)

    def model(self, name: str) -> str:
        """The page of a model; `name` is one of `models`."""
        members = self._by_model[name]
        first = members[0][1].run
        return self._render(
            "model.html",
            root="../",
            model=first,
            facts=self._site.facts.find(first.bare_name),
            members=members,
            versions=_versions([standing.run for _, standing in members]),
        )

    def tasks(self) -> Iterator[tuple[str, str]]:
        """Yield path and page of every task."""
        for task in sorted({board.task for board in self._boards}):
            boards = [board for board in self._boards if board.task == task]
            yield (
                f"tasks/{slug(task)}.html",
                self._render(
                    "task.html",
                    root="../",
                    task=task,
                    most_rows=_MOST_ROWS,
                    sections=[
                        {
                            "board": board,
                            "chart": self._chart(board),
                            "faulty": _faulty(board),
                            "problems": _problems(board),
                            "breakdown": _breakdown(board),
                            "shown_standings": board.standings[:_MOST_COLUMNS],
                        }
                        for board in boards
                    ],
                    reported=[row for row in self._rows if row.source != "measured"
                              and row.task == task],
                    citations=_citations([r for r in self._site.reported if r.task == task]),
                ),
            )  # fmt: skip

    def problem(self, page: ProblemPage, before: str = "", after: str = "") -> str:
        """The page of one problem; `before` and `after` are the paths of its neighbours."""
        return self._render(
            "problem.html",
            root="../../",
            page=page,
            before=before,
            after=after,
            tags=page.rows[0].problem.tags,
            cluster=page.rows[0].problem.cluster,
            labels=self._labels,
            data=Markup(script_json(page.data)),  # noqa: S704
        )

    def _chart(self, board: Board) -> Markup:
        dots = []
        for standing in board.standings[:_MOST_DOTS]:
            estimate = standing.run.metric(board.primary)
            if estimate is not None:
                dots.append(
                    Dot(
                        standing.run.model_name,
                        estimate["value"],
                        estimate["low"],
                        estimate["high"],
                        ranked=standing.rank is not None,
                        bound=is_bound(estimate["method"]),
                    )
                )
        title = f"{_label(board.primary)} on {board.label}, with 95 % intervals"
        return dot_plot(dots, title, f"chart-{board.key}")

    def _render(self, template: str, **context: Any) -> str:
        page = self._environment.get_template(template).render(**context)
        return with_definitions(page, context["root"])


def environment(resources: Path, views: Sequence[SiteView]) -> Environment:
    """Return what renders templates: everything is escaped and spelt out."""
    made = Environment(
        loader=FileSystemLoader(
            [resources / "templates", *(view.templates for view in views if view.templates)]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_final,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        label=_label,
        number=_number,
        interval=_interval,
        percent=_percent,
        signed=_signed,
        cut=cut,
        method_class=method_class,
        plural=plural,
        public=public,
        share_of=_share_of,
        width_of=_width_of,
        slug=slug,
        money=money,
    )
    made.globals.update(
        anchor=anchor, columns=OVERVIEW, digest=digest, problem_path=problem_path, highlight=_code
    )
    made.globals.update(problem_rows=problem_rows, run_folds=run_folds, run_rows=run_rows)
    links = [(view.path, view.title) for view in views if view.title]
    made.globals.update(HELPERS, views=links)
    made.globals.update(
        board_bibtex=board_bibtex, board_latex=board_latex, run_bibtex=run_bibtex, tip=tip
    )
    made.globals.update(_metric_facts())
    return made


def _metric_facts() -> dict[str, object]:
    """Return what the templates say of metrics, besides their labels and values."""
    first, similarity = (metric(primary(kind)) for kind in TaskKind)
    return {
        "unit_note": unit_note,
        "ranking": [first.name, similarity.name],
        "ranking_note": f"{first.label}, or {similarity.label} where the task has no tests",
        "similarity": similarity,
        "plain_metrics": " and ".join(plain_labels(METHODS)),
    }


def _share_of(value: float, name: str) -> str:
    """Return where a value lies in its metric's range, from 0 to 100."""
    low, high = metric(name).bounds
    return f"{100 * (value - low) / (high - low):.1f}"


def _width_of(width: float, name: str) -> str:
    return f"{100 * width / metric(name).width:.1f}"


def _final(value: object) -> object:
    if value is None:
        return "-"
    return value if isinstance(value, Markup) or not isinstance(value, str) else shown(value)


def _label(name: str) -> str:
    return metric(name).heading


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _number(estimate: Shown, name: str) -> str:
    return "-" if estimate is None else metric(name).show(estimate["value"])


def _signed(value: float, name: str) -> str:
    """Return a difference: in points, or in the metric's own unit if that is not a share."""
    return metric(name).show(value, sign=True)


def _interval(estimate: Shown, name: str) -> str:
    if estimate is None:
        return ""
    return metric(name).show_uncertainty(estimate)


def _code(text: str, language: str) -> Markup:
    """Return highlighted code as markup, every piece of it escaped."""
    pieces = map(html.escape, tokens(text, language))
    return Markup(  # noqa: S704
        "".join(
            f'<span class="t{name}">{piece}</span>' if name else piece
            for name, piece in zip(pieces, pieces, strict=True)
        )
    )


def _facets(rows: Sequence[Row]) -> list[tuple[str, str, list[str]]]:
    """Return the filters of the overview: parameter, label, values; without those of no use."""
    kinds = (("task", "Task"), ("language", "Language"), ("base", "Base model"),
             ("method", "Method"), ("size", "Size"), ("backend", "Backend"),
             ("contamination", "Contamination"),
             ("source", "Source"))  # fmt: skip
    facets = []
    for name, label in kinds:
        values = {getattr(row, name) or "unknown" for row in rows}
        order = sorted(values, key=_by_size if name == "size" else str)
        if len(values) > 1:
            facets.append((name, label, order))
    return facets


def _by_size(text: str) -> tuple[float, str]:
    try:
        return float(text.removesuffix("B")), text
    except ValueError:
        return float("inf"), text


def _citations(reported: Sequence[ReportedRow]) -> list[tuple[str, str, str]]:
    return sorted({(row.source, row.url, row.note) for row in reported})


def _versions(runs: Sequence[RunEntry]) -> list[dict[str, Any]]:
    """Return what made each run: the last invocation's versions and command."""
    found: list[dict[str, Any]] = []
    for run in runs:
        last = run.results.invocations[-1]
        command = last.get("command")
        found.append(
            {
                "run": run,
                "harness": last.get("recode_eval"),
                "commit": last.get("git_commit"),
                "python": last.get("python"),
                "command": public_command(command) if isinstance(command, list) else None,
                "packages": last.get("packages") if isinstance(last.get("packages"), dict) else {},
            }
        )
    return found


def _faulty(board: Board) -> list[tuple[str, str, int]]:
    """Return the problems that some run could not set up: id, first reason, number of runs."""
    reasons: dict[str, list[str]] = {}
    for standing in board.standings:
        for problem in standing.run.problems:
            if problem.faulty is not None:
                reasons.setdefault(problem.id, []).append(problem.faulty)
    return [(key, found[0], len(found)) for key, found in sorted(reasons.items())]


def _problems(board: Board) -> list[dict[str, Any]]:
    """Return the board's problems with how the runs did on each."""
    runs = [standing.run for standing in board.models]
    by_run = [dict(zip((p.id for p in run.problems), run.rates, strict=True)) for run in runs]
    models: dict[str, list[Sequence[ProblemResult]]] = defaultdict(list)
    for run in runs:
        models[model_key(run.results)].append(run.problems)
    flags = {item.id: item.flags for item in screened([counts_of(x) for x in models.values()])}
    found: list[dict[str, Any]] = []
    for problem in runs[0].problems:
        rates = [known[problem.id] for known in by_run]
        values = [rate for rate in rates if rate is not None]
        found.append(
            {
                "id": problem.id,
                "tags": problem.tags,
                "path": problem_path(board.task, board.conditions["data"], problem.id),
                "mean": sum(values) / len(values) if values else None,
                "solved": sum(value == 1 for value in values),
                "never": sum(value == 0 for value in values),
                "runs": len(values),
                "flags": [str(flag) for flag in flags.get(problem.id, ())],
            }
        )
    return found


def _breakdown(board: Board) -> list[dict[str, Any]]:
    """Return per tag the estimates of the first runs for each of its values."""
    runs = [standing.run for standing in board.standings[:_MOST_COLUMNS]]
    tags = dict.fromkeys(tag for run in runs for tag in run.results.breakdown)
    found: list[dict[str, Any]] = []
    for tag in tags:
        groups = [run.results.breakdown.get(tag, {}) for run in runs]
        values = sorted({value for group in groups for value in group})
        rows = [
            (
                value or "(none)",
                max(group[value].problems for group in groups if value in group),
                [
                    group[value].metrics.get(board.primary) if value in group else None
                    for group in groups
                ],
            )
            for value in values
        ]
        if len(rows) > 1:
            found.append({"tag": tag, "rows": rows})
    return found
