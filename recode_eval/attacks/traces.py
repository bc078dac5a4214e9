"""What a sandbox may leave on a machine, and looking for it: processes, containers, files, IPC."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from recode_eval.attacks.bait import BAIT_KEYS, own_mark
from recode_eval.sandbox.local import WORK_PREFIX

_WAIT_S = 15.0
_SETTLED_S = 0.3
_MARK = "recode-attack"
"""Attacks put this into the name of whatever they leave, where they are free to choose."""
_BAIT = f"{_MARK}-bait-"
"""Other evaluators may be testing at the same time."""
_PLACES = (
    "/",
    "/tmp",  # noqa: S108 - looked at only
    "/var/tmp",  # noqa: S108
    "/dev/shm",  # noqa: S108
    "/dev/mqueue",
    "/run",
    "/run/lock",
    "/home",
    "/root",
    "/etc",
    "/usr/lib",
    "/opt",
)
_FIRST_SLOT_USER = 10_000


@dataclass(frozen=True, slots=True)
class Traces:
    """The state at one moment."""

    processes: frozenset[int]
    """Descendants of this process, zombies included."""
    files: frozenset[str]
    ipc: frozenset[str]
    containers: frozenset[str]


def take_traces() -> Traces:
    """Look at this machine now."""
    return Traces(frozenset(descendants()), _files(), _ipc(), _containers())


def leftovers(before: Traces, users: frozenset[int] = frozenset()) -> list[str]:
    """Return what is new; give ending processes some seconds.

    `users` are the user ids that programs ran under; a process of one of them is a leftover, too
    (ids of people and services, below 10000, are ignored).
    """
    slots = {user for user in users if user >= _FIRST_SLOT_USER and user != os.getuid()}
    deadline = time.monotonic() + _WAIT_S
    while True:
        now = take_traces()
        found = [f"process {_describe(pid)}" for pid in sorted(now.processes - before.processes)]
        found += [f"process {_describe(pid)} of user {user}" for pid, user in _of_users(slots)]
        found += [f"file {name}" for name in sorted(now.files - before.files)]
        found += [f"System V object {line}" for line in sorted(now.ipc - before.ipc)]
        found += [f"container {name}" for name in sorted(now.containers - before.containers)]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def descendants() -> set[int]:
    """All processes that this one or its descendants started, as far as they are still related."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    queue = [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found.update(below)
        queue += below
    return found


def settled_descendants() -> int:
    """The number of descendants, once it stays the same for a while.

    A worker with nothing to do starts the process of its next program.
    """
    counts = [len(descendants())]
    changed = time.monotonic()
    while time.monotonic() < changed + _SETTLED_S:
        time.sleep(0.02)
        counts.append(len(descendants()))
        if counts[-1] != counts[-2]:
            changed = time.monotonic()
    return counts[-1]


def _parents() -> list[tuple[int, int]]:
    pairs = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                stat = Path(f"/proc/{entry}/stat").read_text(errors="replace")
                pairs.append((int(entry), int(stat.rpartition(")")[2].split()[1])))
    return pairs


def _of_users(users: set[int]) -> list[tuple[int, int]]:
    found = []
    for pid, _ in _parents() if users else []:
        with contextlib.suppress(OSError, IndexError):
            status = Path(f"/proc/{pid}/status").read_text(errors="replace")
            user = int(status.partition("\nUid:")[2].split()[0])
            if user in users:
                found.append((pid, user))
    return found


def _describe(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return f"{pid} ({b' '.join(words).decode(errors='replace').strip()[:80]})"
    return str(pid)


def _files() -> frozenset[str]:
    found = set()
    for place in {*_PLACES, tempfile.gettempdir(), str(Path.home()), str(Path.cwd())}:
        with contextlib.suppress(OSError):
            for name in os.listdir(place):  # noqa: PTH208
                foreign = name.startswith(_BAIT) and not name.startswith(own_mark())
                work = name.startswith(f"{WORK_PREFIX}{os.getpid()}-")
                if work or (_MARK in name and not foreign):
                    found.add(str(Path(place, name)))
    return frozenset(found)


def _ipc() -> frozenset[str]:
    """Kind, key and id of each System V object that is not the bait of another process."""
    found = set()
    for kind in ("shm", "sem", "msg"):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()
            for line in lines[1:]:
                entry = dict(zip(lines[0].split(), line.split(), strict=False))
                foreign = entry.get("cpid") != str(os.getpid())
                if not (foreign and int(entry["key"]) >> 24 == BAIT_KEYS):
                    found.add(f"{kind} {' '.join(line.split()[:2])}")
    return frozenset(found)


def _containers() -> frozenset[str]:
    """Names of this process's containers; none where no daemon answers."""
    from recode_eval.sandbox.base import SandboxUnavailableError
    from recode_eval.sandbox.daemon import docker_client
    from recode_eval.sandbox.docker import RUN_LABEL

    try:
        client = docker_client(timeout_s=5)
    except SandboxUnavailableError:
        return frozenset()
    try:
        listed = client.api.containers(all=True, filters={"label": RUN_LABEL})
    except Exception:  # noqa: BLE001 - a daemon that went away holds nothing that we could see
        return frozenset()
    finally:
        client.close()
    mine = str(os.getpid())
    return frozenset(
        str(container["Names"][0]).lstrip("/")
        for container in listed
        if any(mine in str(value).split() for value in container.get("Labels", {}).values())
    )
