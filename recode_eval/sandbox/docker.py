"""The `docker` tier: one long-lived container per worker, over the daemon's own API."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.sandbox.base import Limits, SandboxUnavailableError
from recode_eval.sandbox.doorway import INSIDE, Doorway
from recode_eval.sandbox.local import (
    SHM_BYTES,
    SHM_FILES,
    WORK_BYTES,
    WORK_FILES,
    clean_environment,
    isolated,
    supervisor_command,
    sweep_work_folders,
)
from recode_eval.sandbox.runtimes import PythonRuntime, configs, node_runtimes
from recode_eval.sandbox.users import UserIds
from recode_eval.sandbox.worker import HopelessError, LinkLostError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docker import DockerClient

    from recode_eval.sandbox.environments import ImageInfo
    from recode_eval.sandbox.runtimes import CommandRuntime, ProgramRuntime
    from recode_eval.sandbox.tier import TierRequest
    from recode_eval.sandbox.worker import Launcher, Link

GUARANTEES = (
    "each worker is a container without network, on a read-only file system",
    "programs have a user id of their own, no capabilities, and a system-call filter",
    "all that a program leaves is removed before the next one",
    "CPU time, memory, processes, disk space and files are limited by the kernel",
)
FIX = (
    "install and start Docker (Debian/Ubuntu: apt-get install docker.io) and let this "
    "user use it (group docker)"
)
RUN_LABEL = "org.recode-eval.run"
_OWNER_LABEL = "org.recode-eval.owner"
_CALL_S = 60
_REMOVE_S = 15
_STOP_S = 5.0
_WORK = "/tmp"  # noqa: S108 - a tmpfs inside the container
_OWN_MEMORY = 3 << 30
"""What zygotes and the work directory may take beside the program's own memory."""
_MOST_PROCESSES = 512


def _client(timeout_s: int = _CALL_S) -> DockerClient:
    from recode_eval.sandbox.images import docker_client

    return docker_client(timeout_s)


def reason_against(timeout_s: int = 5) -> str | None:
    """Why Docker cannot be used here, or `None`. Never takes longer than a few seconds."""
    try:
        _client(timeout_s).close()
    except SandboxUnavailableError as error:
        return str(error)
    return None


def create(request: TierRequest) -> Launcher:
    """Build the image and return what starts containers of it; see `SandboxTier.create`."""
    from recode_eval.sandbox.environments import ensure_image

    image = ensure_image(request.environment, base_image=request.base_image, log=request.log)
    return DockerLauncher(image, request.runtimes)


class DockerLauncher:
    """Starts supervisors in containers."""

    tier = "docker"
    guarantees: tuple[str, ...] = GUARANTEES

    def __init__(self, image: ImageInfo, runtimes: Sequence[CommandRuntime] = ()) -> None:
        """`image` is ready to run. Containers that killed evaluators left are removed here."""
        self._image = image
        from recode_eval.sandbox.images import IMAGE_ENVIRONMENT, IMAGE_NODE

        own: tuple[ProgramRuntime, ...] = (PythonRuntime(image.python, image.version),)
        if image.node:
            own = node_runtimes(IMAGE_NODE, IMAGE_ENVIRONMENT, image.libraries)
        self._runtimes = configs(*own, *(runtime.for_images() for runtime in runtimes))
        self._run = secrets.token_hex(8)
        self._users = UserIds()
        sweep_work_folders()
        client = _client()
        try:
            sweep(client)
        finally:
            client.close()

    def launch(self, slot: int) -> tuple[Link, dict[str, Any]]:
        """Start the container of a slot."""
        link = ContainerLink(self._image, slot, self._run)
        return link, {
            "tier": self.tier,
            "interpreter": isolated(self._image.supervisor_python),
            "runtimes": self._runtimes,
            "work": _WORK,
            "uid": self._users.of(slot),
            "guard_uid": self._users.guard_of(slot),
            "uid_required": True,
            "own_disk": True,  # a tmpfs, whose bytes and files the kernel limits
            "own_shm": True,
            "channel": link.channel,
        }

    def prepare(self, limits: Limits, link: Link) -> None:
        """Give the container enough memory for the program."""
        assert isinstance(link, ContainerLink)
        link.need_memory(limits.memory_bytes)

    def provenance(self) -> Mapping[str, str]:
        """The image, by its tag and its content."""
        return {"image": self._image.tag, "image_digest": self._image.digest}

    def close(self) -> None:
        """Remove what is left of this run, should a container have escaped its link."""
        with contextlib.suppress(Exception):
            client = _client(10)
            for container in client.api.containers(
                all=True, quiet=True, filters={"label": f"{RUN_LABEL}={self._run}"}
            ):
                _remove(client, container["Id"])
            client.close()
        self._users.close()


