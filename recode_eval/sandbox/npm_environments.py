"""Folders of npm packages for JavaScript programs, built from locks and cached by content.

npm installs into a temporary folder, without running any package's scripts; Node imports the main
package; then the folder is renamed into place. A killed build leaves nothing that looks finished.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.sandbox.buildlog import BuildLog, StepError, cache_dir, locked, temporary_dir
from recode_eval.sandbox.node import NODE_VARIABLE, NodeInfo, ensure_node, node_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from recode_eval.sandbox.npm_lock import NpmLock
    from recode_eval.sandbox.requirements import Environment

MANIFEST = "recode-eval.json"
COMPILED = "compile-cache"
"""Folder of an environment with what V8 compiled of its packages, for programs to start with."""
FOLDER = "npm"
"""In the cache: where the environments lie."""
_NETWORK = re.compile(r"\b(ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|network|proxy)\b")
_CERTIFICATE = re.compile(r"\b(SELF_SIGNED|UNABLE_TO_\w+|CERT_\w+|certificate)\b")
_CHATTER = re.compile(r"npm (error|ERR!)( A complete log of this run.*| *)")


@dataclass(frozen=True, slots=True)
class NpmInfo:
    """Node and an environment's packages, ready to use; do not change anything in it."""

    root: Path
    """Holds `node_modules`, which is empty for an environment without packages."""
    node: NodeInfo
    libraries: Mapping[str, str]


def ensure_npm(environment: Environment, *, log: Callable[[str], None] | None = None) -> NpmInfo:
    """Return the packages of an environment, installing them first if need be.

    Lies in `$XDG_CACHE_HOME/recode-eval/npm`; once built, no network is needed. Safe to call from
    several processes.

    Raises:
        SandboxBuildError: Node or a package cannot be had, the disk is full, ...
    """
    assert environment.npm is not None
    tell = log or (lambda _message: None)
    node = ensure_node(log=log)
    root = cache_dir(FOLDER) / npm_folder(environment, node.version)
    if not (root / MANIFEST).is_file():
        with locked(root.name, tell):
            if not (root / MANIFEST).is_file():
                _build(environment.name, environment.npm, node, root, tell)
    return NpmInfo(root, node, dict(environment.npm.packages))


def copy_node(environment: Environment, context: Path, log: Callable[[str], None]) -> str:
    """Put Node and an environment into the context of an image's build; return Node's version.

    Raises:
        SandboxBuildError: they cannot be had; see `ensure_npm`.
    """
    assert environment.npm is not None
    npm = ensure_npm(environment, log=log)
    (context / "node" / "bin").mkdir(parents=True)
    shutil.copy2(npm.node.node, context / "node" / "bin" / "node")
    kept_out = shutil.ignore_patterns(COMPILED)  # paths differ in the image
    shutil.copytree(npm.root, context / "environment", symlinks=True, ignore=kept_out)
    (context / "check.mjs").write_text(_check(environment.npm), encoding="utf-8")
    return npm.node.version


def _check(lock: NpmLock) -> str:
    """A program that fails if the environment's main package cannot be imported."""
    if not lock.main:
        return ""
    name = json.dumps(lock.main)
    return (
        'import { createRequire } from "node:module";\n'
        f"await import({name});\n"
        # Programs may use either, and packages often have a file for each.
        f"try {{ createRequire(import.meta.url)({name}); }} catch {{}}\n"
    )


def npm_folders() -> dict[Path, str]:
    """The environments that were built on this machine, complete: folder -> name."""
    manifests = sorted(cache_dir(FOLDER).glob(f"*/{MANIFEST}"))
    return {path.parent: path.parent.name.rpartition("-")[0] for path in manifests}


def npm_folder(environment: Environment, node: str) -> str:
    """Name of the folder: the environment and a hash of its packages, Node and the platform."""
    parts = (environment.key, node, platform.machine(), *platform.libc_ver())
    return f"{environment.name}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"


