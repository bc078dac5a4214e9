"""One program of JavaScript or TypeScript: a process that becomes Node with a trusted runner.

The runner (`recode_node/runner.cjs`) takes set-up, candidate and tests over the program's socket,
as the Python runner does, and gives the same packets. It says `READY` first, and `BEGUN` when it
has the program: a Node that does not come that far is the machine's fault, never the program's.
"""

from __future__ import annotations

import json
import marshal
import os
import secrets
import select
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_program import linux, protocol

from recode_supervisor.execution import (
    ExecutionOutcome,
    Home,
    ProgramRequest,
    SandboxBrokenError,
    last_bytes,
    printable,
)
from recode_supervisor.python_execution import PythonExecution

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from recode_supervisor.zygote_pool import Zygote

READY = b"R"
BEGUN = b"B"
"""It has the program. Whatever ends Node before that is no fault of set-up or candidate."""
RUNNER = os.path.join(  # noqa: PTH118 - start-up time
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))),  # noqa: PTH100, PTH120
    "recode_node",
)
"""The folder of the code that runs beside programs; they must be able to read it."""
COMPILED = ".compile-cache"
"""In the working folder, until the candidate has run: where the runner looks for compiled code."""
_MARSHAL = 4
_PIECE = 32 << 10
_OWN_MEMORY = 64 << 20
"""What a process of Node takes beside the heap of its program."""
_LEAST_HEAP = 16
"""MiB; with less, Node does not start."""
_HEAP_FULL = b"JavaScript heap out of memory"
_LAST_WORDS = 16 << 10
_MOST_TESTS = 500
"""That a process which waits for its program is ready for: they decide its last limit of CPU."""
_FLAGS = (
    # No thread that waits for SIGUSR1 to open the inspector's port, and one worker thread of V8's
    # instead of four: half of what a process costs beyond its program is such threads.
    "--disable-sigusr1", "--v8-pool-size=1",
    # What the runner uses (types that are stripped) is announced as experimental.
    "--disable-warning=ExperimentalWarning",
)  # fmt: skip
_ENVIRONMENT = {"UV_THREADPOOL_SIZE": "2", "UV_USE_IO_URING": "0", "OPENSSL_CONF": "/dev/null"}


