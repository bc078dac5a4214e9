"""Stored runs in the formats of other programs; a module per format (docs/exports.md).

Every figure is computed anew from the counts of the problems, as everywhere else; a format that has
no place for an interval does not get one by a back door.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.exports.common import About, Document
    from recode_eval.run.results_file import ResultsFile

FORMATS = {
    "csv": "recode_eval.exports.tables",
    "model-index": "recode_eval.exports.model_index",
    "eval-results": "recode_eval.exports.eval_results",
    "every-eval-ever": "recode_eval.exports.every_eval_ever",
    "lm-eval": "recode_eval.exports.lm_eval",
    "junit": "recode_eval.exports.junit",
}
"""Format to the module whose `documents` makes it."""


def documents(name: str, runs: Sequence[ResultsFile], about: About) -> list[Document]:
    """Return the files of a format, in order.

    Raises:
        DataError: a run's results are damaged.
        UsageError: the format cannot take these runs, or needs to be told more about them.
    """
    module = importlib.import_module(FORMATS[name])
    found: list[Document] = module.documents(runs, about)
    return found
