"""The `bubblewrap` tier: the supervisor in namespaces of its own, without the host's files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.sandbox.base import SandboxUnavailableError
from recode_eval.sandbox.hidden import hidden_below
from recode_eval.sandbox.interpreters import find_interpreter
from recode_eval.sandbox.local import (
    SHM_BYTES,
    SHM_FILES,
    WORK_BYTES,
    WORK_FILES,
    ProcessLink,
    clean_environment,
    isolated,
    supervisor_command,
    supervisor_folder,
)
from recode_eval.sandbox.npm_environments import NpmInfo
from recode_eval.sandbox.runtimes import PythonRuntime, configs, node_runtimes
from recode_eval.sandbox.users import UserIds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.sandbox.base import Limits
    from recode_eval.sandbox.environments import VenvInfo
    from recode_eval.sandbox.runtimes import CommandRuntime, ProgramRuntime
    from recode_eval.sandbox.tier import TierRequest
    from recode_eval.sandbox.worker import Launcher, Link

GUARANTEES = (
    "programs see only the system's libraries and Python's own, nothing installed, read-only",
    "own process, network, IPC and mount namespaces: no network, no other process",
    "all privileges dropped, system calls filtered; CPU time, memory and processes limited",
)
FIX = (
    "install bubblewrap (Debian/Ubuntu: apt-get install bubblewrap) and allow user "
    "namespaces (sysctl kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0)"
)
_PROBE_S = 20.0
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "alternatives")
_WORK = "/tmp"  # noqa: S108 - a tmpfs inside the sandbox
_ELSEWHERE = Path("/opt/recode-eval")
"""Where folders are seen that lie under the host's /tmp, which the work folder hides."""


def reason_against() -> str | None:
    """Why bubblewrap cannot work here, or `None`. Takes a fraction of a second."""
    program = shutil.which("bwrap")
    if program is None:
        return "the program bwrap is not installed"
    command = [*_namespaces(program), *_files((), ()), "--", "/usr/bin/env", "true"]
    try:
        result = subprocess.run(
            command, capture_output=True, timeout=_PROBE_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bwrap cannot be run: {error}"
    if result.returncode:
        said = result.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        return f"bwrap is not allowed to make namespaces here ({said[-1]})"
    return None


def create(request: TierRequest) -> Launcher:
    """Make the environment and return what starts supervisors in it; see `SandboxTier.create`."""
    from recode_eval.sandbox.environments import ensure_npm, ensure_venv

    reason = reason_against()
    if reason:
        raise SandboxUnavailableError(f"{reason}; {FIX}")
    ensure = ensure_venv if request.environment.npm is None else ensure_npm
    return BubblewrapLauncher(ensure(request.environment, log=request.log), request.runtimes)


def _namespaces(program: str) -> list[str]:
    """Namespaces and privileges.

    As root no user namespace is made: the supervisor keeps three capabilities, to run each program
    under a user id of its own that has none.
    """
    command = [
        program, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
        "--unshare-cgroup-try", "--die-with-parent", "--new-session", "--as-pid-1",
        "--cap-drop", "ALL",
    ]  # fmt: skip
    if os.getuid() == 0:
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_KILL"):
            command += ["--cap-add", capability]
    else:
        command += ["--unshare-user"]
    return command


def _files(prefixes: Sequence[Path], folders: Sequence[Path]) -> list[str]:
    """What is there: the system, Pythons at `prefixes` without their packages, and `folders`."""
    # Folders that bwrap makes by itself are private to root, which programs are not.
    shown = (*prefixes, *folders)
    above = {parent for folder in shown for parent in _inside(folder).parents} | {Path("/etc")}
    command: list[str] = []
    for parent in sorted(above - {Path("/")}):
        command += ["--perms", "0755", "--dir", str(parent)]
    for path in _SYSTEM:
        if Path(path).is_symlink():
            command += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).exists():
            command += ["--ro-bind", path, path]
    for name in _ETC:
        command += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for folder in prefixes:
        command += ["--ro-bind", str(folder), str(_inside(folder))]
    hidden = hidden_below([*map(Path, _SYSTEM), *prefixes], folders)
    for covered in hidden:
        command += ["--perms", "0755", "--size", "65536", "--tmpfs", str(covered)]
    for folder in folders:  # last: it may lie in a hidden one
        command += ["--ro-bind", str(folder), str(_inside(folder))]
    for covered in hidden:
        command += ["--remount-ro", str(covered)]
    return [
        *command, "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys",
        "--dev", "/dev",
        "--perms", "1777", "--size", str(SHM_BYTES), "--tmpfs", "/dev/shm",  # noqa: S108
        "--remount-ro", "/dev",
        "--perms", "1777", "--size", str(WORK_BYTES), "--tmpfs", _WORK,
    ]  # fmt: skip


