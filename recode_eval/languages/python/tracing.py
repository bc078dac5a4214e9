"""Python programs that print their traceback, with their own lines and without the harness's."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from recode_eval.languages.base import TRACE_MARK
from recode_eval.resources import resource_dir
from recode_eval.sandbox.base import Test

if TYPE_CHECKING:
    from recode_eval.sandbox.base import Program

_WHY: Final = "its traceback is wanted"
"""A traceback ends at the border of a process."""
_ANSWER, _TEST, _SCRIPT = "solution.py", "visible_test.py", "program.py"
_MODULE, _MAIN = "solution", "__main__"


@cache
def _runner() -> str:
    path = resource_dir("sandbox") / "conversations" / "traced.py"
    return f"__recode_mark__ = {TRACE_MARK!r}\n{path.read_text(encoding='utf-8')}"


def _run(source: str, file: str, name: str, *, shown: bool = True) -> str:
    return f"__recode_traced__({source!a}, {file!r}, {shown}, {name!r})\n"


def traced(program: Program, *, shown: bool) -> Program:
    """See `languages.base.Tracing`."""
    return replace(
        program,
        candidate=_runner() + _run(program.candidate, _ANSWER, _MODULE),
        tests=tuple(
            Test(test.name, _run(test.code, _TEST, _MODULE, shown=shown)) for test in program.tests
        ),
        unsplit=_WHY,
    )


def script(program: Program, code: str) -> Program:
    """See `languages.base.Tracing`."""
    candidate = _runner() + _run(code, _SCRIPT, _MAIN)
    return loads(replace(program, candidate=candidate, unsplit=_WHY))


def loads(program: Program) -> Program:
    """See `languages.base.Tracing`."""
    return replace(program, tests=(Test("the program loads", "pass\n"),))
