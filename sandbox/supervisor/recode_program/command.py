"""What happens in the process of one program of another language: it becomes that language's.

The process is confined already. It writes the program's files into the work directory, leaves the
nonces in a pipe on descriptor 3 and executes the command line. Nothing of this interpreter is left
then, so no program can find its nonces in memory or among its arguments; it can only read them from
the pipe, as the code that gives the verdicts does after each test.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import signal
import socket
from typing import NoReturn

from recode_program import protocol

NONCES = 3
"""The descriptor from which verdicts read their nonces, one line each."""
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGHUP)
"""Ignored by Python or by the supervisor, which the new program must not inherit."""


def run(channel: socket.socket) -> NoReturn:
    """Become the program that comes over `channel`; that it closes says that this has worked."""
    try:
        receive = protocol.receiver(channel)
        channel.send(protocol.CONFINED)
        payload = receive()
        if not payload:
            os._exit(1)
        files, arguments, environment, nonces, *compiling = marshal.loads(payload)  # noqa: S302 - the supervisor's
        if nonces is None:
            for name, target in files:
                _link(name.replace("{uid}", str(os.getuid())), target)
            _hand_over(channel, arguments, environment)
        for name, content in files:
            _write(name, content)
        if compiling:
            _compile(channel, environment, *compiling)
        kept = fcntl.fcntl(channel.fileno(), fcntl.F_DUPFD_CLOEXEC, NONCES + 1)
        channel.detach()
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, kept)
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        if os.write(writer, nonces) != len(nonces):
            raise OSError("the nonces do not fit into a pipe")
        os.close(writer)
        os.dup2(reader, NONCES)
        os.close(reader)
        _become(arguments, environment)
    except BaseException as problem:  # noqa: BLE001 - any failure here must stop the program
        channel.send(protocol.BROKEN + repr(problem).encode("ascii", "backslashreplace")[:900])
    os._exit(1)


def _compile(
    channel: socket.socket, environment: dict[str, str], command: list[str], output: str
) -> None:
    """Run the compiler and say how it went; the end of this process if it found errors."""
    log = os.open("compiler.log", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    actions = [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
    pid = os.posix_spawn(
        command[0], command, environment, file_actions=actions, setsigdef=_DEFAULT_SIGNALS
    )
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):  # by the kernel for want of memory, or by somebody: not its word
        os.kill(os.getpid(), signal.SIGKILL)
    if status:
        os.lseek(log, 0, os.SEEK_SET)
        said = os.read(log, 64 << 10)
        os.write(2, said)
        channel.send(protocol.COMPILED + (_first_error(said) or b"the compiler failed"))
        os._exit(1)
    # What a compiler makes executable after it has made it does not become so where programs have
    # no user id of their own: Landlock lets nobody change modes.
    os.rename(output, output + ".made")  # noqa: PTH104
    with open(output + ".made", "rb") as made:  # noqa: PTH123
        whole = made.read()
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700)
    with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(whole)
    for name in (output + ".made", "compiler.log"):
        os.unlink(name)  # noqa: PTH108
    os.close(log)
    channel.send(protocol.COMPILED)


def _first_error(said: bytes) -> bytes:
    """Return the line of a compiler that names the first error, with the place below it."""
    lines = said.splitlines()
    for number, line in enumerate(lines):
        if line.startswith(b"error"):
            place = lines[number + 1].strip() if number + 1 < len(lines) else b""
            return b" ".join([line, place])[:900]
    return lines[0][:900] if lines else b""


def _link(name: str, target: str) -> None:
    """Make a link and its folder, unless a process that was not needed has left them."""
    folder, slash, _ = name.rpartition("/")
    with contextlib.suppress(FileExistsError):
        if slash:
            os.mkdir(folder, 0o700)  # noqa: PTH102 - no pathlib here
    with contextlib.suppress(FileExistsError):
        os.symlink(target, name)  # noqa: PTH211


def _hand_over(
    channel: socket.socket, arguments: list[str], environment: dict[str, str]
) -> NoReturn:
    """Become a runner that talks with the supervisor itself, over the descriptor of the nonces."""
    if channel.fileno() != NONCES:
        raise OSError("the channel is on another descriptor")
    os.set_inheritable(NONCES, True)
    _become(arguments, environment)


def _become(arguments: list[str], environment: dict[str, str]) -> NoReturn:
    for number in _DEFAULT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    os.execve(arguments[0], arguments, environment)  # noqa: S606 - no shell wanted


def _write(name: str, content: bytes) -> None:
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(content)
