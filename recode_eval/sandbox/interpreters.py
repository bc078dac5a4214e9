"""Finding a Python of a wanted version on this machine, and uv, which may fetch one."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.buildlog import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

_FETCH_TIMEOUT_S = 300
_REMEMBERED_S = 24 * 3600.0
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


def interpreter_variable(python: tuple[int, int]) -> str:
    """The environment variable that names the interpreter of a version.

    >>> interpreter_variable((3, 9))
    'RECODE_EVAL_PYTHON3_9'
    """
    return f"RECODE_EVAL_PYTHON{python[0]}_{python[1]}"


@lru_cache(maxsize=32)
def find_interpreter(python: tuple[int, int] | None = None) -> Interpreter:
    """Return an interpreter of this version (None: the running one).

    Looked for: what the variable of `interpreter_variable` names, the running Python, `python3.N`
    in the PATH, the one that `sandbox/debian-python` made, pyenv's, then whatever uv knows or can
    fetch.

    Raises:
        SandboxBuildError: there is none; names the ways out.
    """
    if python is None:
        return _running()
    name = _dotted(python)
    found = _here(python) or _of_version(_from_uv(name, fetch=True), python)
    if found is not None:
        return found
    raise SandboxBuildError(
        f"the libraries need Python {name}, which is not on this machine and could not be fetched; "
        f"install it (`uv python install {name}`, your distribution's python{name}, or one of "
        f"Debian's: sandbox/debian-python), name it in {interpreter_variable(python)}, or use the "
        "sandbox tier docker, whose image has it"
    )


@lru_cache(maxsize=64)
def can_be_had(python: tuple[int, int], *, fetch: bool = True) -> bool:
    """Whether `find_interpreter` finds this version, without having it fetched unless `fetch`.

    A download that fails, which may take a minute, is not tried again within a day.
    """
    failed = cache_dir("pythons") / f"{_dotted(python)}.unavailable"
    try:
        if _here(python) is not None:
            return True
        if not fetch or (failed.is_file() and time.time() - failed.stat().st_mtime < _REMEMBERED_S):
            return False
        find_interpreter(python)
    except SandboxBuildError:
        failed.touch()
        return False
    return True


def _here(python: tuple[int, int]) -> Interpreter | None:
    """Return the interpreter of this version that needs no fetching."""
    variable = interpreter_variable(python)
    if named := os.environ.get(variable):
        return _named(named, variable, python)
    if python == sys.version_info[:2]:
        return _running()
    return _known(python) or _of_version(_from_uv(_dotted(python)), python)


def _named(path: str, variable: str, python: tuple[int, int]) -> Interpreter:
    found = _of_version(path, python)
    if found is None:
        raise SandboxBuildError(
            f"{variable} names {path}, which is no Python {python[0]}.{python[1]} that starts; "
            "correct or unset it"
        )
    return found


def _known(python: tuple[int, int]) -> Interpreter | None:
    """Return the interpreter of this version among those that lie where they are looked for."""
    candidates = (_of_version(path, python) for path in _places(_dotted(python)))
    return next((found for found in candidates if found is not None), None)


def _places(name: str) -> Iterator[str | None]:
    yield shutil.which(f"python{name}")  # of pyenv, this is a script that may not know it
    yield str(cache_dir("pythons") / name / "bin" / f"python{name}")
    root = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser())
    releases = (root / "versions").glob(f"{name}.*/bin/python{name}")
    yield from map(str, sorted(releases, key=_release, reverse=True))


def _release(path: Path) -> tuple[int, str]:
    """Order pyenv's folders: `3.9.18` after `3.9.2`."""
    folder = path.parents[1].name
    last = folder.rpartition(".")[2]
    return int(last) if last.isdecimal() else -1, folder


def _of_version(candidate: str | None, python: tuple[int, int]) -> Interpreter | None:
    found = _facts(candidate) if candidate else None
    return found if found is not None and found.python == python else None


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


def _from_uv(name: str, *, fetch: bool = False) -> str | None:
    uv = find_uv()
    if uv is None:
        return None
    if fetch:
        _output([uv, "python", "install", "--quiet", name])
    return _output([uv, "python", "find", "--no-python-downloads", name]) or None


def _dotted(python: tuple[int, int]) -> str:
    return ".".join(map(str, python))


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
