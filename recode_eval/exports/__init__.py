"""Stored runs in the formats of other programs; a module per format (docs/exports.md).

Every figure is computed anew from the counts of the problems, as everywhere else; a format that has
no place for an interval does not get one by a back door. A format is a function like `documents` of
the modules named here: a line in `FORMATS`, or an entry point of another package's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from recode_eval.plugins import Registry, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.exports.common import About, Document
    from recode_eval.run.results_file import ResultsFile


class Exporter(Protocol):
    """Writes runs in one format."""

    def __call__(self, runs: Sequence[ResultsFile], about: About) -> list[Document]:
        """Return the files, in order; raises `UsageError` for runs that the format cannot take."""
        ...


FORMATS: Registry[Exporter] = Registry(
    "export format",
    "recode_eval.exports",
    {
        "csv": "recode_eval.exports.tables:documents",
        "model-index": "recode_eval.exports.model_index:documents",
        "eval-results": "recode_eval.exports.eval_results:documents",
        "every-eval-ever": "recode_eval.exports.every_eval_ever:documents",
        "lm-eval": "recode_eval.exports.lm_eval:documents",
        "junit": "recode_eval.exports.junit:documents",
        "latex": "recode_eval.exports.citations:latex",
        "bibtex": "recode_eval.exports.citations:bibtex",
    },
)


def documents(name: str, runs: Sequence[ResultsFile], about: About) -> list[Document]:
    """Return the files of a format, in order.

    Raises:
        DataError: a run's results are damaged, or another package's format is faulty.
        UsageError: there is no such format, it cannot take these runs, or it needs to be told more
            about them.
    """
    found = FORMATS.call(name, runs, about)
    for document in found if isinstance(found, list) else [None]:
        require(f"What the export format {name} returns", document, ("path", "text"))
    return cast("list[Document]", found)
