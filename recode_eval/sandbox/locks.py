"""Making the lock of one release: the library, and everything it needs, at exact versions.

Resolved by uv for one Python, which the lock names, from wheels alone: nothing of a package is ever
executed on the host. The result is a file that `requirements` finds by its name.
"""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import time
from typing import TYPE_CHECKING

from recode_eval.errors import StorageError, UsageError
from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.buildlog import cache_dir, last_line, temporary_dir
from recode_eval.sandbox.interpreters import find_uv
from recode_eval.sandbox.requirements import (
    RELEASE_PYTHON,
    has_environment,
    python_header,
    release_name,
)
from recode_eval.sandbox.wheelhouse import uv_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TIMEOUT_S = 300
_REMEMBERED_S = 7 * 24 * 3600.0
_RELEASE = re.compile(r"(?P<library>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[0-9][A-Za-z0-9.+!]*)")
# One line of requirements, not an option of uv, nor a file or an address.
_CLAUSE = r"(===?|~=|!=|<=?|>=?) *[0-9A-Za-z.*+!]+"
_REQUIREMENT = re.compile(
    rf"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])? *({_CLAUSE}( *, *{_CLAUSE})*)?"
)
_PREAMBLE = "error: No solution found when resolving dependencies cause: "
# uv says "no solution" of a package that it was not able to look for, too.
_NOT_ASKED = re.compile(r"network\s+was\s+disabled|could\s+not\s+be\s+queried", re.IGNORECASE)
_UNSATISFIABLE = re.compile(r"no solution found|requirements are unsatisfiable", re.IGNORECASE)


class NoSuchReleaseError(SandboxBuildError):
    """The index answers but has no matching set of wheels; a retry will not help."""


def lock_release(
    release: str,
    requirements: Sequence[str] = (),
    *,
    folder: Path | None = None,
    name: str | None = None,
    exclude_newer: str | None = None,
    python: tuple[int, int] = RELEASE_PYTHON,
) -> Path:
    """Write the lock of `LIBRARY==VERSION` for a Python and return its path.

    `requirements` narrow or add what it comes with (`numpy<2`, `pandas`). `exclude_newer` (a date,
    `2023-05-31`) resolves as on that day. The file is named after the release, or `name`, and lies
    in `folder` (default: this machine's cache). The name of a release for another Python than
    `RELEASE_PYTHON` ends with it: `pandas-1.3.5-py3.7`.

    Raises:
        UsageError: something is no requirement, or no date.
        NoSuchReleaseError: there are no wheels for this Python, or they contradict each other.
        SandboxBuildError: uv is missing, or the index cannot be reached.
        StorageError: the file cannot be written.
    """
    match = _RELEASE.fullmatch(release)
    if match is None:
        raise UsageError(f"{release!r}: write LIBRARY==VERSION, for example pandas==2.2.3")
    for requirement in requirements:
        if not is_requirement(requirement):
            raise UsageError(f"{requirement!r} is not a requirement, for example numpy<2")
    if exclude_newer is not None and not _is_day(exclude_newer):
        raise UsageError(f"--exclude-newer {exclude_newer!r}: write a day, for example 2023-05-31")
    library, version = match["library"], match["version"]
    pins = _compile([release, *requirements], exclude_newer, python)
    heading = f"# {library} {version} and what it needs: complete, installed with --no-deps."
    if name is None:
        suffix = "" if python == RELEASE_PYTHON else f"-py{_dotted(python)}"
        name = release_name(library, version) + suffix
    path = (folder or cache_dir("envs")) / f"{name}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_dir(path.parent) as scratch:  # never half a lock under the final name
            draft = scratch / path.name
            draft.write_text(f"{heading}\n{python_header(python)}\n{pins}", encoding="utf-8")
            draft.replace(path)
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}") from error
    return path


def is_requirement(line: str) -> bool:
    """Whether the text is one requirement by name and versions: `numpy`, `numpy>=1.21,<2`."""
    return _REQUIREMENT.fullmatch(line) is not None


def _is_day(word: str) -> bool:
    try:
        dt.date.fromisoformat(word)
    except ValueError:
        return False
    return len(word) == len("2023-05-31")  # not 20230531, which uv does not know


def _dotted(python: tuple[int, int]) -> str:
    return ".".join(map(str, python))


def ensure_release(
    release: str,
    requirements: Sequence[str],
    *,
    name: str,
    days: Sequence[str] = (),
    python: tuple[int, int] = RELEASE_PYTHON,
) -> None:
    """Resolve an environment into the cache unless it is known; see `lock_release` for errors.

    With `days` (in their order), as on the first of them on which there are wheels that fit
    together: about when the release appeared, so that it does not meet libraries that were made
    years later. That there are no wheels is remembered for a week: those of old releases rarely
    appear.
    """
    if has_environment(name):
        return
    verdict = cache_dir("envs") / f"{name}.unavailable"
    if verdict.is_file() and time.time() - verdict.stat().st_mtime < _REMEMBERED_S:
        raise NoSuchReleaseError(verdict.read_text(encoding="utf-8"))
    try:
        day = _first_day([release, *requirements], days, python) if days else None
        lock_release(release, requirements, name=name, exclude_newer=day, python=python)
    except NoSuchReleaseError as error:
        verdict.write_text(str(error), encoding="utf-8")
        raise


def _first_day(requirements: Sequence[str], days: Sequence[str], python: tuple[int, int]) -> str:
    """Return the first day on which the requirements can be met, or the last one.

    What can be met stays so, as wheels are added and hardly ever taken away: few days are tried.
    """
    low, high = 0, len(days) - 1
    while low < high:
        middle = (low + high) // 2
        try:
            _compile(requirements, days[middle], python)
        except NoSuchReleaseError:
            low = middle + 1
        else:
            high = middle
    return days[low]


def _compile(
    requirements: Sequence[str], exclude_newer: str | None, python: tuple[int, int]
) -> str:
    uv = find_uv()
    if uv is None:
        raise SandboxBuildError("resolving a release needs uv: pip install uv")
    command = [uv, "pip", "compile", "--quiet", "--only-binary=:all:", "--no-header"]
    command += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--no-config"]
    command += [f"--python-version={_dotted(python)}"]
    if exclude_newer is not None:
        command.append(f"--exclude-newer={exclude_newer}")
    try:
        done = subprocess.run(
            [*command, "-"],
            input="".join(f"{line}\n" for line in requirements),
            capture_output=True,
            text=True,
            errors="replace",
            env=uv_environment(),
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxBuildError(f"uv did not resolve {requirements[0]}: {error}") from error
    if done.returncode == 0:
        return done.stdout
    words = " ".join(line.strip(" │╰─▶\u00d7") for line in done.stderr.splitlines()).strip()
    words = words.partition(" hint:")[0].removeprefix(_PREAMBLE).strip()
    if _UNSATISFIABLE.search(done.stderr) and not _NOT_ASKED.search(done.stderr):
        raise NoSuchReleaseError(
            f"{' '.join(requirements)}: no wheels fit together for Python "
            f"{_dotted(python)} ({words[:400]})"
        )
    raise SandboxBuildError(
        f"uv could not resolve {requirements[0]}: {last_line(done.stderr) or words[:300]}; check "
        "the network, or set UV_INDEX_URL to an index that can be reached"
    )