def _inside(path: Path) -> Path:
    """Return where the sandbox shows a folder of the host."""
    if not path.is_relative_to(_WORK):
        return path
    return _ELSEWHERE / "-".join(path.parts[1:])


def _of_environment(environment: VenvInfo | NpmInfo) -> tuple[ProgramRuntime, ...]:
    """The runtimes of an environment, with paths as the sandbox has them."""
    if isinstance(environment, NpmInfo):
        node = environment.node.node
        executable = str(_inside(node.parent) / node.name)
        return node_runtimes(executable, str(_inside(environment.root)), environment.libraries)
    python = _inside(environment.root) / environment.python.relative_to(environment.root)
    return (PythonRuntime(str(python), environment.version),)


class BubblewrapLauncher:
    """Starts supervisors inside bubblewrap."""

    tier = "bubblewrap"
    guarantees: tuple[str, ...] = GUARANTEES

    def __init__(
        self, environment: VenvInfo | NpmInfo, runtimes: Sequence[CommandRuntime] = ()
    ) -> None:
        """`environment` is that of the programs, `runtimes` are other languages.

        Raises:
            SandboxUnavailableError: bubblewrap does not work here, or cannot show a Python.
        """
        reason = reason_against()
        if reason:
            raise SandboxUnavailableError(reason)
        own = find_interpreter()
        python = [] if isinstance(environment, NpmInfo) else [environment.base_prefix]
        elsewhere = [Path(folder) for runtime in runtimes for folder in runtime.folders]
        for prefix in (*python, Path(own.prefix), *elsewhere):
            if prefix.resolve().is_relative_to(_WORK):
                # An interpreter must find its files at their own path.
                raise SandboxUnavailableError(
                    f"the Python in {prefix} lies under {_WORK}, which bubblewrap hides; "
                    "use a Python installed elsewhere"
                )
        self._runtimes = configs(*_of_environment(environment), *runtimes)
        self._interpreter = [str(own.path)]
        prefixes = dict.fromkeys((*python, Path(own.prefix)))
        self._prefixes = [one for one in prefixes if not one.resolve().is_relative_to("/usr")]
        folders = [environment.root, *elsewhere]
        if isinstance(environment, NpmInfo):
            folders.append(environment.node.node.parent)
        self._folders = list(dict.fromkeys(folders))
        self._users = UserIds()

    def launch(self, slot: int) -> tuple[Link, dict[str, Any]]:
        """Start the supervisor of a slot."""
        supervisor = supervisor_folder().resolve()
        command = [
            *_namespaces(shutil.which("bwrap") or "bwrap"),
            *_files(self._prefixes, [*self._folders, supervisor]),
            "--remount-ro", "/",
            "--chdir", _WORK, "--",
            *supervisor_command(self._interpreter, str(_inside(supervisor))),
        ]  # fmt: skip
        link = ProcessLink(command, clean_environment(_WORK), "/")
        as_root = os.getuid() == 0
        return link, {
            "tier": self.tier,
            "interpreter": isolated(self._interpreter),
            "runtimes": self._runtimes,
            "work": _WORK,
            "uid": self._users.of(slot) if as_root else None,
            "guard_uid": self._users.guard_of(slot),
            "uid_required": as_root,
            "own_disk": True,
            "own_shm": True,
            "shm_files": SHM_FILES,
            "disk_bytes": WORK_BYTES,  # its tmpfs limits bytes, but not files
            "disk_files": WORK_FILES,
        }

    def prepare(self, limits: Limits, link: Link) -> None:
        """Nothing to do: limits are set per program."""

    def provenance(self) -> Mapping[str, str]:
        """No image."""
        return {}

    def close(self) -> None:
        """Give the user ids back."""
        self._users.close()
