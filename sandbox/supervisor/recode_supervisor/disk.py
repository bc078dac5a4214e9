# No pathlib in here, it would cost start-up time.
# ruff: noqa: PTH120
"""The disk below the work directory: a private one where possible, and what programs hold there.

A file may be deleted and still be open, mapped, or on its way through a socket: then no folder
names it, and no list of descriptors finds it for certain. Only the file system knows. On a private
one its counters are the program's own. On a shared one they only raise a suspicion: whether the
space is the program's shows when the program is killed, since then it comes free.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_program import linux

from recode_supervisor import usage, wipe

if TYPE_CHECKING:
    from collections.abc import Callable

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND = 2, 4, 8, 1 << 12
_MS_REC, _MS_PRIVATE = 1 << 14, 1 << 18
SHM, TMP = "/dev/shm", "/tmp"  # noqa: S108 - private ones
_MNT_DETACH = 2
OWN_TASKS = 12
"""Supervisor, spawners, zygotes and a helper: what a user namespace of our own counts at most."""
_LOCK_S = 5.0
_SETTLE_S = 0.5
"""How long a file system may take to count as free what is free."""
_FREEING_S = 10.0
"""How long to wait for the space of a program that is dead: freeing much takes the kernel time."""
_COMMIT_S = 20.0
_STRIKES = 2
_MOST_ACQUITTALS = 6


def private(work: str, size: int, files: int, *, as_root: bool) -> bool:
    """Mount a limited tmpfs on `work`, seen by this process and its descendants alone.

    As root that takes nothing else; without its rights, a user namespace, in which this process
    then has all capabilities. Returns False where the machine does not allow it. Tried in a fork
    first: what half succeeds there leaves nothing behind here.
    """
    probe = os.fork()
    if probe == 0:
        status = 1
        with contextlib.suppress(BaseException):
            _mount(work, size, files, as_root=as_root)
            status = 0
        os._exit(status)
    if os.waitpid(probe, 0)[1]:
        return False
    _mount(work, size, files, as_root=as_root)
    return True


def private_shm(size: int, files: int) -> bool:
    """Mount a tmpfs on `/dev/shm`, once `private` has worked; False where there is no such folder.

    The kernel and the C library want shared memory and semaphores there, and nowhere else.
    """
    options = f"size={size},nr_inodes={files},mode=1777".encode()
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    return not linux.LIBC.mount(b"tmpfs", os.fsencode(SHM), b"tmpfs", flags, options)


def show_as_tmp(work: str) -> bool:
    """Let `/tmp` be the private disk that is mounted on `work`; False where the kernel refuses."""
    bind = ctypes.c_ulong(_MS_BIND)
    if linux.LIBC.mount(os.fsencode(work), os.fsencode(TMP), None, bind, None):
        return False
    os.chdir(TMP)
    return True


def unmount(folder: str) -> None:
    """Take what `private` or `show_as_tmp` mounted on the folder away, if there is anything."""
    os.chdir("/")
    linux.LIBC.umount2(os.fsencode(folder), ctypes.c_int(_MNT_DETACH))


def _mount(work: str, size: int, files: int, *, as_root: bool) -> None:
    user, group, mode = os.getuid(), os.getgid(), os.stat(work).st_mode & 0o7777  # noqa: PTH116
    _checked(linux.LIBC.unshare(_CLONE_NEWNS | (0 if as_root else _CLONE_NEWUSER)))
    if not as_root:
        linux.prctl(linux.PR_SET_DUMPABLE, 1)  # else these files are root's; no program runs yet
        _write("setgroups", "deny")
        _write("gid_map", f"{group} {group} 1")
        _write("uid_map", f"{user} {user} 1")
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
    mount = linux.LIBC.mount
    _checked(mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None))
    options = f"size={size},nr_inodes={files},mode={mode:o},uid={user},gid={group}".encode()
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV)
    _checked(mount(b"tmpfs", os.fsencode(work), b"tmpfs", flags, options))
    os.chdir(work)


def _write(name: str, text: str) -> None:
    handle = os.open(f"/proc/self/{name}", os.O_WRONLY)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), "the private disk was refused")


@dataclass(frozen=True)
class DiskLevel:
    """What a file system holds."""

    used: int
    files: int

    def __sub__(self, other: DiskLevel) -> DiskLevel:
        """How much more there is, of both."""
        return DiskLevel(self.used - other.used, self.files - other.files)


def _more(level: DiskLevel, limit: DiskLevel) -> bool:
    return level.used > limit.used or level.files > limit.files


def level(path: str) -> DiskLevel:
    """Read the counters of the file system below `path`; deleted files that are open count."""
    found = os.statvfs(path)
    return DiskLevel(
        (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree
    )


class Disk:
    """Watches what the programs of one worker hold, within a limit of bytes and of files.

    `own` says that the file system is the worker's alone. Limits of 0 switch the watch off. `shm`
    is the folder of shared memory, on another file system of its own; empty: programs have none.
    """

    def __init__(
        self,
        work: str,
        most_bytes: int,
        most_files: int,
        *,
        own: bool,
        shm: str = "",
        shm_files: int = 0,
    ) -> None:
        self._work = work
        self._shm = shm
        self._shm_files = shm_files
        self._limit = DiskLevel(most_bytes, most_files)
        self._own = own
        self._empty = level(work)
        self._allowed = self._limit
        self._strikes = self._acquittals = 0
        self._lock = -1
        self._before = self._suspected = self._empty

    def has_room(self, tick: Callable[[], None]) -> bool:
        """True if programs can write; waits for what the last one held to come free."""
        if self._room():
            return True
        deadline = time.monotonic() + _FREEING_S
        for commit in (False, True):
            if commit:
                self._commit(tick)
            until = deadline if commit else time.monotonic() + _SETTLE_S
            while not self._room():
                # The kernel looks for files that are lost in sockets when a socket is closed.
                for one in socket.socketpair():
                    one.close()
                if time.monotonic() > until:
                    break
                tick()
                time.sleep(0.01)
            else:
                return True
        return False

    def _room(self) -> bool:
        return wipe.has_room(self._work) and (not self._shm or wipe.has_room(self._shm))

    def new_program(self) -> None:
        """Another program: what was suspected of the last one is forgotten."""
        self._allowed = self._limit
        self._strikes = self._acquittals = 0

    def new_execution(self) -> None:
        """The work directory is empty now."""
        if self._limit.used and not self._own:
            self._empty = level(self._work)

    def shared_memory(self) -> int:
        """Bytes in the folder of shared memory: those that no process has mapped, too."""
        return level(self._shm).used if self._shm else 0

    def full(self) -> bool:
        """True if the program certainly holds more than allowed."""
        if self._shm_files and level(self._shm).files > self._shm_files:
            return True
        limit = self._limit
        if not limit.used:
            return False
        if self._own and self._empty.files:  # a tmpfs may be told not to count files
            return _more(self._growth(), limit)
        used, entries = usage.disk_usage(self._work, limit.files)
        return used > limit.used or entries > limit.files

    def suspicious(self) -> bool:
        """True if more than allowed has gone from a disk on which others write as well."""
        return bool(self._limit.used) and not self._own and _more(self._growth(), self._allowed)

    def _growth(self) -> DiskLevel:
        now = level(self._work)
        # What others delete must not hide what is written.
        self._empty = DiskLevel(min(now.used, self._empty.used), min(now.files, self._empty.files))
        return now - self._empty

    def investigate(self, tick: Callable[[], None]) -> bool:
        """Look again while no other worker's space comes free; return whether it is suspicious yet.

        If so, the program must be killed and its directory emptied, and then `convicts` called.
        """
        self._take_turn(tick)
        self._before = level(self._work)
        self._suspected = self._growth()
        if _more(self._suspected, self._allowed):
            return True
        self._release()
        return False

    def _take_turn(self, tick: Callable[[], None]) -> None:
        """Wait until no other worker investigates; after a while go on without: two runs decide."""
        # A lock on the folder for temporary files, which evaluators share and no program can open.
        with contextlib.suppress(OSError):
            self._lock = os.open(os.path.dirname(os.path.dirname(self._work)), os.O_RDONLY)
            deadline = time.monotonic() + _LOCK_S
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                tick()
                time.sleep(0.01)

    def convicts(self, tick: Callable[[], None]) -> bool:
        """After killing and emptying: True if the space was the program's, twice in two runs.

        Twice, because on a shared disk other space may come free in the very same moment. After an
        acquittal, more may go before there is suspicion again: twice what others have taken.

        Raises:
            OSError: others fill the disk so fast that nothing can be said about the program.
        """
        held = self._came_free(_SETTLE_S, tick)
        if not _more(held, self._limit):
            self._commit(tick)
            held = self._came_free(0.0, tick)
        self._release()
        if _more(held, self._limit):
            self._strikes += 1
            return self._strikes >= _STRIKES
        self._acquittals += 1
        if self._acquittals > _MOST_ACQUITTALS:
            raise OSError(errno.ENOSPC, "others fill the disk of the work directory")
        others, limit = self._suspected - held, self._limit
        self._allowed = DiskLevel(
            limit.used + 2 * max(0, others.used), limit.files + 2 * max(0, others.files)
        )
        return False

    def _came_free(self, seconds: float, tick: Callable[[], None]) -> DiskLevel:
        """How much came free since the suspicion; waits until it is enough, or for so long."""
        deadline = time.monotonic() + seconds
        while not _more(held := self._before - level(self._work), self._limit):
            if time.monotonic() >= deadline:
                break
            tick()
            time.sleep(0.01)
        return held

    def _commit(self, tick: Callable[[], None]) -> None:
        """Have the file system write down what it knows: Btrfs counts nothing as free before.

        In a fork, since a slow disk with much to write can take minutes.
        """
        helper = os.fork()
        if helper == 0:
            with contextlib.suppress(BaseException):
                linux.LIBC.syncfs(os.open(self._work, os.O_RDONLY))
            os._exit(0)
        deadline = time.monotonic() + _COMMIT_S
        while not os.waitpid(helper, os.WNOHANG)[0] and time.monotonic() < deadline:
            tick()
            time.sleep(0.01)

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