@dataclass(frozen=True)
class NodeSpec:
    """What programs of this runtime have; the evaluator's data."""

    node: str
    """The executable, an absolute path."""
    links: tuple[tuple[str, str], ...]
    """What programs find in their working folder: name and target. `{uid}` in a name is theirs."""

    @classmethod
    def parse(cls, config: dict[str, Any]) -> NodeSpec:
        """Take over what the evaluator sent."""
        environment = config["environment"]
        links = [("node_modules", f"{environment}/node_modules")] if environment else []
        compiled = f"{environment}/compile-cache"
        if environment and os.path.isdir(compiled):  # noqa: PTH112
            # Node takes it only from a folder that has the version and the user id in its name.
            for name in os.listdir(compiled)[:1]:  # noqa: PTH208
                link = f"{COMPILED}/{name.rpartition('-')[0]}-{{uid}}"
                links.append((link, f"{compiled}/{name}"))
        return cls(config["argv"][0], tuple(links))

    def command(self, memory: int) -> list[str]:
        """The command line of a process for a program that may use `memory` bytes."""
        heap = max(_LEAST_HEAP, max(memory - _OWN_MEMORY, memory // 2) >> 20)
        return [self.node, *_FLAGS, f"--max-old-space-size={heap}", f"{RUNNER}/runner.cjs"]

    def variables(self) -> dict[str, str]:
        """The whole environment of programs: nothing that changes what Node does gets in."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "NODE"))}
        folder = os.path.dirname(self.node)  # noqa: PTH120
        path = {"PATH": f"{folder}:{kept.get('PATH', '')}"}
        return {**kept, **_ENVIRONMENT, **path}


@dataclass
class Standby:
    """A process of Node that has started and waits for its one program."""

    key: tuple[float | int, ...]
    """The limits that it was started with."""
    zygote: Zygote
    pid: int
    channel: socket.socket
    output: int

    @classmethod
    def start(cls, home: Home, request: ProgramRequest, spec: NodeSpec) -> Standby:
        """Start one for a program with the limits of this request."""
        output = os.memfd_create("output")
        starting = NodeExecution(home, request, list(range(_MOST_TESTS)), output, spec)
        channel = starting.launch()
        return cls(limits_of(request), home.zygote, starting.pid, channel, output)

    def fits(self, home: Home, request: ProgramRequest) -> bool:
        """Whether it lives, and a program with these limits may run in it."""
        poll = select.poll()
        poll.register(self.channel, 0)
        known = self.zygote is home.zygote and self.key == limits_of(request)
        return known and len(request.tests) <= _MOST_TESTS and not poll.poll(0)

    def discard(self) -> None:
        """End it unused."""
        self.channel.close()
        os.close(self.output)
        self.zygote.end(wait=False)


def limits_of(request: ProgramRequest) -> tuple[float | int, ...]:
    """What a process is started with, and cannot be changed later."""
    return (request.cpu_s, request.memory, request.file_bytes, request.processes)


class NodeExecution(PythonExecution):
    """Talks with `recode_node/runner.cjs`."""

    order = protocol.EXECUTE

    def __init__(
        self,
        home: Home,
        request: ProgramRequest,
        indices: list[int],
        output: int,
        spec: NodeSpec,
        standby: Standby | None = None,
    ) -> None:
        super().__init__(home, request, indices, output)
        self._again = (home, request, list(indices), output, spec)
        self._spec = spec
        self._standby = standby
        self._begun = False
        self._lost = False
        """The process that stood by was ended by somebody else before it had the program."""
        self._base_memory = 0
        self._starting = False
        """The process is confined and on its way to become Node."""

    def run(self, tick: Callable[[], None]) -> ExecutionOutcome:
        """Run to the end; in another process, if the one that stood by did not live to begin."""
        outcome = super().run(tick)
        return NodeExecution(*self._again).run(tick) if self._lost else outcome

    @property
    def pid(self) -> int:
        """Its process, once it is started."""
        return self._pid

    def launch(self) -> socket.socket:
        """Start the process, and nothing more."""
        return super()._start()

    def _start(self) -> socket.socket:
        if self._standby is None:
            return self.launch()
        self._pid, self._output = self._standby.pid, self._standby.output
        self._base_cpu = self._leaders_cpu()  # what it took to start is not the program's
        return self._standby.channel

    def _finish(self, *, ended_itself: bool) -> None:
        try:
            super()._finish(ended_itself=ended_itself)
        finally:
            if self._standby is not None:
                self._outcome.printed = last_bytes(self._output, self._request.output)
                os.close(self._output)

    def _payload(self) -> bytes:
        command, variables = self._spec.command(self._request.memory), self._spec.variables()
        return marshal.dumps((self._spec.links, command, variables, None), _MARSHAL)

    def _handle(self, channel: socket.socket, packet: bytes) -> bool:
        if self._stage == protocol.CONFINED and not self._begun and packet == BEGUN:
            self._begun = True
            return False
        if self._stage:
            return super()._handle(channel, packet)
        if not self._starting and packet == protocol.CONFINED:
            self._starting = True
            request = self._request
            setup = request.setup if request.setup.strip() else ""
            program = {"language": request.language, "setup": setup}
            program["name"] = secrets.token_hex(8)
            self._send(channel, {**program, "candidate": request.candidate})
            return False
        if self._starting and packet == READY:
            self._stage = protocol.CONFINED
            return False
        raise SandboxBrokenError(f"Node did not start: {printable(packet)}")

    def _send(self, channel: socket.socket, value: object) -> None:
        """Send a value as JSON, in packets that say whether another one follows."""
        data = json.dumps(value).encode("ascii")
        for start in range(0, len(data), _PIECE):
            more = start + _PIECE < len(data)
            self._push(channel, (b"+" if more else b".") + data[start : start + _PIECE])

    def _send_tests(self, channel: socket.socket) -> None:
        for index in self._pending:
            self._nonces[index] = secrets.token_bytes(protocol.NONCE_BYTES)
            self._send(channel, self._request.tests[index])
            self._push(channel, self._nonces[index])

    def _believed(self, cpu_s: float) -> float:
        """CPU time as the kernel counts it: what the process says is not asked for."""
        del cpu_s
        used = max(0.0, linux.cpu_time(self._pid) - self._credited)
        self._credited += used
        return used

    def _stop(self, status: str, detail: str) -> None:
        if status == "crashed" and self._heap_is_full():
            status, detail = "memory", "the heap of JavaScript is full"
        if not self._stage:
            detail = f"{detail}: {self._complaint()}"
        elif not self._begun:
            if self._standby is None:
                raise SandboxBrokenError(f"Node did not take the program: {detail}")
            self._lost = True
            return
        super()._stop(status, detail)

    def _complaint(self) -> str:
        """What Node says when it does not start: the line that tells the error."""
        text = os.pread(self._output, _LAST_WORDS, 0)
        lines = [line for line in text.splitlines() if b"rror" in line]
        return printable(lines[0])[:300] if lines else self._last_words()

    def _heap_is_full(self) -> bool:
        """Whether V8 says so; a program that prints that has failed either way."""
        return _HEAP_FULL in last_bytes(self._output, _LAST_WORDS)

    def _exited(self, status: int) -> None:
        self._stop("crashed", f"the process ended with status {status} and without a verdict")
