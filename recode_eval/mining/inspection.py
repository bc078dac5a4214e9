"""Runtime inspection: the surface of a release as the library itself shows it, in the sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from recode_eval.mining.surface import Surface, read_surface
from recode_eval.sandbox.inside import MOST_BYTES, LostError, run_inside
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.sandbox.base import Sandbox

_SILENCE_S = 40.0
"""After this long without a line, the import of a module hangs."""


def inspect_release(
    sandbox: Sandbox, environment: str, tops: Sequence[str], *, seconds: float = 180.0
) -> tuple[Surface, dict[str, str]]:
    """Import every public module of a release; return its surface and why modules were lost.

    Raises:
        SandboxError: the machine's fault.
    """
    silence = min(_SILENCE_S, seconds / 4)
    settings = {"tops": list(tops), "silence_s": silence, "most_bytes": MOST_BYTES}
    try:
        lines = run_inside(
            sandbox, environment, "mining/read_surface", {**settings, "seconds": seconds}, seconds
        )
    except LostError as error:
        surface = Surface()
        surface.lost[f"inspection: {error}"] += 1
        return surface, {}
    why: dict[str, str] = {}
    rows = []
    for line in lines:
        if not line.startswith('["why", '):
            rows.append(line)
        elif len(why) < 1000 and (told := _why(line)) is not None:
            why[told[0]] = told[1]
    return read_surface(rows, tops), why


def _why(line: str) -> tuple[str, str] | None:
    try:
        match json.loads(line):
            case ["why", str(name), str(reason)]:
                return one_line(name, 120), one_line(reason, 200)
    except (ValueError, RecursionError):
        pass
    return None
