"""What the drivers share: programs in, verdicts out, one JSON object a line.

Runs under the interpreter of the sandbox's environment and inside containers, without this project.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def serve(run: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer programs until the input ends. What programs print goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    answers.write('{"ready": true}\n')
    for line in iter(sys.stdin.readline, ""):
        answers.write(json.dumps(run(json.loads(line))) + "\n")


def prepare(supervisor: str, libraries: list[str]) -> None:
    """Import libraries, as somebody does who wants programs to start fast.

    With the folder of the sandbox's supervisor they are also used once.
    """
    import importlib

    if supervisor != "-":
        sys.path.insert(0, supervisor)
        from recode_program import warmup

        warmup.load(tuple(libraries))
    for name in libraries:
        importlib.import_module(name)
