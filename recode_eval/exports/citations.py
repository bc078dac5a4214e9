"""Citations of runs and of the boards that they make: BibTeX entries, and tables in LaTeX.

The text is that of the leaderboard's pages (`leaderboard.citing`); boards and ranks are made of the
runs at hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.errors import UsageError
from recode_eval.exports.common import Document, all_facts
from recode_eval.run.results import estimates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.exports.common import About
    from recode_eval.leaderboard.boards import Board
    from recode_eval.leaderboard.loading import RunEntry
    from recode_eval.run.results_file import ResultsFile


def bibtex(runs: Sequence[ResultsFile], about: About) -> list[Document]:
    """Return one file with an entry per board and one per run; see `exports.documents`."""
    from recode_eval.leaderboard.citing import board_bibtex, run_bibtex

    entries = []
    for board in _boards(runs, about):
        entries.append(board_bibtex(board))
        entries += [run_bibtex(board, standing.run) for standing in board.standings]
    return [Document("recode-eval.bib", "\n".join(entries))]


def latex(runs: Sequence[ResultsFile], about: About) -> list[Document]:
    """Return one file with a table per board; see `exports.documents`."""
    from recode_eval.leaderboard.citing import board_latex

    tables = [board_latex(board, about.metrics) for board in _boards(runs, about)]
    return [Document("recode-eval.tex", "\n".join(tables))]


def _boards(runs: Sequence[ResultsFile], about: About) -> list[Board]:
    from recode_eval.leaderboard.boards import boards

    if about.model and len(runs) > 1:
        raise UsageError("--model-name names one model. Export each run by itself.")
    all_facts(runs, about)  # refuses what the other formats refuse
    found = {(run.results.run, str(run.results.scoring["hash"])): run for run in runs}
    return boards([_entry(run, about) for run in found.values()])


def _entry(run: ResultsFile, about: About) -> RunEntry:
    """Return a run as the leaderboard knows it, every figure computed anew from the counts."""
    from array import array
    from dataclasses import replace

    import msgspec

    from recode_eval.leaderboard.lines import LineIndex
    from recode_eval.leaderboard.loading import RunEntry
    from recode_eval.leaderboard.run_index import RunIndex
    from recode_eval.schemas.results import StoredEstimate

    results = run.results
    computed = estimates(list(run.scores.values()), run.ks | {1})
    metrics = {
        name: None
        if (estimate := computed.get(name)) is None
        else msgspec.convert(estimate, StoredEstimate)
        for name in results.metrics
    }
    model = results.model
    if about.model:
        model = msgspec.structs.replace(model, name=about.model)
    results = msgspec.structs.replace(results, metrics=metrics, model=model)
    nothing = LineIndex.of({}, 0)
    index = RunIndex(nothing, nothing, None, array("i"), b"", (), (), "")
    return RunEntry(Path(run.source), run.source, replace(run, results=results), index)