def _build(
    name: str, lock: NpmLock, node: NodeInfo, root: Path, log: Callable[[str], None]
) -> None:
    with (
        BuildLog(f"the JavaScript environment {name!r}", f"npm-{name}") as build_log,
        temporary_dir(root.parent) as scratch,
    ):
        new = scratch / "environment"
        (new / "node_modules").mkdir(parents=True)
        if lock.packages:
            log(f"installing the {len(lock.packages)} packages of {name!r} into {root}")
            _install(lock, node, new, build_log)
            _try_import(lock, node, new, build_log)
        for path in (new, *new.rglob("*")):  # programs read it under other user ids
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        manifest = {"environment": name, "node": node.version, "libraries": dict(lock.packages)}
        (new / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        (new / MANIFEST).chmod(0o644)
        if root.exists():  # from a build that was killed while it was being removed
            shutil.rmtree(root)
        new.rename(root)
        if lock.packages:
            _compile(lock, node, root, build_log)


def _install(lock: NpmLock, node: NodeInfo, folder: Path, build_log: BuildLog) -> None:
    if node.npm is None:
        raise build_log.error(
            f"{node.node} has no npm beside it",
            fix=f"install npm, or unset {NODE_VARIABLE} to use the pinned Node",
        )
    package = json.dumps({"private": True, "dependencies": dict(lock.root)})
    (folder / "package.json").write_text(package, encoding="utf-8")
    (folder / "package-lock.json").write_text(lock.text, encoding="utf-8")
    command = [str(node.node), str(node.npm), "ci", f"--prefix={folder}", "--ignore-scripts"]
    command += ["--no-audit", "--no-fund", "--no-update-notifier", "--no-bin-links"]
    command += ["--prefer-offline", f"--cache={cache_dir('npm-cache')}", "--loglevel=error"]
    try:
        build_log.run(command, node_environment())
    except StepError as error:
        raise npm_error(build_log, error) from error


def _compile(lock: NpmLock, node: NodeInfo, root: Path, build_log: BuildLog) -> None:
    """Keep what V8 makes of the main package; its key holds the path, so this comes last.

    Without it programs run as well, only later.
    """
    check = root / "check.mjs"
    check.write_text(_check(lock), encoding="utf-8")
    variables = {**node_environment(), "NODE_COMPILE_CACHE": str(root / COMPILED)}
    try:
        build_log.run([str(node.node), str(check)], variables)
    except StepError as error:
        build_log.write(f"compiling in advance: {error.cause}")
    finally:
        check.unlink()


def npm_error(build_log: BuildLog, error: StepError) -> Exception:
    """The error for the user, with what npm said and what to do about it."""
    lines = [line.strip() for line in error.output.splitlines()]
    said = [line for line in lines if line.startswith(("npm err", "npm ERR!"))]
    said = [re.sub(r"^npm (error|ERR!) ", "", s) for s in said if not _CHATTER.fullmatch(s)]
    cause = ": ".join(said[:2])[:300] or error.cause
    fix = None
    if _CERTIFICATE.search(error.output):
        fix = "npm does not trust the certificate; set NODE_EXTRA_CA_CERTS to your bundle"
    elif _NETWORK.search(error.output):
        fix = "npm could not reach its registry; set HTTPS_PROXY or npm_config_registry (a mirror)"
    elif "EINTEGRITY" in error.output:
        fix = "the registry has other files than the lock; use another mirror, or lock it anew"
    elif re.search(r"\bE(404|TARGET)\b", error.output):
        fix = "the registry has no such release; check name and version"
    return build_log.error(cause, error.output, fix)


def _try_import(lock: NpmLock, node: NodeInfo, folder: Path, build_log: BuildLog) -> None:
    check = folder / "check.mjs"
    check.write_text(_check(lock), encoding="utf-8")
    try:
        build_log.run([str(node.node), str(check)], node_environment())
    except StepError as error:
        fix = "choose another release"
        if lock.needing_scripts:
            fix = (
                f"it may need the install scripts of {', '.join(lock.needing_scripts)}, which are "
                "never run; choose a release that is JavaScript alone"
            )
        failures = [line for line in error.output.splitlines() if re.match(r"\w*Error\b", line)]
        cause = failures[0] if failures else error.cause
        raise build_log.error(f"{lock.main} cannot be imported: {cause}", fix=fix) from error
    check.unlink()
