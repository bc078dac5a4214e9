"""One writer per folder: two trainings in one would mix their logs, and lose one of the results."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from recode_eval.errors import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LOCK = ".lock"


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Make the folder if needed, and hold it against other processes; a kill lets it go.

    Folders that were made here and are still empty when an error ends the block are removed.

    Raises:
        UsageError: another process writes there.
        StorageError: the folder cannot be made or locked.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(f"Cannot write {folder}: {error.strerror or error}.") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"Another process trains in {folder}. Wait until it ends, or choose another output "
                "folder (--out)."
            ) from None
        except OSError as error:
            raise StorageError(f"Cannot lock {folder}: {error.strerror or error}.") from error
        try:
            yield
        except BaseException:
            _remove_empty(folder, new)
            raise
    finally:
        os.close(handle)


def _remove_empty(folder: Path, new: Sequence[Path]) -> None:
    """Remove the folders of `new`, the inner before the outer, if only the lock is in them."""
    with contextlib.suppress(OSError):
        if new and [path.name for path in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
            for path in new:
                path.rmdir()
