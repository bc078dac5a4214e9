"""Fetching releases of npm packages with npm itself: tarballs, unpacked here and never run."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from recode_eval.errors import UsageError
from recode_eval.mining.declarations import declared_surface, top_name
from recode_eval.mining.releases import Release
from recode_eval.mining.surface import Surface
from recode_eval.mining.texts import write_texts
from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.buildlog import BuildLog, StepError, cache_dir, temporary_dir
from recode_eval.sandbox.node import ensure_node, node_environment
from recode_eval.sandbox.npm_environments import npm_error
from recode_eval.sandbox.npm_lock import environment_name, split_release
from recode_eval.sandbox.sdists import NotPureError, unpacked

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "npm:"


def fetch_npm_release(library: str, version: str) -> Release:
    """Download `npm:NAME` at a version, and `@types/NAME` where it declares nothing itself.

    Raises:
        UsageError: no name or version of npm.
        SandboxBuildError: npm or the release cannot be had.
    """
    package = library.removeprefix(PREFIX)
    if split_release(f"{package}@{version}") is None:
        raise UsageError(f"{library} {version}: write npm:NAME OLD NEW, e.g. npm:zod 3.25.76 4.1.0")
    folder = cache_dir("mining", environment_name(package, version))
    tarball = _packed(f"{package}@{version}", folder / "own")
    files = _unpacked(tarball)
    losses: list[str] = []
    if not _declares(files):
        types = package.removeprefix("@").replace("/", "__")
        try:
            tarball = _packed(f"@types/{types}@{version.partition('.')[0]}", folder / "types")
        except SandboxBuildError:
            losses.append("no declarations: neither its own nor @types")
    about = json.loads(files.get("package.json", b"{}"))
    license_ = about.get("license", "") if isinstance(about, dict) else ""
    texts = write_texts(folder, files)
    return Release(
        library=library,
        version=version,
        environment="",
        wheel=tarball,
        uploaded=_uploaded(package, version, folder),
        license=license_[:100] if isinstance(license_, str) else "",
        tops=(top_name(package),),
        notes=texts / "notes" if texts else None,
        documented=None,
        losses=tuple(losses),
    )


def declarations_of(release: Release) -> Surface:
    """Read the declarations of a fetched release."""
    if release.wheel is None:
        return Surface()
    return declared_surface(release.library.removeprefix(PREFIX), _unpacked(release.wheel))


def _declares(files: dict[str, bytes]) -> bool:
    return any(path.endswith((".d.ts", ".d.mts", ".d.cts")) for path in files)


def _unpacked(tarball: Path) -> dict[str, bytes]:
    try:
        return unpacked(tarball.read_bytes())
    except NotPureError as error:
        raise SandboxBuildError(f"{tarball.name} cannot be unpacked: {error}") from error


def _packed(release: str, folder: Path) -> Path:
    """Return the tarball of a release, from the cache or by `npm pack`, which checks its hash."""
    folder.mkdir(exist_ok=True)
    if found := sorted(folder.glob("*.tgz")):
        return found[0]
    with temporary_dir(folder.parent) as scratch:
        _npm(["pack", release, f"--pack-destination={scratch}", "--ignore-scripts"], release)
        found = sorted(scratch.glob("*.tgz"))
        if not found:
            raise SandboxBuildError(f"npm packed nothing for {release}")
        found[0].replace(folder / found[0].name)
    return folder / found[0].name


def _npm(arguments: list[str], what: str) -> str:
    node = ensure_node()
    slug = re.sub(r"\W+", "-", what).strip("-")
    with (
        BuildLog(f"the package {what}", f"mine-{slug}") as log,
        temporary_dir(cache_dir("tmp")) as scratch,
    ):
        if node.npm is None:
            raise log.error(f"{node.node} has no npm beside it", fix="install npm")
        command = [str(node.node), str(node.npm), *arguments, f"--prefix={scratch}"]
        command += [f"--cache={cache_dir('npm-cache')}", "--loglevel=error"]
        try:
            return log.run(command, node_environment())
        except StepError as error:
            raise npm_error(log, error) from error


def _uploaded(package: str, version: str, folder: Path) -> str | None:
    file = folder / "uploaded.json"
    if not file.is_file():
        try:
            times = json.loads(_npm(["view", package, "time", "--json"], package))
            day = str(times[version])[:10]
        except (SandboxBuildError, ValueError, KeyError, TypeError):
            return None
        file.write_text(json.dumps(day), encoding="utf-8")
    told = json.loads(file.read_text(encoding="utf-8"))
    return told if re.fullmatch(r"\d{4}-\d\d-\d\d", str(told)) else None