class ContainerLink:
    """A container, the stream attached to it and, where there is one, a socket past the daemon."""

    def __init__(self, image: ImageInfo, slot: int, run: str) -> None:
        """Create, attach, start. Raises `SandboxUnavailableError`."""
        from docker.errors import DockerException, ImageNotFound
        from requests.exceptions import RequestException

        self._client = _client()
        self._lock = threading.Lock()
        self._stopped = False
        self._log = b""
        self._frames = _Frames()
        self._container: str | None = None
        self._memory = Limits().memory_bytes
        self._caller: socket.socket | None = None
        self._doorway = _doorway(self._client)
        try:
            try:
                self._start(image, slot, run)
            except DockerException as error:
                if self._doorway is None or isinstance(error, ImageNotFound):
                    raise
                # A daemon that does not see this machine's folders (it runs elsewhere, or this
                # process in a container of its own): the attached stream does.
                self._close_doorway()
                self._remove_container()
                self._start(image, slot, run)
        except ImageNotFound:
            self.stop()
            raise HopelessError(
                f"the image {image.tag} ({image.digest}) was removed; the same command rebuilds it "
                "and continues"
            ) from None
        except (DockerException, RequestException, OSError) as error:
            self.stop()
            raise SandboxUnavailableError(f"the container did not start: {error}") from None

    @property
    def channel(self) -> str:
        """Where the supervisor should call, in the container; empty: it answers where it is."""
        return "" if self._doorway is None else self._doorway.inside

    def _start(self, image: ImageInfo, slot: int, run: str) -> None:
        self._container = self._create(image, slot, run)
        # The object must stay: closing it would close the connection.
        self._stream = self._client.api.attach_socket(
            self._container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        )
        self._socket: socket.socket = getattr(self._stream, "_sock", self._stream)
        self._socket.setblocking(False)
        self._client.api.start(self._container)

    def _remove_container(self) -> None:
        if self._container is not None:
            _remove(self._client, self._container)

    def _close_doorway(self) -> None:
        doorway, self._doorway = self._doorway, None
        if doorway is not None:
            doorway.close()

    def _create(self, image: ImageInfo, slot: int, run: str) -> str:
        from docker.types import LogConfig, Mount

        api = self._client.api
        memory = self._memory + _OWN_MEMORY
        host = api.create_host_config(
            auto_remove=True,
            network_mode="none",
            ipc_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            cap_add=["SETUID", "SETGID", "KILL"],
            security_opt=["no-new-privileges"],
            pids_limit=_MOST_PROCESSES,
            mem_limit=memory,
            memswap_limit=memory,
            tmpfs={
                # As on the other tiers, a script that a program wrote can be started.
                _WORK: f"rw,nosuid,nodev,exec,size={WORK_BYTES},nr_inodes={WORK_FILES}",
                "/dev/shm": f"rw,nosuid,nodev,noexec,size={SHM_BYTES},nr_inodes={SHM_FILES}",  # noqa: S108
                "/dev/mqueue": "ro,nosuid,nodev,noexec,size=4k",
            },
            mounts=[]
            if self._doorway is None
            else [Mount(INSIDE, str(self._doorway.shared), type="bind", read_only=True)],
            log_config=LogConfig(type="none"),
            oom_score_adj=200,
        )
        created = api.create_container(
            image.digest,  # which stays while a container uses it, and is what the run records
            entrypoint=supervisor_command(image.supervisor_python, image.supervisor),
            command=[],
            user="0:0",
            environment=clean_environment(_WORK),
            working_dir="/",
            stop_signal="SIGKILL",  # a daemon that shuts down need not wait for it
            stdin_open=True,
            host_config=host,
            labels={RUN_LABEL: run, _OWNER_LABEL: _owner()},
            name=f"recode-eval-{run}-{slot}-{secrets.token_hex(3)}",
        )
        return str(created["Id"])

    def need_memory(self, memory_bytes: int) -> None:
        """Raise the container's memory limit if a program may use more than it allows."""
        if memory_bytes <= self._memory or self._container is None:
            return
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        total = memory_bytes + _OWN_MEMORY
        try:
            self._client.api.update_container(self._container, mem_limit=total, memswap_limit=total)
        except (DockerException, RequestException, OSError) as error:
            raise LinkLostError(f"the container's memory cannot be raised: {error}") from None
        self._memory = memory_bytes

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send everything."""
        view = memoryview(data)
        deadline = time.monotonic() + timeout_s
        target = self._caller or self._socket
        while view:
            if self._stopped:
                raise LinkLostError("the container was stopped")
            try:
                view = view[target.send(view) :]
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LinkLostError("the supervisor does not listen") from None
                select.select([], [target], [], 1.0)
            except (OSError, ValueError):
                raise LinkLostError("the connection to the container broke") from None

    def read(self, timeout_s: float) -> bytes:
        """Return the next bytes from the supervisor."""
        deadline = time.monotonic() + timeout_s
        while True:
            if self._caller is None and (data := self._heard()):
                return data
            if self._stopped:
                raise LinkLostError("the container was stopped")
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise LinkLostError(f"the supervisor said nothing for {timeout_s:g} s")
            try:
                received = self._receive(remaining)
            except BlockingIOError:
                continue
            except (OSError, ValueError):
                received = b""
            if not received:
                raise LinkLostError(f"the container ended{self._why()}")
            if self._caller is not None:
                return received
            self._frames.feed(received)

    def _receive(self, timeout_s: float) -> bytes:
        """The next bytes, or a caller's arrival. Raises `BlockingIOError` if there are none yet."""
        source, doorway = self._caller or self._socket, self._doorway
        poll = select.poll()
        poll.register(source, select.POLLIN)
        if doorway is not None:
            poll.register(doorway, select.POLLIN)
        ready = {handle for handle, _ in poll.poll(timeout_s * 1000)}
        if doorway is not None and doorway.fileno() in ready:
            with self._lock:  # `stop` must not miss the caller
                if not self._stopped:
                    self._caller = doorway.accept()
            self._close_doorway()
        elif source.fileno() in ready:
            return source.recv(1 << 20)
        raise BlockingIOError

    def _heard(self) -> bytes:
        """What came over the attached stream."""
        data, said = self._frames.take()
        self._log = (self._log + said)[-2000:]
        if data:
            self._close_doorway()  # it could not call
        return data

    def _why(self) -> str:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            while self._caller is not None and (received := self._socket.recv(1 << 16)):
                self._frames.feed(received)
        self._heard()
        text = " ".join(self._log.decode("utf-8", "replace").split())
        return f" ({text})" if text else ""

    def stop(self) -> str:
        """Remove the container; return the end of what it wrote to standard error."""
        with self._lock:
            if self._stopped:
                return self._why()
            self._stopped = True
        for one in (self._caller, getattr(self, "_socket", None)):
            if one is not None:
                with contextlib.suppress(OSError):
                    # The supervisor ends with its input; whoever reads wakes up.
                    one.shutdown(socket.SHUT_RDWR)
        self._client.api.timeout = _REMOVE_S
        self._remove_container()
        self._close_doorway()
        with contextlib.suppress(Exception):
            self._client.close()
        return self._why()


