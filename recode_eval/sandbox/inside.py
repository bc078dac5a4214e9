"""Programs of the evaluator inside the sandbox that hand over more than a verdict.

A program is put together from files below the folder `sandbox`. It runs beside a library that
nobody vouches for, so what it hands over is bounded and its reader checks every line.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import zlib
from typing import TYPE_CHECKING, Any, Final

from recode_eval.resources import resource_dir
from recode_eval.sandbox.base import Limits, Program, Test
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.sandbox.base import Sandbox

MOST_BYTES: Final = 48 << 20
"""Of the lines that a program hands over; the surface of pandas has 6 MiB."""
_PACKED: Final = 12 << 20
_HARNESS: Final = "mining/harness"


class LostError(Exception):
    """A program in the sandbox gave no answer; the message says why, for the table of losses."""


def run_inside(
    sandbox: Sandbox,
    environment: str,
    program: str,
    settings: Mapping[str, Any],
    seconds: float,
    *,
    memory_bytes: int = 3 << 30,
) -> list[str]:
    """Run `sandbox/PROGRAM.py` after the harness and return the lines it hands over.

    An empty `environment` is the one that the sandbox was opened with.

    Raises:
        LostError: it hands over nothing that can be read.
        SandboxError: the machine's fault.
    """
    mark = secrets.token_hex(16)
    folder = resource_dir("sandbox")
    parts = [(folder / f"{name}.py").read_text(encoding="utf-8") for name in (_HARNESS, program)]
    given = f"SETTINGS = __import__('json').loads({json.dumps({**settings, 'mark': mark})!r})\n"
    limits = Limits(
        cpu_s=seconds,
        wall_s=seconds * 2,
        memory_bytes=memory_bytes,
        output_bytes=_PACKED,
        file_bytes=MOST_BYTES,
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
        content = unpacker.decompress(packed, MOST_BYTES)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise LostError(f"an answer that cannot be read ({type(error).__name__})") from error
    if unpacker.unconsumed_tail:
        raise LostError("an answer that unpacks to too much")
    return content.decode("ascii", "replace").split("\n")
