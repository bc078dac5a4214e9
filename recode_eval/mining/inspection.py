"""Runtime inspection: the surface of a release as the library itself shows it, in the sandbox."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import zlib
from typing import TYPE_CHECKING, Any

from recode_eval.mining.surface import Surface, read_surface
from recode_eval.resources import resource_dir
from recode_eval.sandbox.base import Limits, Program, Test
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.sandbox.base import Sandbox

_MOST_BYTES = 48 << 20
"""Of a release's lines; pandas has 6 MiB."""
_SILENCE_S = 40.0
"""After this long without a line, the import of a module hangs."""
_PACKED = 12 << 20


class LostError(Exception):
    """A program in the sandbox gave no answer; the message says why, for the table of losses."""


def inspect_release(
    sandbox: Sandbox, environment: str, tops: Sequence[str], *, seconds: float = 180.0
) -> tuple[Surface, dict[str, str]]:
    """Import every public module of a release; return its surface and why modules were lost.

    Raises:
        SandboxError: the machine's fault.
    """
    silence = min(_SILENCE_S, seconds / 4)
    settings = {"tops": list(tops), "silence_s": silence, "most_bytes": _MOST_BYTES}
    try:
        lines = run_inside(
            sandbox, environment, "read_surface", {**settings, "seconds": seconds}, seconds
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


def run_inside(
    sandbox: Sandbox,
    environment: str,
    program: str,
    settings: Mapping[str, Any],
    seconds: float,
    *,
    memory_bytes: int = 3 << 30,
) -> list[str]:
    """Run `sandbox/mining/PROGRAM.py` after the harness and return the lines it hands over.

    An empty `environment` is the one that the sandbox was opened with.

    Raises:
        LostError: it hands over nothing that can be read.
        SandboxError: the machine's fault.
    """
    mark = secrets.token_hex(16)
    folder = resource_dir("sandbox") / "mining"
    parts = [(folder / f"{name}.py").read_text(encoding="utf-8") for name in ("harness", program)]
    given = f"SETTINGS = __import__('json').loads({json.dumps({**settings, 'mark': mark})!r})\n"
    limits = Limits(
        cpu_s=seconds,
        wall_s=seconds * 2,
        memory_bytes=memory_bytes,
        output_bytes=_PACKED,
        file_bytes=_MOST_BYTES,
    )
    whole = Program(
        "",
        f"{given}{parts[0]}\n{parts[1]}",
        (Test("ran", "pass"),),
        environment=environment or None,
    )
    done = sandbox.submit(whole, limits).result()
    return _lines(done.output, mark, done.verdicts[0].detail if done.verdicts else "")


def _lines(output: str, mark: str, detail: str) -> list[str]:
    """Unpack what lies between the last two marks; bounded, as it may be a bomb."""
    parts = output.rsplit(mark, 2)
    if len(parts) < 3:
        raise LostError(one_line(f"no answer ({detail or 'the program ended early'})", 160))
    try:
        packed = base64.b64decode(parts[1], validate=True)
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(packed, _MOST_BYTES)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise LostError(f"an answer that cannot be read ({type(error).__name__})") from error
    if unpacker.unconsumed_tail:
        raise LostError("an answer that unpacks to too much")
    return content.decode("ascii", "replace").split("\n")