def _doorway(client: DockerClient) -> Doorway | None:
    """A socket that bypasses this machine's daemon; `None` if it is remote or this fails."""
    if client.api.base_url != "http+docker://localhost":  # the client's name for a Unix socket
        return None
    try:
        return Doorway()
    except OSError:
        return None


class _Frames:
    """Docker's multiplexed stream: frames of stdout (1) and stderr (2)."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> None:
        self._pending += data

    def take(self) -> tuple[bytes, bytes]:
        """What arrived completely: (stdout, stderr)."""
        out: list[bytes] = []
        err: list[bytes] = []
        while len(self._pending) >= 8:
            kind, length = struct.unpack_from(">BxxxL", self._pending)
            if len(self._pending) < 8 + length:
                break
            (err if kind == 2 else out).append(self._pending[8 : 8 + length])
            self._pending = self._pending[8 + length :]
        return b"".join(out), b"".join(err)


def _remove(client: DockerClient, container: str) -> None:
    """Remove a container, running or not; ignore a missing one."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    deadline = time.monotonic() + _STOP_S
    while True:
        try:
            client.api.remove_container(container, force=True, v=True)
        except APIError as error:
            code = getattr(error.response, "status_code", 0)
            if code == 409 and time.monotonic() < deadline:  # its own auto-removal is under way
                time.sleep(0.05)
                continue
        except (DockerException, RequestException, OSError):
            pass
        return


def _owner() -> str:
    """Names this process for good: the boot, the pid and when it started."""
    return f"{_boot()} {os.getpid()} {_started(os.getpid())}"


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return "unknown"


def _started(pid: int) -> str:
    """Return when a process started (clock ticks since boot); empty if it does not exist."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    return ""


def sweep(client: DockerClient) -> int:
    """Remove the containers of evaluators that no longer live; return how many.

    Only those of this boot of this machine are graded: with a remote daemon, others may be alive.
    """
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    removed = 0
    try:
        found = client.api.containers(all=True, filters={"label": RUN_LABEL})
    except (DockerException, RequestException):
        return 0
    for container in found:
        owner = str(container.get("Labels", {}).get(_OWNER_LABEL, "")).split()
        if len(owner) != 3 or owner[0] != _boot():
            continue
        if _started(int(owner[1])) != owner[2]:
            _remove(client, container["Id"])
            removed += 1
    return removed
