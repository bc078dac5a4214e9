# No pathlib in here, it would cost start-up time.
# ruff: noqa: PTH106, PTH120, PTH123, PTH208
"""The supervisor's main loop: requests in, results out, one JSON object a line.

First line in: the settings. First line out: `hello` (or `fatal`). Then one program at a time. While
a program runs, a `beat` every few seconds says that the supervisor is alive. The end of the input
is the end of the evaluator: everything is killed and the supervisor exits. So is a long silence: a
Docker daemon that was killed keeps the container's input open, and nobody would ever end it. An
evaluator with nothing to run says `ping`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import select
import signal
import socket
import time
from typing import Any, NoReturn

from recode_program import linux

from recode_supervisor import confinement, disk, runtimes, wipe, zygote_pool
from recode_supervisor.execution import (
    ExecutionOutcome,
    Home,
    ProgramRequest,
    SandboxBrokenError,
    Verdict,
    last_bytes,
)

_BEAT_S = 5.0
_SHUTDOWN_S = 10.0
_NO_ROOM = "no space left on the disk of the work directory"
_LEASE_S = 180.0
"""Without a word from the evaluator for so long, there is none (unless it says otherwise)."""
_PIPE_BYTES = 4096
"""What a pipe that is ready for writing takes without blocking."""
_CONTROL = {c: f"\\x{c:02x}" for c in (*range(32), 127) if c not in (9, 10)}


class _HungUpError(Exception):
    """The evaluator is gone."""


class Lines:
    """Lines from standard input, read without Python's buffers: forks must not inherit them."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.lease_s = _LEASE_S
        self._input = select.poll()
        self._input.register(0, select.POLLIN)

    def next(self) -> bytes:
        """Wait for a line; empty at the end of the input, or if none comes for too long.

        The evaluator may send the next program while one runs: both can come in one piece.
        """
        if len(self._parts) == 1:
            line, newline, rest = self._parts[0].partition(b"\n")
            if newline:
                self._parts = [rest] if rest else []
                return line
        while True:
            if not self._input.poll(self.lease_s * 1000):
                return b""
            data = os.read(0, 1 << 20)
            if not data:
                return b""
            head, newline, rest = data.partition(b"\n")
            self._parts.append(head)
            if newline:
                line = b"".join(self._parts)
                self._parts = [rest] if rest else []
                return line


def say(message: dict[str, Any]) -> None:
    """Write one line to the evaluator. Raises `_HungUpError` if nobody reads."""
    data = json.dumps(message).encode() + b"\n"
    output = select.poll()
    output.register(1, select.POLLOUT)
    while data:
        if not output.poll(_LEASE_S * 1000):
            raise _HungUpError
        data = data[os.write(1, data[:_PIPE_BYTES]) :]


