"""Finding a Python of a wanted version on this machine, and uv, which may fetch one."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.buildlog import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

_FETCH_TIMEOUT_S = 300
_ONE_AT_A_TIME = threading.Lock()
_FACTS = (
    "import json, platform, sys; "
    "print(json.dumps([sys.version, platform.python_version(), sys.base_prefix, "
    "getattr(sys, '_base_executable', '') or sys.executable]))"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that virtual environments can be made from."""

    path: Path
    build: str
    """Its `sys.version`: tells builds of one release apart."""
    version: str
    """Its release, e.g. `3.11.2`."""
    prefix: str
    """Where its standard library is."""

    @property
    def python(self) -> tuple[int, int]:
        """Major and minor version."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)


@lru_cache(maxsize=8)
def find_interpreter(python: tuple[int, int] | None = None) -> Interpreter:
    """Return an interpreter of this version (None: the running one).

    Looked for: the running Python, `python3.N` in the PATH, the one that `sandbox/debian-python`
    made, then whatever uv knows or can fetch.

    Raises:
        SandboxBuildError: there is none; names the ways out.
    """
    if python is None or python == sys.version_info[:2]:
        return _running()
    name = ".".join(map(str, python))
    for candidate in _candidates(name):
        found = _facts(candidate) if candidate else None
        if found is not None and found.python == python:
            return found
    raise SandboxBuildError(
        f"the libraries need Python {name}, which is not on this machine and could not be fetched; "
        f"install it (`uv python install {name}`, your distribution's python{name}, or one of "
        "Debian's: sandbox/debian-python), or use the sandbox tier docker, whose image has it"
    )


def _candidates(name: str) -> Iterator[str | None]:
    """Interpreters that may be of the version, those that take long to get last."""
    yield shutil.which(f"python{name}")
    yield str(cache_dir("pythons") / name / "bin" / f"python{name}")
    yield _with_uv(name)


def find_uv() -> str | None:
    """Return uv's path: the one in the PATH, else the one installed as a package."""
    found = shutil.which("uv")
    if found:
        return found
    try:
        from uv import find_uv_bin

        with _ONE_AT_A_TIME:  # it asks sysconfig, whose first use by two threads at once fails
            return find_uv_bin()
    except (ImportError, FileNotFoundError):
        return None


def _running() -> Interpreter:
    """The base interpreter of the virtual environment that this process may run in."""
    base: str = getattr(sys, "_base_executable", "") or sys.executable
    return Interpreter(
        Path(base).resolve(), sys.version, platform.python_version(), sys.base_prefix
    )


def _with_uv(name: str) -> str | None:
    uv = find_uv()
    if uv is None:
        return None
    for command in (["find"], ["install", "--quiet"], ["find"]):
        output = _output([uv, "python", *command, name])
        if output and command == ["find"]:
            return output
    return None


def _facts(candidate: str) -> Interpreter | None:
    output = _output([candidate, "-I", "-c", _FACTS])
    try:
        build, version, prefix, base = json.loads(output)
    except (ValueError, TypeError):
        return None
    return Interpreter(Path(base).resolve(), build, version, prefix)


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FETCH_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
