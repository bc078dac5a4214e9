"""The surface of a release by its text alone: griffe on the unpacked wheel, in a child process.

Sources are hostile too (an expression a million parentheses deep, a file of gigabytes): the child
has limits of memory and time, and a file that cannot be read is a counted loss.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.errors import UsageError
from recode_eval.mining.releases import unpack_wheel
from recode_eval.mining.surface import Surface, read_surface
from recode_eval.sandbox.buildlog import cache_dir, temporary_dir

if TYPE_CHECKING:
    from recode_eval.mining.releases import Release

_MEMORY = 2 << 30
_SECONDS = 150


def require_griffe() -> None:
    """Raises `UsageError` where the extra `mining` is not installed."""
    if importlib.util.find_spec("griffe") is None:
        raise UsageError("mining needs griffe: pip install 'recode-eval[mining]'")


def static_surface(release: Release) -> Surface:
    """Read a release's wheel; a part that cannot be read is counted in `lost`.

    Raises:
        UsageError: griffe is missing.
    """
    require_griffe()
    if release.wheel is None:
        surface = Surface()
        surface.lost["no wheel to read"] += 1
        return surface
    with temporary_dir(cache_dir("mining")) as scratch:
        sources = scratch / "sources"
        sources.mkdir()
        left_out = unpack_wheel(release.wheel, sources)
        out = scratch / "surface.jsonl"
        child = Path(__file__).with_name("static_child.py")
        command = [sys.executable, "-I", str(child), str(sources), str(out)]
        command += [str(_MEMORY), str(_SECONDS), *release.tops]
        ended = ""
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=scratch,
                timeout=_SECONDS * 2,
                check=False,
            )
            if done.returncode != 0:
                ended = "the reader of sources ran out of memory or time"
        except subprocess.TimeoutExpired:
            ended = "the reader of sources ran out of time"
        lines = out.read_text(encoding="utf-8").splitlines() if out.is_file() else []
    surface = read_surface(lines, release.tops)
    if left_out:
        surface.lost["a source file of a strange name or size"] += left_out
    if ended:
        surface.lost[ended] += 1
    return surface