class Supervisor:
    """Runs the programs that come in, with a runtime per language and one work directory."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._settings, self._facts = confinement.decide(config)
        self._runtimes = runtimes.start(config, self._settings)
        confinement.show_work(self._settings, config)
        self._remove_work: str = config["work"] if config.get("remove_work") else ""
        self._last: tuple[runtimes.Runtime, Home, ProgramRequest] | None = None
        self._last_beat = 0.0
        self._hung_up = select.poll()
        self._hung_up.register(0, 0)
        settings = self._settings
        self._writable = {
            path: wipe.mode_of(path) for path in (settings.work, settings.shm) if path
        }
        """The folders that programs can write to, and their permissions."""
        self._clean = self._wipe()
        self._disk = disk.Disk(
            settings.work,
            settings.disk_bytes,
            settings.disk_files,
            own=settings.own_disk,
            shm=settings.shm,
            shm_files=settings.shm_files,
        )

    def hello(self) -> dict[str, Any]:
        """What the evaluator wants to know before it sends anything."""
        python = self._runtimes.get("python")
        runtimes = [one for one in (python, *self._runtimes.values()) if one is not None]
        return {
            "hello": 1,
            "python": "" if python is None else str(python.facts()["version"]),
            "libraries": next((one.libraries for one in runtimes if one.libraries), {}),
            "supervisor": platform.python_version(),
            "runtimes": {name: one.facts() for name, one in self._runtimes.items()},
            **self._facts,
        }

    def tick(self) -> None:
        """Say that the supervisor is alive; notice that the evaluator is not."""
        now = time.monotonic()
        if now - self._last_beat > _BEAT_S:
            self._last_beat = now
            say({"beat": 1})
        if self._hung_up.poll(0):
            raise _HungUpError

    def handle(self, message: dict[str, Any]) -> dict[str, Any]:
        """Run one program; the answer has `recycle` set if this supervisor must not go on."""
        if "ping" in message:
            return {"beat": 1, "recycle": ""}
        if not self._disk.has_room(self.tick):
            raise SandboxBrokenError(_NO_ROOM)
        self._disk.new_program()
        started = time.monotonic()
        self._last_beat = started
        language = message.get("language", "python")
        request = ProgramRequest(**message["program"], language=language)
        one_each = message["isolation"] == "test"
        runtime = self._runtimes[language]
        for other in self._runtimes.values():
            if other is not runtime:
                other.stand_down()
        home = self._home(runtime, tuple(message["libraries"]))
        split = message["isolation"] == "split" and runtime.splits
        unsplit: tuple[str, bool] | None = None
        if message["isolation"] == "split" and not runtime.splits:
            unsplit = (f"programs of {language} run in one process with their tests", True)
        verdicts: dict[int, Verdict] = {}
        lines: dict[int, int] = {}
        cpu_s, output, setup_error = 0.0, b"", None
        missing = list(range(len(request.tests)))
        first = True
        while (missing or first) and setup_error is None:
            chosen = missing[:1] if one_each else missing
            # A new one each time: offset, flags, mode and seals of the last one are the program's.
            printed = os.memfd_create("output")
            try:
                running = runtime.execution(home, request, chosen, printed, split=split)
                outcome = running.run(self.tick)
                self._clean = self._wipe() and outcome.clean
                if self._convicts(outcome):
                    running.convict()
                if not outcome.accused or outcome.verdicts:
                    said = last_bytes(printed, request.output) + outcome.printed
                    output = (output + said)[-request.output :]
            finally:
                os.close(printed)
            if outcome.unproven is not None and self._clean:
                self._blame(outcome, runtime, home, request, missing)
            cpu_s += outcome.cpu_s
            if outcome.unsplit is not None and self._clean:
                # All of it again, in one process: verdicts of both kinds are not to be mixed.
                split, unsplit = False, outcome.unsplit
                verdicts, missing, output = {}, list(range(len(request.tests))), b""
                lines = {}
                continue
            verdicts.update(outcome.verdicts)
            lines.update(outcome.lines)
            if outcome.hopeless:
                last = verdicts[chosen[0]] if chosen else ("failed", "", None)
                verdicts.update({i: (last[0], last[1], None) for i in missing if i not in verdicts})
            if outcome.setup_error is not None:
                if first:
                    setup_error = outcome.setup_error
                else:  # it worked a moment ago: the program broke something, not the data
                    detail = f"the set-up failed when it was run again: {outcome.setup_error}"
                    verdicts.update(dict.fromkeys(missing, ("failed", detail, None)))
            first = False
            missing = [i for i in missing if i not in verdicts]
            if not self._clean:
                break
        if any(status != "passed" for status, _, _ in verdicts.values()):
            self._blame_the_disk()
        self._last = (runtime, home, request)
        return {
            "verdicts": [verdicts[i] for i in sorted(verdicts)] if not missing else None,
            "lines": [lines.get(i) for i in sorted(verdicts)],
            "setup_error": setup_error,
            "split": split,
            "unsplit": unsplit,
            "output": output.decode("utf-8", "backslashreplace").translate(_CONTROL),
            "cpu_s": cpu_s,
            "wall_s": time.monotonic() - started,
            "recycle": "" if self._clean else "a program left processes or files behind",
        }

    def stand_by(self) -> None:
        """Prepare for another program like the last one."""
        if self._last is not None:
            runtime, home, request = self._last
            runtime.stand_by(home, request)

    def _home(self, runtime: runtimes.Runtime, libraries: tuple[str, ...]) -> Home:
        """The zygote to fork from; what loading its libraries left behind is removed."""
        number = runtime.zygotes
        home = runtime.home(libraries, self._disk, self.tick)
        if runtime.zygotes != number:
            for path, mode in self._writable.items():
                wipe.wipe(path, mode, None)
        return home

    def _blame(
        self,
        outcome: ExecutionOutcome,
        runtime: runtimes.Runtime,
        home: Home,
        request: ProgramRequest,
        missing: list[int],
    ) -> None:
        """Run the set-up alone: it failed, or else the candidate did, and with it every test."""
        assert outcome.unproven is not None
        alone = dataclasses.replace(request, candidate="")
        printed = os.memfd_create("output")
        try:
            trial = runtime.execution(home, alone, [], printed, split=False).run(self.tick)
        finally:
            os.close(printed)
        self._clean = self._wipe() and trial.clean
        outcome.cpu_s += trial.cpu_s
        status, detail = trial.unproven or outcome.unproven
        if trial.unproven is not None:
            outcome.setup_error = f"{status}: {detail}"
        else:
            outcome.verdicts.update(dict.fromkeys(missing, (status, detail, None)))

    def _convicts(self, outcome: ExecutionOutcome) -> bool:
        """True if the program that was ended on suspicion held too much; else it runs again."""
        try:
            return outcome.accused and self._disk.convicts(self.tick)
        except OSError as problem:
            raise SandboxBrokenError(problem.strerror) from problem

    def _wipe(self) -> bool:
        settings = self._settings
        users = settings.uid, settings.guard_uid
        empty = [wipe.wipe(path, mode, *users) for path, mode in self._writable.items()]
        return all(empty)

    def _blame_the_disk(self) -> None:
        """Refuse to grade where others filled the disk below the work directory, which is empty.

        Nobody else writes to a private one: the program filled it, by whatever means it holds it.
        """
        if self._disk.has_room(self.tick):
            return
        if not self._settings.own_disk:
            raise SandboxBrokenError(_NO_ROOM)
        self._clean = False

    def close(self) -> None:
        """End every process below this one and empty the work directory."""
        for one in self._runtimes.values():
            one.close()
        deadline = time.monotonic() + _SHUTDOWN_S
        patience = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            try:
                ended, _ = os.waitpid(-1, linux.WALL | os.WNOHANG)
            except ChildProcessError:
                break
            if not ended:
                if time.monotonic() > patience:
                    _kill_children()
                time.sleep(0.005)
        self._wipe()
        if self._remove_work:  # the evaluator may have been killed and cannot do it
            with contextlib.suppress(OSError):
                if self._settings.work != self._remove_work:
                    disk.unmount(self._settings.work)
                disk.unmount(self._remove_work)
                os.rmdir(self._remove_work)
                os.rmdir(os.path.dirname(self._remove_work))


def _kill_children() -> None:
    for entry in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{entry}/children") as pids:
            for pid in pids.read().split():
                with contextlib.suppress(OSError):
                    os.kill(int(pid), signal.SIGKILL)


def main() -> NoReturn:
    """Serve until the input ends. Exit status 0: done or hung up; 1: could not go on."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    lines = Lines()
    config = json.loads(lines.next() or b"{}")
    lines.lease_s = float(config.get("lease_s", _LEASE_S))
    _call(config.get("channel", ""))
    try:
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        supervisor = Supervisor(config)
    except (OSError, zygote_pool.LostError) as problem:
        say({"fatal": str(problem)})
        os._exit(1)
    say(supervisor.hello())
    status = 0
    try:
        while line := lines.next():
            answer = supervisor.handle(json.loads(line))
            say(answer)
            if answer["recycle"]:
                break
            supervisor.stand_by()
    except _HungUpError:
        pass
    except (zygote_pool.LostError, SandboxBrokenError) as problem:
        status = 1
        with contextlib.suppress(OSError):
            say({"fatal": str(problem)})
    except BrokenPipeError:
        pass
    finally:
        supervisor.close()
        os._exit(status)


def _call(channel: str) -> None:
    """Go on over this socket instead of standard input and output; stay with them if none is there.

    Programs inherit neither: a spawner gets neither.
    """
    if not channel:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as evaluator:
        evaluator.connect(channel)
        os.dup2(evaluator.fileno(), 0)
        os.dup2(evaluator.fileno(), 1)
