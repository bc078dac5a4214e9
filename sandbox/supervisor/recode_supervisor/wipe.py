# No pathlib in here, it would cost start-up time.
# ruff: noqa: PTH101, PTH116
"""Empty the work directory between two programs, whatever the last one left in it."""

from __future__ import annotations

import contextlib
import os
import stat

from recode_program import linux

_WIPE_S = 60.0
"""The evaluator gives a supervisor that says nothing up after twice as long."""
_ROOM_BYTES = 16 << 20
_ROOM_FILES = 256


def is_empty(path: str, mode: int) -> bool:
    """True if the directory still has this mode and holds nothing."""
    try:
        if stat.S_IMODE(os.stat(path).st_mode) != mode or _attributes(path):
            return False
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def _attributes(path: str) -> list[str]:
    """Name the extended attributes and access lists that a program may have put on `path`."""
    try:
        names = os.listxattr(path)
    except OSError:  # this file system has none
        return []
    return [name for name in names if name.startswith(("user.", "system.posix_acl"))]


def has_room(path: str) -> bool:
    """True if programs can write there: what other processes put on the disk is not their fault."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return False
    if disk.f_files and disk.f_favail < _ROOM_FILES:  # some file systems do not count them
        return False
    return disk.f_bavail * disk.f_frsize >= _ROOM_BYTES


def mode_of(path: str) -> int:
    """The permissions of the directory, to be had again after each program."""
    return stat.S_IMODE(os.stat(path).st_mode)


def wipe(path: str, mode: int, uid: int | None, guard_uid: int | None = None) -> bool:
    """Empty the directory, as the user id that owns what is in it; return whether it is empty now.

    Runs in a process of its own: the supervisor may not have the right to read or delete those
    files, and a very deep tree or a huge directory must not hurt it.
    """
    if is_empty(path, mode):
        return True
    helper = os.fork()
    if helper == 0:
        try:
            if uid is not None:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                linux.become(uid, guard_uid)
            with contextlib.suppress(OSError):  # not its owner, so no program changed it
                for name in _attributes(path):
                    os.removexattr(path, name)
                os.chmod(path, mode)
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            _empty(handle)
        finally:
            os._exit(0)
    return linux.ends_within(helper, _WIPE_S) and is_empty(path, mode)


def _empty(handle: int) -> None:
    """Delete everything in the directory `handle`, without recursion and without long paths.

    Subdirectories are moved up into the top directory before they are emptied, so that a tree of
    any depth costs only one descriptor at a time.
    """
    counter = 0
    while True:
        with os.scandir(handle) as entries:
            names = [entry.name for entry in entries]
        if not names:
            return
        removed = 0
        for name in names:
            try:
                if stat.S_ISDIR(os.lstat(name, dir_fd=handle).st_mode):
                    counter = _flatten(handle, name, counter)
                    os.rmdir(name, dir_fd=handle)
                else:
                    os.unlink(name, dir_fd=handle)
                removed += 1
            except OSError:
                continue
        if not removed:
            return


def _flatten(top: int, name: str, counter: int) -> int:
    """Unlink the files in top/name and move its subdirectories to top; return the new counter."""
    with contextlib.suppress(OSError):
        os.chmod(name, 0o700, dir_fd=top)
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        with os.scandir(inner) as entries:
            children = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for child, is_directory in children:
            if is_directory:
                with contextlib.suppress(OSError):  # moving a directory writes to its ".."
                    os.chmod(child, 0o700, dir_fd=inner)
                while True:
                    counter += 1
                    target = f".{counter:x}"
                    try:
                        os.lstat(target, dir_fd=top)
                    except FileNotFoundError:
                        break
                os.rename(child, target, src_dir_fd=inner, dst_dir_fd=top)
            else:
                os.unlink(child, dir_fd=inner)
    finally:
        os.close(inner)
    return counter
