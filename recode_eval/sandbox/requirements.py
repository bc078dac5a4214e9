"""Which libraries a sandbox has: named environments, each a file of exact pins.

The library sets of whole tasks lie in `sandbox/requirements/`, those of single releases
(`pandas-2.2.3`) in `sandbox/envs/`, and those that were resolved on this machine in the cache. All
are complete locks (installed with `--no-deps`), so the text of the pins decides what a sandbox
holds; that is why the hash of the pins is the key of everything that is built from them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recode_eval.errors import DataError, UsageError
from recode_eval.resources import resource_dir
from recode_eval.sandbox.buildlog import cache_dir
from recode_eval.sandbox.npm_lock import EMPTY, PREFIX, NpmLock, environment_name, read_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9.+!_-]*)"
    r"(?:\s*;\s*python_version\s*(?P<operator><|>=)\s*[\"'](?P<major>\d+)\.(?P<minor>\d+)[\"'])?"
)
_INCLUDE = re.compile(r"-r\s+(?P<file>[\w.-]+)")

_IMPORTS = {
    "mini": ("numpy", "pandas", "sympy"),
    "arena": ("numpy", "pandas", "sympy", "scipy", "torch", "pytest"),
    "rust": (),
}
"""What must be importable for the environment to count as built."""
_TOOLCHAINS = {"rust": "rust"}
NODE_ALONE = "node"
"""The environment of JavaScript programs that need no package."""

PYTHONS = tuple((3, minor) for minor in range(7, 15))
"""The Pythons that programs can run on."""
RELEASE_PYTHON = (3, 11)
"""The Python of a lock whose header names none: old releases have no wheels for a newer one."""
_HEADER = re.compile(r"#\s*python:(?P<python>.*)")
_RELEASE = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_UNIMPORTED = "mine."
_FOR_PYTHON = re.compile(r"(?P<name>.+)-py(?P<major>3)\.(?P<minor>[0-9]{1,2})")
"""The same library set for another Python: `mini-py3.9`."""

_CHECK_RELEASE = """
import importlib

try:
    from importlib import metadata
    files = metadata.distribution({name!r}).files or []
except ImportError:  # Python 3.7 does not have it
    import csv, pathlib, re, sys
    files = []
    for record in (p for f in sys.path for p in pathlib.Path(f).glob("*.dist-info/RECORD")):
        found = record.parent.name.partition("-")[0]
        if re.sub("[-_.]+", "-", found).lower() == re.sub("[-_.]+", "-", {name!r}).lower():
            rows = csv.reader(record.read_text().splitlines())
            files = [pathlib.PurePath(row[0]) for row in rows]
modules = {{path.parts[0] for path in files if len(path.parts) == 2 and path.name == "__init__.py"}}
modules |= {{path.stem for path in files if len(path.parts) == 1 and path.suffix == ".py"}}
unwanted = {{"tests", "test", "docs", "examples", "scripts", "benchmarks"}}
for module in sorted(modules - unwanted):
    if module.isidentifier() and not module.startswith("_"):
        importlib.import_module(module)
