"""The spawner: a clean process under the programs' interpreter, from which zygotes are forked.

It is started before the first program arrives and never sees one: whatever the supervisor has in
memory later (tests, other programs) is in no zygote and so in no program.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import socket
import sys
from typing import Any, NoReturn

from recode_program import linux, protocol, zygote
from recode_program.confine import RULESET, Settings

_LARGEST = 60000


def main() -> NoReturn:
    """Tell what this interpreter is, take the settings, then fork a zygote per request."""
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)  # starting this interpreter had switched it on again
        own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
        sys.path[:] = [entry for entry in sys.path if entry not in {"", own}]
        for stream in (sys.stdout, sys.stderr):  # what a program prints must not fail it
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        requests = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, 3)
        os.set_inheritable(3, False)
        _introduce(requests)
        _serve(requests, _settings(requests))
    finally:
        os._exit(1)


def _introduce(requests: socket.socket) -> None:
    """Send what this interpreter is, and the versions of the libraries that are asked for.

    In a fork, since finding versions imports a lot.
    """
    libraries: list[str] = json.loads(requests.recv(_LARGEST) or "[]")
    helper = os.fork()
    if helper == 0:
        try:
            facts = {
                "version": platform.python_version(),
                "implementation": sys.implementation.name,
                "prefix": sys.prefix,
                "folders": _folders(),
                "libraries": _versions(libraries),
            }
            requests.send(json.dumps(facts).encode())
        finally:
            os._exit(0)
    os.waitpid(helper, 0)


def _folders() -> list[str]:
    """The folders that programs must be able to read, links resolved and as they are named."""
    folders = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path}
    folders.add(os.path.dirname(os.path.realpath(sys.executable)))  # noqa: PTH120
    named = {folder for folder in folders if folder}
    return sorted(named | {os.path.realpath(folder) for folder in named})


def _versions(libraries: list[str]) -> dict[str, str]:
    found = {}
    with contextlib.suppress(ImportError):  # new in Python 3.8
        from importlib import metadata

        for name in libraries:
            with contextlib.suppress(metadata.PackageNotFoundError):
                found[name] = metadata.version(name)
    return found


def _settings(requests: socket.socket) -> Settings:
    """Wait for the supervisor's settings, and for the Landlock ruleset that may come with them."""
    data, handles = protocol.receive_handles(requests, _LARGEST, 1)
    if not data:
        os._exit(0)
    known: dict[str, Any] = json.loads(data)
    settings = Settings(**known)
    if handles:
        os.dup2(handles[0], RULESET, inheritable=False)
        os.close(handles[0])
        settings.ruleset = RULESET
    return settings


def _serve(requests: socket.socket, settings: Settings) -> NoReturn:
    """Fork a zygote per request, until the supervisor hangs up."""
    while True:
        names, handles = protocol.receive_handles(requests, 4096, 1)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not names:
            os._exit(0)
        libraries = () if names == b"-" else tuple(names.decode().split(","))
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, handles[0])
        if zygote.start(libraries, settings, control, requests) == 0:
            os._exit(1)
        control.close()
