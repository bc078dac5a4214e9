"""Supervisors as processes of this machine: what the tiers without Docker have in common."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from recode_eval.resources import resource_dir
from recode_eval.sandbox.base import SandboxUnavailableError
from recode_eval.sandbox.runtimes import PythonRuntime, node_runtimes
from recode_eval.sandbox.worker import LinkLostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recode_eval.sandbox.runtimes import ProgramRuntime
    from recode_eval.sandbox.tier import TierRequest

_EXIT_S = 5.0
_LOG_BYTES = 2000
WORK_BYTES = 512 << 20
WORK_FILES = 20000
"""What programs may leave in their work folder while they run."""
SHM_BYTES = 256 << 20
SHM_FILES = 1024
"""What they may keep in `/dev/shm`: blocks of shared memory and semaphores."""
WORK_PREFIX = "recode-eval-work-"


def supervisor_folder() -> Path:
    """The folder to give to Python to start the supervisor."""
    return resource_dir("sandbox") / "supervisor"


def isolated(interpreter: Sequence[str]) -> list[str]:
    """The command line of a supervisor's interpreter: the standard library and nothing else."""
    return [*interpreter, "-I", "-S", "-B", "-X", "utf8"]


def supervisor_command(interpreter: Sequence[str], folder: str) -> list[str]:
    """The command line of a supervisor; nothing from the user's own Python settings gets in."""
    return [*isolated(interpreter), folder]


def program_runtimes(request: TierRequest) -> tuple[ProgramRuntime, ...]:
    """The runtimes of an environment on this machine, which is made first if need be.

    Raises:
        SandboxBuildError: it cannot be made.
    """
    from recode_eval.sandbox.environments import ensure_npm, ensure_venv

    if request.environment.npm is None:
        venv = ensure_venv(request.environment, log=request.log)
        return (PythonRuntime(str(venv.python), venv.version), *request.runtimes)
    npm = ensure_npm(request.environment, log=request.log)
    root, folder = str(npm.root), str(npm.node.node.parent)
    own = node_runtimes(str(npm.node.node), root, npm.libraries, (folder, root))
    return (*own, *request.runtimes)


def clean_environment(home: str) -> dict[str, str]:
    """The complete environment of a supervisor and its programs, without the user's secrets."""
    single = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": home,
        "TMPDIR": home,
        "USER": "program",  # no list of users has a program's user id
        "LOGNAME": "program",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        # The same arithmetic on every processor: with faster code paths, one reference solution of
        # CodeUpdateArena (a product written over its own operand) passes or hangs by CPU model.
        "MKL_CBWR": "COMPATIBLE",
        **dict.fromkeys(single, "1"),
    }


class WorkFolders:
    """One folder per slot for programs to write to; left-overs of killed runs are swept."""

    def __init__(self) -> None:
        sweep_work_folders()
        with _disk():
            self.root = Path(tempfile.mkdtemp(prefix=f"{WORK_PREFIX}{os.getpid()}-"))
            # A program may run under another user id, which must get through, but not look around.
            self.root.chmod(0o711)

    def fresh(self, slot: int) -> Path:
        """The folder of a slot, empty. Raises `SandboxUnavailableError`."""
        folder = self.root / str(slot)
        _remove(folder)
        with _disk():
            if not self.root.exists():  # the last supervisor that ended took it along
                self.root.mkdir(mode=0o711)
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def close(self) -> None:
        """Remove everything."""
        _remove(self.root)


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    """A disk error as this package's error."""
    try:
        yield
    except OSError as error:
        raise SandboxUnavailableError(
            f"{tempfile.gettempdir()} cannot be written to ({error.strerror}); free space, or set "
            "TMPDIR to another folder"
        ) from error


def _remove(folder: Path) -> None:
    """Delete a folder, also where a program closed folders below it to its own user."""
    for root, names, _ in os.walk(folder):
        for path in (Path(root, name) for name in names):
            if not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def sweep_work_folders() -> None:
    """Remove the work folders of evaluators that no longer live."""
    for folder in Path(tempfile.gettempdir()).glob(f"{WORK_PREFIX}*-*"):
        pid = folder.name[len(WORK_PREFIX) :].partition("-")[0]
        with contextlib.suppress(OSError, ValueError):
            if folder.stat().st_uid == os.getuid() and not Path(f"/proc/{int(pid)}").exists():
                _remove(folder)


class ProcessLink:
    """A supervisor behind two pipes."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
        """Start it. Raises `SandboxUnavailableError` if the command cannot be executed."""
        with _disk():
            self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop
        self._log_text = ""
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=dict(environment),
                cwd=folder,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for the evaluator, which closes in order
            )
        except OSError as error:
            self._log.close()
            raise SandboxUnavailableError(f"cannot start {command[0]}: {error}") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Own descriptors: `stop` may come from another thread than the one that reads and writes.
        self._in, self._out = (
            os.dup(self._process.stdin.fileno()), os.dup(self._process.stdout.fileno())
        )  # fmt: skip
        self._process.stdin.close()
        self._process.stdout.close()
        os.set_blocking(self._in, False)
        self._writing = threading.Lock()
        self._stopped = False

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send everything."""
        view = memoryview(data)
        deadline = time.monotonic() + timeout_s
        while view:
            try:
                with self._writing:
                    if self._stopped:
                        raise LinkLostError("the supervisor was stopped")
                    view = view[os.write(self._in, view) :]
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LinkLostError("the supervisor does not listen") from None
                select.select([], [self._in], [], 1.0)
            except OSError:
                raise LinkLostError("the supervisor died") from None

    def read(self, timeout_s: float) -> bytes:
        """Return the next bytes."""
        if self._stopped:
            raise LinkLostError("the supervisor was stopped")
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            raise LinkLostError(f"the supervisor said nothing for {timeout_s:g} s")
        try:
            data = os.read(self._out, 1 << 20)
        except OSError:
            data = b""
        if not data:
            raise LinkLostError("the supervisor died")
        return data

    def stop(self) -> str:
        """Hang up, wait, kill if necessary; return the end of its log."""
        with self._writing:
            if self._stopped:
                return self._log_text
            self._stopped = True
            os.close(self._in)
        try:
            self._process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, 9)
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError, ValueError):
            size = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, size - _LOG_BYTES))
            text = self._log.read().decode("utf-8", "replace")
            self._log_text = " ".join(text.split())
            self._log.close()
        return self._log_text

    def __del__(self) -> None:
        """Close what a reading thread may have needed until now."""
        with contextlib.suppress(AttributeError, OSError):
            os.close(self._out)
