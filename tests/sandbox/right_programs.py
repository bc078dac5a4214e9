"""Right programs that people write, by name: each must pass on every tier, with every isolation.

Data: a text per program, with the candidate first and each of its tests behind a line `# test`.
Everything runs on Python 3.9 as well.
"""

from __future__ import annotations

from sandbox.right_files import FILES
from sandbox.right_language import LANGUAGE
from sandbox.right_library import LIBRARY
from sandbox.right_processes import PROCESSES

from recode_eval.sandbox import Program, Test

RIGHT_PROGRAMS: dict[str, str] = {**PROCESSES, **FILES, **LANGUAGE, **LIBRARY}


def program(text: str) -> Program:
    """The program that a text stands for."""
    candidate, *tests = text.split("\n# test\n")
    return Program("", candidate, tuple(Test(f"test {n}", code) for n, code in enumerate(tests, 1)))
