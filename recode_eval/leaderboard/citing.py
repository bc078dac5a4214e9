r"""Citing a board, a run or a comparison: entries for BibTeX, and a board's table in LaTeX.

The pages and `recode-eval export` write the same text. Names come from strangers: `tex` makes them
harmless.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from recode_eval.leaderboard.publishing import public
from recode_eval.leaderboard.tex import tex
from recode_eval.metrics import OVERVIEW, metric
from recode_eval.run.results import unsaid
from recode_eval.terminal import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recode_eval.leaderboard.boards import Board, Standing
    from recode_eval.leaderboard.loading import RunEntry
    from recode_eval.schemas.results import Results

NAME_A, NAME_B, KEY_A, KEY_B = "<<A>>", "<<B>>", "<<KEY-A>>", "<<KEY-B>>"
"""What the page of comparisons puts in the place of these: escaped names, and keys of runs."""
_MOST_VERSIONS: Final = 6
_UNSAFE_KEY: Final = re.compile(r"[^A-Za-z0-9-]")
_HASH_DIGITS: Final = 12


def board_bibtex(board: Board) -> str:
    """Return an entry for a board: its hash, the data, how answers were sampled and graded."""
    runs = [standing.run for standing in board.standings]
    title = f"{tex(board.task)}: ranking of {plural(len(runs), 'run')}"
    return _entry(board.key, title, runs, [_board_words(board, runs)])


def run_bibtex(board: Board, run: RunEntry) -> str:
    """Return an entry for one run, with its score on the board."""
    estimate = run.metric(board.primary)
    parts = [f"Run {tex(run.key)}", _board_words(board, [run])]
    if estimate is not None:
        shown = metric(board.primary)
        interval = shown.show_uncertainty(estimate)
        words = f"{tex(shown.label)} {shown.show(estimate.value)}"
        basis = f"{plural(estimate.problems, 'problem')} in {plural(estimate.clusters, 'cluster')}"
        parts.append(f"{words} {interval} on {basis}" if interval else f"{words} on {basis}")
    return _entry(
        f"run-{run.key}", f"{tex(public(run.model_name))} on {tex(board.task)}", [run], parts
    )


def comparison_bibtex(board: Board) -> str:
    """Return an entry for a comparison of two of the board's runs, to be filled with their names.

    What replaces `NAME_A` and `NAME_B` must come from `tex`.
    """
    runs = [standing.run for standing in board.standings]
    title = f"{NAME_B} against {NAME_A} on {tex(board.task)}"
    parts = [f"Runs {KEY_A} and {KEY_B}", _board_words(board, runs)]
    return _entry(f"{KEY_A}-{KEY_B}", title, runs, parts)


def board_latex(board: Board, metrics: Sequence[str] = ()) -> str:
    """Return the board as a LaTeX table (booktabs): models with ranks and 95 % intervals.

    `metrics` are its columns; by default the one that ranks, and those of the overview.
    """
    runs = [standing.run for standing in board.standings]
    known = metrics or dict.fromkeys((board.primary, *OVERVIEW))
    names = [name for name in known if any(run.metric(name) is not None for run in runs)]
    heads = ["Model", "Rank", *(tex(metric(name).heading) for name in names)]
    rows = [_row(standing, names) for standing in board.standings]
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{_caption(board, runs)}}}",
        rf"\label{{tab:recode-eval-{_key(board.key)}}}",
        rf"\begin{{tabular}}{{ll{'r' * len(names)}}}",
        r"\toprule",
        _line(heads),
        r"\midrule",
        *(_line(cells) for cells in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _caption(board: Board, runs: Sequence[RunEntry]) -> str:
    return (
        f"{tex(board.task)}, in percent with 95\\,\\% intervals clustered by update where the "
        "metric is a share. Models that cannot be told apart share ranks. "
        f"{_board_words(board, runs)}; {_harness(runs)}."
    )


def _row(standing: Standing, names: Iterable[str]) -> list[str]:
    rank = standing.rank
    place = "--" if rank is None else f"{rank.best}--{rank.worst}" if rank.tied else str(rank)
    return [
        tex(public(standing.run.model_name)),
        place,
        *(_cell(standing.run, name) for name in names),
    ]


def _cell(run: RunEntry, name: str) -> str:
    estimate = run.metric(name)
    if estimate is None:
        return "--"
    shown = metric(name)
    value, interval = (
        _signed(text) for text in (shown.show(estimate.value), shown.show_uncertainty(estimate))
    )
    return f"{value} {interval}".rstrip()


def _signed(text: str) -> str:
    """Return numbers with a minus instead of a hyphen."""
    return text.replace("-", "$-$")


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _entry(key: str, title: str, runs: Sequence[RunEntry], parts: Iterable[str]) -> str:
    years = [run.results.created[:4] for run in runs]
    year = max((year for year in years if re.fullmatch("[0-9]{4}", year)), default="")
    fields = {
        "title": f"{{{title}}}",
        "key": "recode-eval",
        "howpublished": _harness(runs),
        "year": year,
        "note": "; ".join(parts),
    }
    lines = [f"  {name:<12} = {{{value}}}" for name, value in fields.items() if value]
    # The places of names are filled later, and are no part of a key's letters.
    named = key if "<<" in key else _key(key)
    return f"@misc{{recode-eval-{named},\n" + ",\n".join(lines) + "\n}\n"


def _key(text: str) -> str:
    return _UNSAFE_KEY.sub("", text)


def _board_words(board: Board, runs: Sequence[RunEntry]) -> str:
    """Say what the board's runs share: hashes of the board and its data, and the sampling."""
    first = board.first.results
    counts = sorted({run.results.sampling.n for run in runs})
    n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    parts = [
        f"board {_key(board.key)}",
        f"data {tex(first.task.data_hash[:_HASH_DIGITS])}",
        f"prompt {tex(first.prompt.hash[:_HASH_DIGITS])}",
        f"n = {n}",
        *_sampling(first),
    ]
    return ", ".join(parts)


def _sampling(results: Results) -> list[str]:
    """Return what is known of temperature, top-p and the limit of tokens."""
    sampling, silent = results.sampling, unsaid(results.cautions)
    words = {
        "temperature": f"temperature {sampling.temperature:g}",
        "top_p": f"top-p {sampling.top_p:g}",
        "max_tokens": f"at most {sampling.max_tokens} tokens",
    }
    return [text for name, text in words.items() if name not in silent]


def _harness(runs: Iterable[RunEntry]) -> str:
    """Return the versions and commits of the harness that made the runs."""
    found: dict[str, None] = {}
    for run in runs:
        last = run.results.invocations[-1]
        version, commit = last.get("recode_eval") or "unknown version", last.get("git_commit")
        told = f"recode-eval {tex(version, 40)}"
        told += f" (commit {tex(str(commit)[:_HASH_DIGITS])})" if commit else ""
        found[told] = None
    shown = sorted(found)[:_MOST_VERSIONS]
    rest = len(found) - len(shown)
    return "; ".join(shown) + (f"; {rest} more" if rest else "")
