"""Shared parts of building images and venvs: cache folder, lock, log and errors.

Builders call other programs (pip, uv, Docker). Everything those print goes to a log file; the user
gets one line with the cause, the fix and the log's path.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.sandbox.base import SandboxBuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType


_LOGS_KEPT = 20
_TEMPORARY = "building-"
_STORE_LOCK = "images.lock"

_HINTS = (
    (
        re.compile(r"no space left on device|disk quota exceeded|errno 28", re.I),
        "the disk is full; free space (`recode-eval sandbox prune` removes old environments)",
    ),
    (
        re.compile(r"(no matching distribution found for|no version of) torch", re.I),
        (
            "the CPU build of torch comes from https://download.pytorch.org/whl/cpu; let this "
            "machine reach it, or put the wheel into a folder and set PIP_FIND_LINKS to the folder"
        ),
    ),
    (
        re.compile(r"no matching distribution found for|no solution found", re.I),
        (
            "no wheel for this Python and platform was found; give pip an index or a folder that "
            "has it (PIP_INDEX_URL, PIP_FIND_LINKS)"
        ),
    ),
    (
        re.compile(r"certificate verify failed|sslerror", re.I),
        "pip does not trust the certificate; set PIP_CERT to your certificate bundle",
    ),
    (
        re.compile(r"connection|timed out|name resolution|proxy|retrying", re.I),
        "pip could not reach its package index; set HTTPS_PROXY, PIP_INDEX_URL or PIP_FIND_LINKS",
    ),
    (
        re.compile(r"no module named pip|ensurepip", re.I),
        (
            "Python has no pip and cannot install it (Debian/Ubuntu: apt-get install python3-venv "
            "python3-pip)"
        ),
    ),
)


def cache_dir(*parts: str) -> Path:
    """A folder under `$XDG_CACHE_HOME/recode-eval`, made if missing.

    Raises:
        SandboxBuildError: it cannot be made.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path("~/.cache").expanduser()
    folder = root.joinpath("recode-eval", *parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxBuildError(
            f"cannot create the cache folder {folder} ({error.strerror}); set XDG_CACHE_HOME to a "
            "writable folder"
        ) from error
    return folder


@contextmanager
def locked(name: str, log: Callable[[str], None]) -> Iterator[None]:
    """Hold an exclusive lock between processes; reports when it waits for another one."""
    path = cache_dir("locks") / f"{name}.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            log("waiting for another process that builds the same environment")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def building_images() -> Iterator[None]:
    """Hold the image store while an image is built; others may build beside.

    Nobody removes intermediate images meanwhile (`alone_with_images`).
    """
    with (cache_dir("locks") / _STORE_LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def alone_with_images() -> Iterator[bool]:
    """Whether no other process or thread builds an image, and keep it so."""
    with (cache_dir("locks") / _STORE_LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


@contextmanager
def temporary_dir(parent: Path) -> Iterator[Path]:
    """A temporary folder in the cache, because /tmp is often small or in memory."""
    folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stale_temporary_dirs(parent: Path, older_than_s: float) -> list[Path]:
    """Leftovers of killed builds, graded by age."""
    limit = time.time() - older_than_s
    return [p for p in parent.glob(f"{_TEMPORARY}*") if p.is_dir() and p.stat().st_mtime < limit]


class StepError(Exception):
    """A program that a build called has failed; `cause` is its last telling line."""

    def __init__(self, cause: str, output: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.output = output


class BuildLog:
    """The log file of one build; a context manager that turns failures into `SandboxBuildError`."""

    def __init__(self, what: str, slug: str) -> None:
        folder = cache_dir("logs")
        self._what = what
        _remove_old(folder)
        stamp = time.strftime("%Y%m%d-%H%M%S")
        self.path = folder / f"{slug}-{stamp}-{os.getpid()}.log"
        self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")

    def write(self, text: str) -> None:
        """Add a line."""
        self._file.write(text.rstrip("\n") + "\n")
        self._file.flush()

    def run(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
        """Run a program to its end and return what it printed (stdout and stderr together).

        Raises:
            StepError: it is missing or its exit status is not 0.
        """
        self.write(f"$ {' '.join(command)}")
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="backslashreplace",
                env=None if env is None else dict(env),
                umask=0o022,  # the sandbox reads these files under other uids
                check=False,
            )
        except OSError as error:
            raise StepError(f"{command[0]}: {error.strerror}", "") from error
        self.write(done.stdout)
        if done.returncode != 0:
            raise StepError(last_line(done.stdout) or f"exit {done.returncode}", done.stdout)
        return done.stdout

    def error(self, cause: str, output: str = "", fix: str | None = None) -> SandboxBuildError:
        """The error for the user: cause, fix, log."""
        text = f"{output}\n{cause}"
        fix = fix or next((hint for pattern, hint in _HINTS if pattern.search(text)), None)
        parts = [f"could not build {self._what}: {cause}", fix, f"log: {self.path}"]
        return SandboxBuildError("; ".join(part for part in parts if part))

    def __enter__(self) -> BuildLog:
        """Return itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close the file; a failed step or an operating system error becomes the user's line."""
        if exc is not None:
            self._file.write(f"failed: {exc!r}\n")
        self._file.close()
        if isinstance(exc, StepError):
            raise self.error(exc.cause, exc.output) from exc
        if isinstance(exc, OSError):
            raise self.error(str(exc)) from exc


def _remove_old(folder: Path) -> None:
    """Keep the newest logs; other builds may be doing the same."""
    ages: list[tuple[float, Path]] = []
    for path in folder.glob("*.log"):
        with suppress(FileNotFoundError):
            ages.append((path.stat().st_mtime, path))
    for _, path in sorted(ages)[:-_LOGS_KEPT]:
        path.unlink(missing_ok=True)


def last_line(output: str) -> str:
    """The line that tells the cause: the last error of pip's kind, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    lines = [line for line in lines if not line.lower().startswith(("[notice]", "warning:"))]
    errors = [line for line in lines if re.match(r"(error|fatal)\b", line, re.I)]
    return (errors or lines or [""])[-1]