"""


@dataclass(frozen=True, slots=True)
class Pin:
    """One package at one version, for all Pythons or for those below or from a version."""

    name: str
    version: str
    operator: str = ""
    python: tuple[int, int] = (0, 0)

    def applies(self, python: tuple[int, int]) -> bool:
        """True if the pin holds for this version (major, minor) of Python."""
        if self.operator == "<":
            return python < self.python
        return self.operator == "" or python >= self.python

    @property
    def requirement(self) -> str:
        """The pin as pip takes it, without the marker."""
        return f"{self.name}=={self.version}"

    def __str__(self) -> str:
        marker = f' ; python_version {self.operator} "{self.python[0]}.{self.python[1]}"'
        return self.requirement + (marker if self.operator else "")


@dataclass(frozen=True, slots=True)
class Environment:
    """A set of libraries that programs may import."""

    name: str
    requirements: Path
    key: str
    """SHA-256 (hex) of the pins: equal keys, equal libraries (for one Python and platform)."""
    pins: tuple[Pin, ...]
    check: str
    """Program that imports what must work; the environment counts as built when it succeeds."""
    python: tuple[int, int] | None = None
    """The only Python (major, minor) that the pins are for; None: any that they have a pin for."""
    toolchain: str = ""
    """The language whose compiler its programs need; empty: none."""
    npm: NpmLock | None = None
    """The packages of an environment of JavaScript; it has no Python for programs."""

    def pins_for(self, python: tuple[int, int]) -> tuple[Pin, ...]:
        """The pins that hold for a version of Python, one per package.

        Raises:
            DataError: two pins of one package hold at the same time.
        """
        chosen: dict[str, Pin] = {}
        for pin in self.pins:
            if pin.applies(python):
                name = pin.name.lower().replace("_", "-")
                if name in chosen:
                    raise DataError(
                        f"{self.requirements}: {pin.name} is pinned twice for Python "
                        f"{python[0]}.{python[1]}; give each pin its own python_version marker"
                    )
                chosen[name] = pin
        return tuple(chosen.values())


def environment_names() -> tuple[str, ...]:
    """The names that `get_environment` knows: library sets first, then single releases."""
    releases = {path.stem for folder in _release_folders() for path in folder.glob("*.txt")}
    releases |= {path.stem for folder in _release_folders() for path in folder.glob("npm-*.json")}
    sets = (*_IMPORTS, NODE_ALONE)
    return (*sets, *sorted(filter(_RELEASE.fullmatch, releases - set(sets))))


def has_environment(name: str) -> bool:
    """True if `get_environment` knows the name."""
    known = name in _IMPORTS or name == NODE_ALONE
    return known or _release_file(name) is not None or _of_another_python(name)


def _of_another_python(name: str) -> bool:
    match = _FOR_PYTHON.fullmatch(name)
    return match is not None and match["name"] in _IMPORTS


def unimported_name(library: str, version: str, suffix: str = "") -> str:
    """The name of a release's environment that nothing is imported in while it is built.

    For releases that nobody vouches for, whose code must run in the sandbox alone. No project is
    called `mine.click` (PEP 503 writes it `mine-click`), so no pin is taken for the main one.

    >>> unimported_name("click", "8.1.8")
    'mine.click-8.1.8'
    """
    return f"{_UNIMPORTED}{release_name(library, version)}{suffix}"


def is_unimported(name: str) -> bool:
    """True for an environment whose libraries must run in the sandbox alone, if anywhere."""
    return name.startswith(_UNIMPORTED)


def is_release(name: str) -> bool:
    """True for the name of a single release's environment."""
    return name not in _IMPORTS and _release_file(name) is not None


def release_name(library: str, version: str, ecosystem: str = "pypi") -> str:
    """The name of the environment with one release of a library: `pandas-2.2.3`.

    It becomes the name of files and images, so `1.0RC1` is `1.0rc1`, and `2.1.0+cpu` `2.1.0-cpu`.
    One of npm has that before it (`npm_lock.environment_name`).
    """
    if ecosystem == "npm":
        return environment_name(library, version)
    return f"{library.lower().replace('_', '-')}-{re.sub(r'[^a-z0-9.]+', '-', version.lower())}"


def get_environment(name: str) -> Environment:
    """Read one environment's pins.

    A library set for a Python of its own has that Python in its name: `mini-py3.9` is `mini` for
    programs that run on Python 3.9, whatever Python this process runs on.

    Raises:
        UsageError: there is no environment of this name.
        DataError: its file of pins is missing or has a line that is no exact pin.
    """
    if (match := _FOR_PYTHON.fullmatch(name)) and match["name"] in _IMPORTS:
        python = int(match["major"]), int(match["minor"])
        own = _set_file(name)  # a Python that has none of the usual versions has pins of its own
        usual = match["name"]
        environment = _library_set(usual, own if own.is_file() else _set_file(usual))
        return _for_python(environment, name, python)
    if name == NODE_ALONE:
        return _of_npm(name, resource_dir("sandbox"), EMPTY)
    release = None if name in _IMPORTS else _release_file(name)
    if release is not None and release.suffix == ".json":
        return _of_npm(name, release, read_lock(release))
    if name not in _IMPORTS and release is None:
        raise UsageError(f"unknown sandbox environment {name!r}; there are: {_some_names()}")
    if release is None:
        return _library_set(name, _set_file(name))
    pins = _read(release, ())
    main = next((pin for pin in pins if _is_main(pin, name)), None)
    check = _CHECK_RELEASE.format(name=main.name) if main else ""
    environment = Environment(name, release, _key(pins), pins, check, RELEASE_PYTHON)
    python = _python_of(release)
    return environment if python == RELEASE_PYTHON else _for_python(environment, name, python)


def _set_file(name: str) -> Path:
    return resource_dir("sandbox") / "requirements" / f"{name}.txt"


def _library_set(name: str, path: Path) -> Environment:
    pins = _read(path, ())
    check = "".join(f"import {module}\n" for module in _IMPORTS[name])
    return Environment(name, path, _key(pins), pins, check, toolchain=_TOOLCHAINS.get(name, ""))


