"""Making the lock of an environment of npm packages: exact versions, resolved by npm itself.

Nothing of a package is executed. `--before` resolves as on a day, since old releases often name
their dependencies loosely.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from recode_eval.errors import StorageError, UsageError
from recode_eval.sandbox.buildlog import BuildLog, StepError, cache_dir, temporary_dir
from recode_eval.sandbox.node import NODE_VARIABLE, ensure_node, node_environment
from recode_eval.sandbox.npm_environments import npm_error
from recode_eval.sandbox.npm_lock import environment_name, read_lock, split_release

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ECOSYSTEM = "npm:"
"""Starts the name of a release of npm's registry on the command line."""


def is_npm(release: str) -> bool:
    """Whether a release is one of npm's registry: `npm:zod@4.1.0`."""
    return release.startswith(ECOSYSTEM)


def lock_npm(
    releases: Sequence[str],
    *,
    folder: Path | None = None,
    before: str | None = None,
    log: Callable[[str], None] | None = None,
) -> Path:
    """Write the lock of `npm:NAME@VERSION` and its companions, and return its path.

    The file is named after the first release and lies in `folder` (default: this machine's cache).

    Raises:
        UsageError: something is not a release of npm's, or no date.
        SandboxBuildError: npm or its registry cannot be had, or there is no such release.
        DataError: the lock needs what environments do not accept, such as a package from git.
        StorageError: the file cannot be written.
    """
    pins: dict[str, str] = {}
    for release in releases:
        split = split_release(release.removeprefix(ECOSYSTEM)) if is_npm(release) else None
        if split is None:
            raise UsageError(f"{release!r}: write npm:NAME@VERSION, for example npm:zod@4.1.0")
        pins[split[0]] = split[1]
    if before is not None:
        try:
            dt.date.fromisoformat(before)
        except ValueError:
            raise UsageError(f"--exclude-newer {before!r}: write a day: 2023-05-31") from None
    name = environment_name(*next(iter(pins.items())))
    path = (folder or cache_dir("envs")) / f"{name}.json"
    node = ensure_node(log=log)
    with (
        BuildLog(f"the lock of {name}", f"lock-{name}") as build_log,
        temporary_dir(cache_dir("tmp")) as scratch,
    ):
        if node.npm is None:
            raise build_log.error(
                f"{node.node} has no npm beside it",
                fix=f"install npm, or unset {NODE_VARIABLE} to use the pinned Node",
            )
        package = {"name": name, "private": True, "dependencies": pins}
        (scratch / "package.json").write_text(json.dumps(package), encoding="utf-8")
        command = [str(node.node), str(node.npm), "install", f"--prefix={scratch}"]
        command += ["--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"]
        # Without addresses of a mirror, which others may not reach.
        command += ["--omit-lockfile-registry-resolved", "--no-update-notifier"]
        command.append(f"--cache={cache_dir('npm-cache')}")
        command += ["--loglevel=error", *([f"--before={before}"] if before else [])]
        try:
            build_log.run(command, node_environment())
        except StepError as error:
            raise npm_error(build_log, error) from error
        draft = scratch / f"{name}.json"
        (scratch / "package-lock.json").replace(draft)
        lock = read_lock(draft)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_dir(path.parent) as beside:  # never half a lock under the final name
            (beside / path.name).write_text(lock.text, encoding="utf-8")
            (beside / path.name).replace(path)
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}") from error
    return path
