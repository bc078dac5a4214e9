"""Which libraries a program will probably import: decides which warmed process runs it.

A hint and nothing more. A wrong guess makes the program import a library itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recode_eval.sandbox.base import Program

WARMED = ("numpy", "pandas", "pytest", "scipy", "sympy", "torch")
"""Libraries that the supervisor knows how to warm up."""

_BRING_NUMPY = {"pandas", "scipy", "torch"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODULE = re.compile(rf"{_NAME.pattern}(\.{_NAME.pattern})*")
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([A-Za-z_]\w*)|import[ \t]+([^\n#;(]*))", re.MULTILINE)


def libraries_of(program: Program) -> list[str]:
    """The libraries to have loaded for this program, sorted.

    Libraries that are warmed anyway count when the source imports them; those the program names in
    `preload` (also submodules: `matplotlib.figure`) count when their name occurs anywhere in it, or
    the package they belong to is imported.
    """
    parts = (program.setup, program.candidate, *(test.code for test in program.tests))
    found: set[str] = set()
    for part in parts:
        for match in _IMPORT.finditer(part):
            if match[1]:
                found.add(match[1])
            else:
                found.update(_first_names(match[2]))
    wanted = found & {*WARMED, *program.preload}
    for name in program.preload - wanted:
        package = name.partition(".")[0]
        if _MODULE.fullmatch(name) and (package in found or any(name in part for part in parts)):
            wanted.add(name)
    if wanted & _BRING_NUMPY:
        wanted.discard("numpy")
    return sorted(wanted)


def _first_names(imported: str) -> set[str]:
    """`a.b as c, d` -> {a, d}."""
    names = set()
    for item in imported.split(","):
        match = _NAME.match(item.strip())
        if match:
            names.add(match[0])
    return names
