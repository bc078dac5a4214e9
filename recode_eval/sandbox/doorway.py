"""A local socket for talking to a container's supervisor.

What is said over the stream that Docker attaches to a container passes through the daemon and its
shim, which costs them about 0.6 ms of CPU time per program and delays every answer. A socket in a
folder that the container sees does not. It exists until the supervisor has called, a moment after
the start; then its name and the folder are removed, so that nobody else can use it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from pathlib import Path

from recode_eval.sandbox.local import WORK_PREFIX

INSIDE = "/run/recode-eval"
"""Where the container sees the folder."""
_SOCKET = "supervisor"


class Doorway:
    """Waits for one caller."""

    def __init__(self) -> None:
        """Make the socket. Raises `OSError` (a full disk, a TMPDIR with too long a name)."""
        # Closed to other users; what is in it must be open to the user of the container, which may
        # have another number here. Named so that the sweep of killed evaluators' folders finds it.
        self._folder = Path(tempfile.mkdtemp(prefix=f"{WORK_PREFIX}{os.getpid()}-"))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self.shared = self._folder / "shared"
            self.shared.mkdir()
            self.shared.chmod(0o755)
            path = self.shared / _SOCKET
            self._listener.bind(str(path))
            path.chmod(0o666)
            self._listener.listen(1)
            self._listener.setblocking(False)
        except BaseException:
            self.close()
            raise

    @property
    def inside(self) -> str:
        """The path of the socket in a container that has `shared` mounted on `INSIDE`."""
        return f"{INSIDE}/{_SOCKET}"

    def fileno(self) -> int:
        """Ready for reading when somebody calls; -1 when closed."""
        return self._listener.fileno()

    def accept(self) -> socket.socket | None:
        """Accept one connection, then close the listener; `None` if nobody has connected."""
        try:
            caller, _ = self._listener.accept()
        except OSError:
            return None
        caller.setblocking(False)
        self.close()
        return caller

    def close(self) -> None:
        """Remove everything. Idempotent."""
        with contextlib.suppress(OSError):
            self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)
