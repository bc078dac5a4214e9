"""Docker daemons that tests may kill, restart and hang: none of them is the machine's own."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recode_eval.sandbox.environments import ImageInfo

_START_S = 60.0


class SecondDaemon:
    """A dockerd with its own containerd, sockets and data below one temporary folder."""

    def __init__(self) -> None:
        # Not pytest's folder: the path of a socket must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="rd-", dir="/tmp"))
        self.url = f"unix://{self.folder}/docker.sock"
        self._containerd = self._run(
            "containerd",
            "--config=/dev/null",
            f"--root={self.folder}/containerd",
            f"--state={self.folder}/state",
            f"--address={self.folder}/c.sock",
        )
        self._dockerd: subprocess.Popen[bytes] | None = None

    @staticmethod
    def reason_against() -> str | None:
        if os.getuid() != 0:
            return "a second Docker daemon needs root"
        missing = [name for name in ("dockerd", "containerd", "docker") if not shutil.which(name)]
        return f"not installed here: {', '.join(missing)}" if missing else None

    def start(self) -> None:
        """Start (again) and wait until it answers."""
        (self.folder / "none.json").write_text("{}")
        self._dockerd = self._run(
            "dockerd",
            f"--config-file={self.folder}/none.json",
            f"--containerd={self.folder}/c.sock",
            f"--data-root={self.folder}/data",
            f"--exec-root={self.folder}/exec",
            f"--pidfile={self.folder}/docker.pid",
            f"--host={self.url}",
            *("--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"),
        )
        deadline = time.monotonic() + _START_S
        while self.docker("version", check=False).returncode:
            if time.monotonic() > deadline or self._dockerd.poll() is not None:
                raise RuntimeError((self.folder / "dockerd.log").read_text()[-2000:])
            time.sleep(0.2)

    def end(self, number: signal.Signals) -> None:
        """End the daemon with a signal; its containerd lives on."""
        assert self._dockerd is not None
        self._dockerd.send_signal(number)
        self._dockerd.wait(60)

    def load(self, image: ImageInfo) -> None:
        """Copy an image from the machine's daemon; the second time from the first copy."""
        copy = self.folder / f"{image.digest.partition(':')[2]}.tar"
        if not copy.exists():
            subprocess.run(["docker", "save", "-o", copy, image.tag], check=True, timeout=300)
        self.docker("load", "-i", str(copy))

    def docker(
        self, *words: str, check: bool = True, **options: object
    ) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["docker", "-H", self.url, *words], capture_output=True, text=True, check=check,
            timeout=120, **options,
        )  # fmt: skip

    def containers(self) -> list[str]:
        return self.docker("ps", "-aq").stdout.split()

    def processes(self) -> list[int]:
        """Shims of this daemon and everything in their containers."""
        shims = [pid for pid in _pids() if f"{self.folder}/c.sock" in _command(pid, "shim")]
        found = list(shims)
        for pid in found:
            found += children(pid)
        return found

    def inside(self) -> list[int]:
        """The processes in containers: without a daemon, nobody tells the shims to end."""
        return [pid for pid in self.processes() if not _command(pid, "shim")]

    def close(self) -> None:
        if self._dockerd is not None and self._dockerd.poll() is None:
            self.end(signal.SIGTERM)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._containerd.terminate()
        self._containerd.wait(30)
        mounts = Path("/proc/self/mounts").read_text().split("\n")
        for path in sorted(
            (line.split()[1] for line in mounts if str(self.folder) in line), reverse=True
        ):
            subprocess.run(["umount", "-l", path], check=False)
        shutil.rmtree(self.folder)

    def _run(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                [program, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip


class Proxy:
    """A socket in front of a daemon that can freeze: it accepts, takes all, and answers nothing."""

    def __init__(self, folder: Path, backend: str | None) -> None:
        """`backend`: the path of the daemon's socket; without one it is frozen from the start."""
        self._path = folder / "proxy.sock"
        self.url = f"unix://{self._path}"
        self._backend = backend
        self.frozen = threading.Event()
        if backend is None:
            self.frozen.set()
        self._closed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        """Both ways, half-closing included; while frozen, nothing passes."""
        if self._backend is None:
            return
        with socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(self._backend)
            other = {client: server, server: client}
            reading = [client, server]
            while reading and not self._closed.is_set():
                ready, _, _ = select.select(reading, [], [], 0.1)
                while self.frozen.is_set() and not self._closed.wait(0.1):
                    pass
                for one in ready:
                    data = one.recv(1 << 16)
                    if data:
                        other[one].sendall(data)
                    else:
                        reading.remove(one)
                        other[one].shutdown(socket.SHUT_WR)
            if self._closed.is_set():
                return
        client.close()

    def close(self) -> None:
        self._closed.set()
        self._listener.close()
        for client in self._open:
            client.close()
        self._path.unlink()


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _command(pid: int, name: str) -> str:
    try:
        text = (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""
    return text if name in text.split(" ")[0] else ""


def children(pid: int) -> list[int]:
    """The processes that a process started and has not collected yet; none if it has ended.

    A thread that ends while its siblings are read hands its children on to one of them, so that
    they could be missed, or counted twice: the reading starts again then.
    """
    tasks = Path(f"/proc/{pid}/task")
    while tasks.exists():
        try:
            return [
                int(child)
                for task in tasks.iterdir()
                for child in (task / "children").read_text().split()
            ]
        except OSError:
            continue
    return []
