"""Where a result comes from: versions, machine, command line; no environment, no secrets."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.sandbox.base import SandboxInfo

_PACKAGES = (
    "numpy",
    "scipy",
    "rapidfuzz",
    "jinja2",
    "docker",
    "torch",
    "transformers",
    "peft",
    "vllm",
    "openai",
    "datasets",
)


def now() -> str:
    """Return the current time, UTC, as ISO 8601 with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def invocation() -> dict[str, Any]:
    """Describe this process: what was started, where, with which versions."""
    return {
        "started": now(),
        "command": sys.argv,
        "recode_eval": __version__,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)),
        "packages": package_versions(),
    }


def package_versions() -> dict[str, str]:
    """Return the versions of the installed packages that can change a result."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def git_commit() -> str | None:
    """Return the commit of the checkout this package runs from (`-dirty` if changed), if any."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        result = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None


def sandbox_json(info: SandboxInfo, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Describe a sandbox; what an earlier part of the run knew of other environments is kept."""
    known, nodes = ({**(before or {}).get(key, {})} for key in ("environments", "nodes"))
    return {
        **asdict(info),
        "libraries": dict(info.libraries),
        "guarantees": list(info.guarantees),
        "environments": {**known, **info.environments},
        "nodes": {**nodes, **info.nodes},
    }
