"""Writing a file whole or not at all, and finding out beforehand whether it can be written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from typing import TYPE_CHECKING

from recode_eval.errors import StorageError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, content: str | bytes) -> None:
    """Replace a file by text (UTF-8, line ends as they are) or bytes.

    Raises `OSError`, and the old file stays.

    Two processes may write the same file: each has a draft of its own, and the last one counts.
    """
    draft = path.parent / f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp"
    try:
        with draft.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def lock_folder(folder: Path) -> int:
    """Return the descriptor of a folder's lock, which the process holds until it is closed.

    Raises:
        UsageError: another process has it.
        OSError: the lock file cannot be made.
    """
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise
        raise UsageError(
            f"Another process is writing to {folder}. Wait until it ends, or choose another --out."
        ) from None
    return descriptor


def check_file_place(path: Path) -> None:
    """Make sure that a file can be written there, before the work whose result it is to hold.

    Raises:
        UsageError: the path is a folder, or lies below a file.
        StorageError: its folder cannot be written to.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it.")
    check_folder_place(path.parent)


def check_folder_place(folder: Path) -> None:
    """Make sure that a folder can be made or written to; errors are those of `check_file_place`."""
    place = next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))
    if not place.is_dir():
        raise UsageError(f"{place} is not a folder, so nothing can be written below it.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise StorageError(f"Cannot write to {place}; check its permissions or name another place.")
