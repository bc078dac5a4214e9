"""Read npm's own lock files: which packages an environment of JavaScript has.

A lock is data that somebody else may have written, and it decides what is downloaded. So only exact
versions from npm's registry with a hash are accepted; whatever else npm can install is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REGISTRY = "https://registry.npmjs.org/"
"""As npm may write it into locks; npm replaces it by the user's own mirror when it downloads. What
names no place comes from the registry, too."""
PREFIX = "npm-"
"""Names of environments start with it: `npm-zod-4.1.0`."""
_NAME = r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[A-Za-z0-9~_-][A-Za-z0-9._~-]*"
_VERSION = r"[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*"
_PATH = re.compile(rf"node_modules/{_NAME}(?:/node_modules/{_NAME})*")
_EXACT = re.compile(_VERSION)
_RELEASE = re.compile(rf"(?P<name>{_NAME})@(?P<version>{_VERSION})")
_INTEGRITY = re.compile(r"(?:sha512-[A-Za-z0-9+/]{86}==|sha384-[A-Za-z0-9+/]{64})")
_LARGEST = 8 << 20
_FIX = "make it anew with `recode-eval sandbox lock npm:NAME@VERSION`"


@dataclass(frozen=True, slots=True)
class NpmLock:
    """The packages of an environment, complete."""

    main: str
    """The package that the environment is named for; empty for an environment without any."""
    root: Mapping[str, str]
    """What was asked for: name -> exact version."""
    packages: Mapping[str, str]
    """What programs can import: name -> version."""
    needing_scripts: tuple[str, ...]
    """Packages that come with an install script, which is never run."""
    key: str
    """SHA-256 (hex) of all packages: equal keys, equal files."""
    text: str
    """The file, as npm reads it; empty for an environment without packages."""


EMPTY = NpmLock("", {}, {}, (), hashlib.sha256(b"node").hexdigest(), "")
"""Node alone."""


def split_release(release: str) -> tuple[str, str] | None:
    """Name and version of `NAME@VERSION`, or None if it is not one.

    >>> split_release("@hapi/joi@17.1.1")
    ('@hapi/joi', '17.1.1')
    """
    match = _RELEASE.fullmatch(release)
    return (match["name"], match["version"]) if match else None


def environment_name(package: str, version: str) -> str:
    """The name of the environment of a package's release.

    >>> environment_name("@hapi/joi", "17.1.1")
    'npm-hapi-joi-17.1.1'
    """
    plain = package.lower().lstrip("@").replace("/", "-")
    return f"{PREFIX}{plain}-{re.sub(r'[^a-z0-9.]+', '-', version.lower())}"


def read_lock(path: Path) -> NpmLock:
    """Read a lock, which is named after its environment.

    Raises:
        DataError: it cannot be read, or asks for anything but hashed releases of the registry.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
        content: Any = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {_FIX}") from error
    try:
        return _checked(content, path.stem, text)
    except ValueError as error:
        raise DataError(f"{path}: {error}; {_FIX}") from None


def _checked(content: Any, name: str, text: str) -> NpmLock:
    """The lock, or a `ValueError` that says what is wrong with it."""
    if len(text) > _LARGEST:
        raise ValueError(f"more than {_LARGEST >> 20} MiB")
    if not isinstance(content, dict) or content.get("lockfileVersion") != 3:
        raise ValueError("not a lock of npm with lockfileVersion 3")
    entries = content.get("packages")
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise ValueError("it has no packages")
    root = _root(entries.get("", {}))
    found: dict[str, str] = {}
    scripts: list[str] = []
    digest = hashlib.sha256()
    for path, entry in sorted(entries.items()):
        if path == "":
            continue
        version = _package(path, entry)
        package = path.rpartition("node_modules/")[2]
        if path.count("node_modules/") == 1:
            found[package] = version
        if entry.get("hasInstallScript"):
            scripts.append(package)
        digest.update(json.dumps([path, version, entry.get("integrity")]).encode())
    for package, version in root.items():
        if found.get(package) != version:
            raise ValueError(f"{package}@{version} is asked for and not locked")
    main = next((p for p, v in root.items() if environment_name(p, v) == name), None)
    if main is None:
        raise ValueError(f"the file's name {name} is of none of {', '.join(root)}")
    return NpmLock(main, root, found, tuple(scripts), digest.hexdigest(), text)


def _root(entry: Mapping[str, Any]) -> dict[str, str]:
    root = entry.get("dependencies")
    if not isinstance(root, dict) or not root:
        raise ValueError("its root has no dependencies")
    others = ("devDependencies", "optionalDependencies", "peerDependencies", "workspaces")
    if unwanted := next((name for name in others if entry.get(name)), None):
        raise ValueError(f"its root has {unwanted}")
    for name, version in root.items():
        if not isinstance(version, str) or not _EXACT.fullmatch(version):
            raise ValueError(f"{name[:100]!r}: {version!r} is not an exact version")
    return root


def _package(path: str, entry: Mapping[str, Any]) -> str:
    """The version of one package; raises `ValueError`."""
    if len(path) > 1000 or not _PATH.fullmatch(path):
        raise ValueError(f"{path[:100]!r} is not the place of a package")
    version, resolved, integrity = (entry.get(k) for k in ("version", "resolved", "integrity"))
    if entry.get("link") or not isinstance(version, str) or not _EXACT.fullmatch(version):
        raise ValueError(f"{path} has no exact version of a release")
    if entry.get("inBundle") and resolved is None and integrity is None:
        return version  # part of the package around it, and of its hash
    if resolved is not None and not str(resolved).startswith(REGISTRY):
        raise ValueError(f"{path} does not come from {REGISTRY}, but from {str(resolved)[:100]!r}")
    if not isinstance(integrity, str) or not _INTEGRITY.fullmatch(integrity):
        raise ValueError(f"{path} has no integrity, the hash of its files")
    return version