def _key(pins: tuple[Pin, ...]) -> str:
    return hashlib.sha256("\n".join(str(pin) for pin in pins).encode()).hexdigest()


def _of_npm(name: str, path: Path, lock: NpmLock) -> Environment:
    pins = tuple(Pin(package, version) for package, version in lock.packages.items())
    return Environment(name, path, lock.key, pins, check="", npm=lock)


def _for_python(environment: Environment, name: str, python: tuple[int, int]) -> Environment:
    """The environment with the only Python that it is for, which becomes part of its key."""
    key = hashlib.sha256(f"{environment.key} python {python}".encode()).hexdigest()
    return replace(environment, name=name, key=key, python=python)


def python_header(python: tuple[int, int]) -> str:
    """The line at the top of a lock that names the Python it was resolved for.

    >>> python_header((3, 9))
    '# python: 3.9'
    """
    return f"# python: {python[0]}.{python[1]}"


def parse_python(text: str) -> tuple[int, int]:
    """Read a version of Python that programs can run on, `3.9`.

    Raises:
        UsageError: it is none of `PYTHONS`.
    """
    for python in PYTHONS:
        if text.strip() == ".".join(map(str, python)):
            return python
    oldest, newest = (".".join(map(str, python)) for python in (PYTHONS[0], PYTHONS[-1]))
    raise UsageError(f"{text.strip()!r}: programs run on Python {oldest} to {newest}")


def _python_of(path: Path) -> tuple[int, int]:
    """Return the Python that the comment at the top of a lock names."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if match := _HEADER.fullmatch(line):
            try:
                return parse_python(match["python"])
            except UsageError as error:
                raise DataError(f"{path}: the line {line!r}: {error}") from error
    return RELEASE_PYTHON


def _is_main(pin: Pin, name: str) -> bool:
    """Whether this pin is the release that the environment is named for: `jinja2-2.11-...`."""
    return re.match(rf"{re.escape(release_name(pin.name, ''))}[0-9]", name) is not None


_TASK_FOLDERS: dict[Path, None] = {}
"""Folders of locks that tasks of the user brought, in this process."""


def use_locks(folder: Path) -> None:
    """Know the locks that lie beside a task, in this process; those of the cache come after them.

    Raises:
        DataError: one has the name of a bundled lock or of another task's, but other pins.
    """
    folder = folder.resolve()
    known = [resource_dir("sandbox") / "envs", *(one for one in _TASK_FOLDERS if one != folder)]
    for path in sorted([*folder.glob("*.txt"), *folder.glob("npm-*.json")]):
        for other in (place / path.name for place in known):
            if other.is_file() and _pins_of(other) != _pins_of(path):
                raise DataError(
                    f"{path}: the lock {other} has the same name and other pins. Remove one of "
                    "them, or give the rows another version."
                )
    _TASK_FOLDERS[folder] = None


def _pins_of(path: Path) -> object:
    return read_lock(path).key if path.suffix == ".json" else (_read(path, ()), _python_of(path))


def _release_folders() -> Iterator[Path]:
    yield resource_dir("sandbox") / "envs"
    yield from _TASK_FOLDERS
    yield cache_dir("envs")


def _release_file(name: str) -> Path | None:
    if not _RELEASE.fullmatch(name):  # becomes a file name, which has a longest length
        return None
    suffix = "json" if name.startswith(PREFIX) else "txt"
    paths = (folder / f"{name}.{suffix}" for folder in _release_folders())
    return next((path for path in paths if path.is_file()), None)


def _some_names() -> str:
    names = environment_names()
    more = f", and {len(names) - 12} more"
    return ", ".join(names[:12]) + (more if len(names) > 12 else "")


def _read(path: Path, including: tuple[Path, ...]) -> tuple[Pin, ...]:
    if path in including:
        raise DataError(f"{path}: includes itself; remove the -r line")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); restore the file") from error
    pins: list[Pin] = []
    for number, line in enumerate(lines, 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if not text:
            continue
        if include := _INCLUDE.fullmatch(text):
            pins += _read(path.parent / include["file"], (*including, path))
        elif pin := _LINE.fullmatch(text):
            python = (int(pin["major"] or 0), int(pin["minor"] or 0))
            pins.append(Pin(pin["name"], pin["version"], pin["operator"] or "", python))
        else:
            raise DataError(
                f"{path}:{number}: not an exact pin: {text!r}; write name==version, then at most "
                '; python_version < "3.N" or >= "3.N"'
            )
    return tuple(pins)
