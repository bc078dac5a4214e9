"""Resources of the evaluator's machine that no program may reach, and checks for touches.

The attacks learn where they are (`bait`), so that nothing depends on their finding them. All
are made for the test and worthless: an attack that gets through does no harm.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

BAIT_KEYS = 0x60
"""The upper byte of the keys of its System V objects."""
VARIABLE = "RECODE_ATTACK_BAIT"
"""An environment variable of the evaluator."""
_CONTENT = "the bait of recode-attack\n"
_IPC_CREATE, _IPC_EXCLUSIVE, _IPC_REMOVE = 0o1000, 0o2000, 0


def own_mark() -> str:
    """How the names of this process's bait begin."""
    return f"recode-attack-bait-{os.getpid()}-"


class Bait:
    """A context manager that lays out the bait and removes it.

    Enter it before the sandbox is opened: the sandbox must not pass the variable on.
    """

    def __enter__(self) -> Bait:
        """Make files, a folder, sockets, shared memory, a process and an environment variable."""
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._lay_files(stack)
            self._listen(stack)
            self._segment(stack)
            self._start_process()
            stack.callback(self._end_process)
            os.environ[VARIABLE] = "1"
            stack.callback(os.environ.pop, VARIABLE, None)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Take everything away."""
        self._stack.close()

    def _lay_files(self, stack: contextlib.ExitStack) -> None:
        self._root = Path(tempfile.mkdtemp(prefix=own_mark()))
        stack.callback(shutil.rmtree, self._root, ignore_errors=True)
        self._root.chmod(0o755)
        folder = self._root / "private"
        folder.mkdir(mode=0o700)
        self._shared_memory = Path(f"/dev/shm/{own_mark()}{secrets.token_hex(6)}")  # noqa: S108
        stack.callback(self._shared_memory.unlink, missing_ok=True)
        self._files = {self._root / "public": 0o666, folder / "file": 0o600}
        for file, mode in self._files.items():
            _write(file, mode)
        with contextlib.suppress(OSError):  # not every machine has such a folder
            _write(self._shared_memory, 0o666)
            self._files[self._shared_memory] = 0o666
        self._writable = self._root / "writable"
        self._writable.mkdir()
        self._writable.chmod(0o1777)

    def _listen(self, stack: contextlib.ExitStack) -> None:
        self._abstract = f"{own_mark()}{secrets.token_hex(6)}"
        self._unix = self._root / "socket"
        self._tcp = stack.enter_context(socket.socket())
        self._tcp.bind(("127.0.0.1", 0))
        self._udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        self._udp.bind(("127.0.0.1", 0))
        at_path = stack.enter_context(socket.socket(socket.AF_UNIX))
        at_path.bind(str(self._unix))
        self._unix.chmod(0o777)
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0{self._abstract}")
        self._listeners = {
            "a TCP port": self._tcp,
            "a Unix socket": at_path,
            "an abstract Unix socket": abstract,
        }
        self._receivers = {"a UDP port": self._udp}
        for name, address in (
            ("a Unix datagram socket", f"{self._unix}-datagram"),
            ("an abstract Unix datagram socket", f"\0{self._abstract}-datagram"),
        ):
            receiver = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            receiver.bind(address)
            self._receivers[name] = receiver
        Path(f"{self._unix}-datagram").chmod(0o777)
        for receiver in self._receivers.values():
            receiver.setblocking(False)
        for listener in self._listeners.values():
            listener.setblocking(False)
            listener.listen(64)

    def _segment(self, stack: contextlib.ExitStack) -> None:
        """A System V shared memory segment; without one where the kernel has none."""
        self._key = BAIT_KEYS << 24 | secrets.randbits(24)
        libc = ctypes.CDLL(None, use_errno=True)
        flags = _IPC_CREATE | _IPC_EXCLUSIVE | 0o666
        segment = libc.shmget(ctypes.c_int(self._key), ctypes.c_size_t(4096), flags)
        if segment >= 0:
            stack.callback(libc.shmctl, segment, _IPC_REMOVE, None)

    def _start_process(self) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", "read line"],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env={"PATH": "/usr/bin:/bin", VARIABLE: "1"},
        )

    def _end_process(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    @property
    def pid(self) -> int:
        """The process that no program may see or signal."""
        return self._process.pid

    def module(self) -> dict[str, object]:
        """What `bait` offers to the attacks: names and what they stand for."""
        return {
            "FILES": [str(file) for file in self._files if file != self._shared_memory],
            "FOLDER": str(self._writable),
            "CONTENT": _CONTENT,
            "SHARED_MEMORY": str(self._shared_memory),
            "SYSV_KEY": self._key,
            "PORT": self._tcp.getsockname()[1],
            "UDP_PORT": self._udp.getsockname()[1],
            "UNIX_SOCKET": str(self._unix),
            "ABSTRACT_SOCKET": self._abstract,
            "PROCESS": self.pid,
            "VARIABLE": VARIABLE,
            "WORK_PREFIX": "recode-eval-work-",
        }

    def touched(self) -> list[str]:
        """What happened to the bait since the last call; one sentence each."""
        found = []
        for name, listener in self._listeners.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
                    found.append(f"a program connected to {name} of this machine")
        for name, receiver in self._receivers.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    receiver.recv(100)
                    found.append(f"a program sent a datagram to {name} of this machine")
        for path in sorted(self._writable.iterdir()):
            found.append(f"a program made the file {path.name!r} outside of the sandbox")
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        for file, mode in self._files.items():
            if not file.is_file() or _mode(file) != mode or file.read_text() != _CONTENT:
                found.append(f"a program changed or removed the file {file}")
                _write(file, mode)
        if self._process.poll() is not None:
            found.append("a program killed a process outside of the sandbox")
            self._end_process()
            self._start_process()
        return found


def _write(file: Path, mode: int) -> None:
    file.touch()
    file.chmod(mode)
    file.write_text(_CONTENT)


def _mode(file: Path) -> int:
    return file.stat().st_mode & 0o7777
