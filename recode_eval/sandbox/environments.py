"""The sandbox's library environments: get one by name, have it built, see and free its disk space.

This is the module to import; how it is done is in `requirements` (what the names mean), `images`
(Docker) and `venvs` (the other tiers).
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.errors import DataError
from recode_eval.sandbox.base import SandboxBuildError, SandboxUnavailableError
from recode_eval.sandbox.buildlog import cache_dir, stale_temporary_dirs
from recode_eval.sandbox.daemon import docker_client
from recode_eval.sandbox.images import (
    LABEL,
    LIBRARIES_REPOSITORY,
    ImageInfo,
    ensure_image,
    is_current,
    prune_stages,
)
from recode_eval.sandbox.interpreters import find_interpreter
from recode_eval.sandbox.node import node_version
from recode_eval.sandbox.npm_environments import NpmInfo, ensure_npm, npm_folder, npm_folders
from recode_eval.sandbox.requirements import (
    Environment,
    environment_names,
    get_environment,
    has_environment,
    is_release,
    release_name,
)
from recode_eval.sandbox.venvs import MANIFEST, VenvInfo, ensure_venv, venv_folder

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = [
    "DiskUse",
    "Environment",
    "ImageInfo",
    "NpmInfo",
    "SandboxBuildError",
    "VenvInfo",
    "ensure_image",
    "ensure_npm",
    "ensure_venv",
    "environment_disk_use",
    "environment_names",
    "get_environment",
    "has_environment",
    "prunable",
    "prune",
    "release_name",
]

_STALE_AFTER_S = 24 * 3600.0
"""No build takes a day: a temporary folder older than that belongs to a killed one."""


@dataclass(frozen=True, slots=True)
class DiskUse:
    """An artefact of building environments on the disk."""

    kind: str
    """`image`, `venv`, `npm` (packages of JavaScript) or `leftover` (of a killed build)."""
    name: str
    """The image's tag or the folder's path."""
    size_bytes: int
    """Layers that images share are counted in each of them, as Docker does."""
    current: bool
    """True if it is what the pins, the supervisor and this Python ask for today."""
    release: bool = False
    """True for the environment of a single release of a library."""


def environment_disk_use() -> list[DiskUse]:
    """Everything that was built on this machine; images only where a Docker daemon answers."""
    uses = [*_venv_uses(), *_npm_uses()]
    with contextlib.suppress(SandboxUnavailableError):
        uses += _image_uses()
    return uses


def prunable(*, everything: bool = False, releases: bool = False) -> list[DiskUse]:
    """What `prune` would remove, in its order: what is out of date, besides it single releases.

    With `everything`, all that was built.
    """
    # Images with a supervisor before those with the libraries they are made of.
    uses = sorted(environment_disk_use(), key=lambda use: LIBRARIES_REPOSITORY in use.name)
    return [use for use in uses if not use.current or everything or (releases and use.release)]


def prune(*, everything: bool = False, releases: bool = False) -> list[DiskUse]:
    """Remove what `prunable` names and return what was removed.

    Must not be called while an evaluation runs. An image that a container still uses stays.
    """
    removed: list[DiskUse] = []
    client = None
    with contextlib.suppress(SandboxUnavailableError):
        client = docker_client()
    for use in prunable(everything=everything, releases=releases):
        if use.kind == "image":
            if client is None or not _remove_image(client, use.name):
                continue
        else:
            # What says that a venv is complete goes first: the removal may be interrupted.
            (Path(use.name) / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(use.name, ignore_errors=True)
        removed.append(use)
    if client is not None:
        prune_stages(client)
        client.close()
    return removed


def _venv_uses() -> list[DiskUse]:
    wanted = set()
    built = (path.name.rpartition("-")[0] for path in cache_dir("venvs").iterdir())
    for name in {*environment_names(), *filter(has_environment, built)}:
        # No such Python, or a lock that cannot be read: nothing built from it is current.
        with contextlib.suppress(SandboxBuildError, DataError):
            environment = get_environment(name)
            if environment.npm is not None:
                continue
            wanted.add(venv_folder(environment, find_interpreter(environment.python)))
    uses: list[DiskUse] = []
    for parent in (cache_dir("venvs"), cache_dir("npm"), cache_dir("node"), cache_dir("tmp")):
        leftovers = stale_temporary_dirs(parent, _STALE_AFTER_S)
        uses += [DiskUse("leftover", str(path), _size(path), current=False) for path in leftovers]
    for path in sorted(cache_dir("venvs").iterdir()):
        if (path / MANIFEST).is_file():
            current = path.name in wanted
            release = is_release(path.name.rpartition("-")[0])
            uses.append(DiskUse("venv", str(path), _size(path), current=current, release=release))
    return uses


def _npm_uses() -> list[DiskUse]:
    version = node_version()
    uses = []
    for path, name in npm_folders().items():
        current = False
        with contextlib.suppress(DataError):  # a lock that cannot be read any more
            if version is not None and has_environment(name):
                current = path.name == npm_folder(get_environment(name), version)
        size, release = _size(path), is_release(name)
        uses.append(DiskUse("npm", str(path), size, current=current, release=release))
    return uses


def _image_uses() -> list[DiskUse]:
    client = docker_client()
    try:
        return [
            DiskUse(
                "image",
                tag,
                int(image.attrs["Size"]),
                current=is_current(client, image.labels),
                release=is_release(image.labels.get(LABEL, "")),
            )
            for image in client.images.list(filters={"label": LABEL})
            for tag in image.tags
        ]
    finally:
        client.close()


def _remove_image(client: DockerClient, tag: str) -> bool:
    from docker.errors import APIError

    try:
        client.images.remove(tag)
    except APIError:  # in use, or already gone
        return False
    return True


def _size(folder: Path) -> int:
    """Bytes that the files below take on the disk; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values())
