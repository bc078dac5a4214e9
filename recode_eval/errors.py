"""The one place that assigns blame: every error of this package is of one of the kinds below.

A *model's* failure is never an exception: it is a verdict in a record (a failed test, no code in
the answer). What is raised is the user's (`UsageError`), the data's (`DataError`), the machine's
(`InfrastructureError`), and each kind has its own exit code. Messages name the cause and the fix.
"""

from __future__ import annotations

import errno
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the commands (the upper ones are those of BSD's sysexits)."""

    OK = 0
    CHECK_FAILED = 1
    """The command worked and found something wrong (`validate`, `doctor`, `gate`)."""
    USAGE = 2
    INCONCLUSIVE = 3
    """`gate`: the samples do not decide."""
    INVALID = 4
    """`gate`: the runs cannot be compared."""
    DATA = 65
    UNAVAILABLE = 69
    """A needed resource is unavailable: a sandbox, a server, the hub, a GPU."""
    INTERNAL = 70
    IO = 74
    INCOMPLETE = 75
    """The run ended, but some samples could not be graded; the same command tries them again."""
    INTERRUPTED = 130


class RecodeError(Exception):
    """Base class; `str()` of it is one line for the user, without a traceback."""

    exit_code = ExitCode.INTERNAL


class UsageError(RecodeError):
    """A request of the user names something that does not exist, or options that do not fit."""

    exit_code = ExitCode.USAGE


class DataError(RecodeError):
    """A row, a file or a record violates its schema."""

    exit_code = ExitCode.DATA


class InfrastructureError(RecodeError):
    """The machine, a daemon, a server or the network failed; never a failure of the model."""

    exit_code = ExitCode.UNAVAILABLE


class StorageError(InfrastructureError):
    """The disk is full or a results file cannot be written or read."""

    exit_code = ExitCode.IO


def is_disk_trouble(error: BaseException) -> bool:
    """Return whether a system error means that the disk is full, over quota or read-only.

    Code that catches everything (a library's errors have no common class) lets these through; the
    command line's last boundary names the file and the fix.
    """
    full = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
    return isinstance(error, OSError) and error.errno in full
