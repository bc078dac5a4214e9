"""The tier `landlock`, which needs no privilege and no other program."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.sandbox.base import SandboxUnavailableError
from recode_eval.sandbox.hidden import PACKAGE_FOLDERS, own_folders
from recode_eval.sandbox.interpreters import find_interpreter
from recode_eval.sandbox.local import (
    SHM_BYTES,
    SHM_FILES,
    WORK_BYTES,
    WORK_FILES,
    ProcessLink,
    WorkFolders,
    clean_environment,
    isolated,
    program_runtimes,
    supervisor_command,
    supervisor_folder,
)
from recode_eval.sandbox.runtimes import configs
from recode_eval.sandbox.users import UserIds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.sandbox.base import Limits
    from recode_eval.sandbox.runtimes import ProgramRuntime
    from recode_eval.sandbox.tier import TierRequest
    from recode_eval.sandbox.worker import Launcher, Link

GUARANTEES = (
    "programs read only the system's libraries and Python's own, nothing installed",
    "programs write only to their own folder, which is emptied after each of them",
    "no network and no other process can be reached (seccomp, Landlock)",
    "CPU time, memory and number of processes are limited per program",
)
FIX = "use Linux 5.13 or newer with Landlock switched on (kernel parameter lsm=)"
NO_GUARANTEES = ("NONE: programs run with all rights of this user; only their time is limited",)
PRIVATE_DISK = True
"""Try to give each worker a file system of its own; where that is refused, the disk is watched."""
_MACHINES = ("x86_64", "aarch64")


def reason_against() -> str | None:
    """Why Landlock cannot work here, or `None`."""
    if sys.platform != "linux":
        return f"Landlock exists on Linux only, this is {sys.platform}"
    if platform.machine() not in _MACHINES:
        return f"no system-call filter for {platform.machine()} (only {', '.join(_MACHINES)})"
    create_ruleset, ask_for_version = 444, 1
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(create_ruleset, None, ctypes.c_size_t(0), ctypes.c_uint32(ask_for_version)) < 1:
        return "this kernel offers no Landlock (Linux 5.13 with `landlock` among its LSMs)"
    return None


def create(request: TierRequest) -> Launcher:
    """Make the environment and return what starts supervisors in it; see `SandboxTier.create`."""
    reason = reason_against()
    if reason:
        raise SandboxUnavailableError(f"{reason}; {FIX}")
    return LandlockLauncher(program_runtimes(request))


class LandlockLauncher:
    """Starts supervisors that confine programs with Landlock, seccomp and limits; or not at all."""

    def __init__(self, runtimes: Sequence[ProgramRuntime], *, unsafe: bool = False) -> None:
        """`runtimes` run the programs; `unsafe` switches protection off."""
        reason = None if unsafe else reason_against()
        if reason:
            raise SandboxUnavailableError(reason)
        self.tier = "none" if unsafe else "landlock"
        self.guarantees: tuple[str, ...] = NO_GUARANTEES if unsafe else GUARANTEES
        self._runtimes = configs(*runtimes)
        self._interpreter = [str(find_interpreter().path)]
        self._folders = WorkFolders()
        self._users = UserIds() if os.getuid() == 0 else None

    def launch(self, slot: int) -> tuple[Link, dict[str, Any]]:
        """Start the supervisor of a slot."""
        work = str(self._folders.fresh(slot))
        link = ProcessLink(
            supervisor_command(self._interpreter, str(supervisor_folder())),
            clean_environment(work),
            work,
        )
        return link, {
            "tier": self.tier,
            "interpreter": isolated(self._interpreter),
            "runtimes": self._runtimes,
            "work": work,
            "remove_work": True,
            "private_disk": PRIVATE_DISK and self.tier == "landlock",
            "disk_bytes": WORK_BYTES,
            "disk_files": WORK_FILES,
            "shm_bytes": SHM_BYTES,
            "shm_files": SHM_FILES,
            "uid": None if self._users is None else self._users.of(slot),
            "guard_uid": None if self._users is None else self._users.guard_of(slot),
            "landlock_files": self.tier == "landlock",
            "packages": PACKAGE_FOLDERS,
            "hidden": [str(folder) for folder in own_folders()],
            "processes": 0 if self._users is not None else tasks_of_user(),
        }

    def prepare(self, limits: Limits, link: Link) -> None:
        """Nothing to do: limits are set per program."""

    def provenance(self) -> Mapping[str, str]:
        """No image."""
        return {}

    def close(self) -> None:
        """Remove the work folders and give the user ids back."""
        self._folders.close()
        if self._users is not None:
            self._users.close()


def tasks_of_user() -> int:
    """How many threads this user has now: the kernel's limit counts those, too."""
    total = 0
    for status in Path("/proc").glob("[0-9]*"):
        try:
            if status.stat().st_uid == os.getuid():
                total += len(os.listdir(status / "task"))  # noqa: PTH208
        except OSError:
            continue
    return total
