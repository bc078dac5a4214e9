"""Finding the code of an answer to a problem, as grading and conversations both read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.scoring.extraction import Extraction, ExtractionMethod, extract, given
from recode_eval.tasks.base import Continuing

if TYPE_CHECKING:
    from recode_eval.tasks.base import Problem, Task


def find_code(
    task: Task, problem: Problem, text: str, *, prefill: str = "", is_code: bool = False
) -> Extraction:
    """Return the code of an answer; `text` is bare code where `is_code` says so."""
    if is_code:
        return given(text)
    found = extract(
        text, prefill=prefill, entry_point=problem.entry_point, language=task.spec.language
    )
    if found.method is ExtractionMethod.NONE and isinstance(task, Continuing):
        program = task.continuation(problem, text)
        if program is not None:
            return Extraction(program, ExtractionMethod.CONTINUATION)
    return found
