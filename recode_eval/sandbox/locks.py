"""Making the lock of one release: the library, and everything it needs, at exact versions.

Resolved by uv for one Python, which the lock names, from wheels alone: nothing of a package is ever
executed on the host. The result is a file that `requirements` finds by its name.
"""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
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
from recode_eval.sandbox.sdists import NotPureError, ensure_wheel
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
# The newest version that is asked for and was published by then: `a==1`, `a<=1`, `a>=0.5,<=1`.
_NO_WHEELS = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:==|(?:[<>]=?[^ ,]+,)?<=)"
    r"(?P<version>[0-9][A-Za-z0-9.]*) has no usable wheels"
)
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
    made: list[Path] | None = None,
) -> Path:
    """Write the lock of `LIBRARY==VERSION` for a Python and return its path.

    `requirements` narrow or add what it comes with (`numpy<2`, `pandas`). `exclude_newer` (a date,
    `2023-05-31`) resolves as on that day. The file is named after the release, or `name`, and lies
    in `folder` (default: this machine's cache). The name of a release for another Python than
    `RELEASE_PYTHON` ends with it: `pandas-1.3.5-py3.7`. With a list `made`, what has no
    wheels gets them from source archives of Python alone (see `sdists`), and the list the folders
    they lie in: such a lock serves this machine only.

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
    pins = _resolve([release, *requirements], exclude_newer, python, made)
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

    What has no wheels, but is Python alone, gets them from its source archive (see `sdists`).
    With `days` (in their order), as on the first of them on which there are wheels that fit
    together: about when the release appeared, so that it does not meet libraries that were made
    years later. That there are no wheels is remembered for a week: those of old releases rarely
    appear.
    """
    if has_environment(name):
        return
    verdict = _verdict(name)
    if verdict is not None:
        raise NoSuchReleaseError(verdict)
    try:
        made: list[Path] = []
        day = _first_day([release, *requirements], days, python, made) if days else None
        lock_release(release, requirements, name=name, exclude_newer=day, python=python, made=made)
    except NoSuchReleaseError as error:
        _verdict_file(name).write_text(str(error), encoding="utf-8")
        raise


def is_settled(name: str) -> bool:
    """Whether `ensure_release` knows the answer for an environment without asking the index."""
    return has_environment(name) or _verdict(name) is not None


def _verdict_file(name: str) -> Path:
    return cache_dir("envs") / f"{name}.unavailable"


def _verdict(name: str) -> str | None:
    """Return what is remembered of a release without wheels."""
    file = _verdict_file(name)
    if file.is_file() and time.time() - file.stat().st_mtime < _REMEMBERED_S:
        return file.read_text(encoding="utf-8")
    return None


def _first_day(
    requirements: Sequence[str], days: Sequence[str], python: tuple[int, int], made: list[Path]
) -> str:
    """Return the first day on which the requirements can be met, or the last one.

    What can be met stays so, as wheels are added and hardly ever taken away: few days are tried.
    First without dependencies, which takes a second; that day is nearly always the right one.
    """

    def fits(index: int, *, dependencies: bool) -> bool:
        try:
            _resolve(requirements, days[index], python, made, dependencies=dependencies)
        except NoSuchReleaseError:
            return False
        return True

    def first_that_fits(low: int, *, dependencies: bool) -> int:
        high = len(days) - 1
        while low < high:
            middle = (low + high) // 2
            if fits(middle, dependencies=dependencies):
                high = middle
            else:
                low = middle + 1
        return low

    low = first_that_fits(0, dependencies=False)
    if low < len(days) - 1 and not fits(low, dependencies=True):
        low = first_that_fits(low + 1, dependencies=True)
    return days[low]


def _resolve(
    requirements: Sequence[str],
    exclude_newer: str | None,
    python: tuple[int, int],
    made: list[Path] | None,
    *,
    dependencies: bool = True,
) -> str:
    """Return the pins; makes wheels of what lacks them, and adds them to `made`, unless None."""
    while True:
        try:
            return _compile(
                requirements, exclude_newer, python, made or (), dependencies=dependencies
            )
        except NoSuchReleaseError as error:
            lacking = _NO_WHEELS.search(str(error))
            if made is None or lacking is None:
                raise
            try:
                folder = ensure_wheel(lacking["name"], lacking["version"])
            except NotPureError as reason:
                release = f"{lacking['name']} {lacking['version']}"
                raise NoSuchReleaseError(f"{error}; a wheel of {release}: {reason}") from error
            if folder in made:  # and yet it does not serve
                raise
            made.append(folder)


def _compile(
    requirements: Sequence[str],
    exclude_newer: str | None,
    python: tuple[int, int],
    links: Sequence[Path] = (),
    *,
    dependencies: bool = True,
) -> str:
    uv = find_uv()
    if uv is None:
        raise SandboxBuildError("resolving a release needs uv: pip install uv")
    command = [uv, "pip", "compile", "--quiet", "--only-binary=:all:", "--no-header"]
    command += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--no-config"]
    # No code runs: uv need not fetch the Python that it resolves for, nor look for one.
    command += ["--no-python-downloads", f"--python={sys.executable}"]
    command += [f"--python-version={_dotted(python)}"]
    command += [f"--find-links={folder}" for folder in links]
    if not dependencies:
        command.append("--no-deps")
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
