"""What a running program uses: CPU time, memory and waiting time of it and all its descendants.

Read from /proc, only every now and then and only for programs that run longer than a blink.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from recode_program.linux import cpu_time

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MOST_PROCESSES = 4096


@dataclass
class TreeUsage:
    """One look at a process tree."""

    cpu_s: float = 0.0
    memory: int = 0
    """Bytes of private memory beyond what every fork starts with, and of shared memory that is no
    file's: what several processes touched counts for each of them."""
    ended: bool = False
    """The first process is dead, whatever its descendants do."""
    queued_s: float = 0.0
    """How long the first thread was ready to run but had to wait for a processor."""
    first_thread_s: float = 0.0
    """CPU seconds of the first thread alone. With a process for the tests and one for the
    candidate, of which one runs at a time: of both, and so is `queued_s`."""
    others_run: bool = False
    """Another process of the program's is running, or ready to."""


def _read(path: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(handle, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(handle)


def children(pid: int) -> list[int]:
    """The living or unreaped children of a process."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208
    except OSError:
        return found
    for thread in threads[:256]:
        found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def descendants(pid: int) -> list[int]:
    """All living or unreaped descendants of a process."""
    found: list[int] = []
    queue = [pid]
    while queue and len(found) < _MOST_PROCESSES:
        below = children(queue.pop())
        found += below
        queue += below
    return found


def _shared_memory(pid: int) -> int:
    """Bytes of shared anonymous memory that a process has touched (and of a tmpfs it mapped)."""
    _, _, rest = _read(f"/proc/{pid}/status").partition(b"\nRssShmem:")
    words = rest.split(None, 1)
    return int(words[0]) << 10 if words else 0


def look(zygote: int, leaders: tuple[int, ...], base_memory: int) -> TreeUsage:
    """Look at everything below the zygote: the program and whatever it started.

    `leaders`: its first process; with the tests in one of their own, that and the candidate's.
    """
    usage = TreeUsage()
    # Parents first: a child that ends meanwhile must not count twice, as itself and in its parent.
    for process in dict.fromkeys((*leaders, *descendants(zygote))):
        stat = _read(f"/proc/{process}/stat")
        fields = stat[stat.rfind(b")") + 2 :].split()
        if len(fields) < 15:
            usage.ended = usage.ended or process == leaders[0]
            continue
        if process == leaders[0]:
            usage.ended = fields[0] in {b"Z", b"X"}
        elif fields[0] == b"R" and process not in leaders:
            usage.others_run = True
        usage.cpu_s += sum(map(int, fields[11:15])) * _TICK_S
        statm = _read(f"/proc/{process}/statm").split()
        if len(statm) >= 3:
            private = (int(statm[1]) - int(statm[2])) * _PAGE
            usage.memory += max(0, private - base_memory) + _shared_memory(process)
    usage.cpu_s = max(usage.cpu_s, sum(map(cpu_time, leaders)))
    for leader in leaders:
        waited = _read(f"/proc/{leader}/schedstat").split()
        if len(waited) >= 2:
            usage.first_thread_s += int(waited[0]) / 1e9
            usage.queued_s += int(waited[1]) / 1e9
    return usage


def waited_for_others(before: TreeUsage, now: TreeUsage) -> float:
    """Seconds for which the first thread waited between two looks while strangers ran.

    It may as well have waited for what the program runs itself. So the CPU time of its other
    threads and of its children is taken off, and nothing counts while another process of its is
    ready to run: a child's time is not known for certain while it lives.
    """
    if now.others_run:
        return 0.0
    queued = now.queued_s - before.queued_s
    others = (now.cpu_s - now.first_thread_s) - (before.cpu_s - before.first_thread_s)
    return max(0.0, queued - max(0.0, others))


def disk_usage(path: str, most_files: int) -> tuple[int, int]:
    """Bytes and entries below a directory, as far as it may be read; stops at `most_files`."""
    used = entries = 0
    queue = [path]
    while queue and entries <= most_files:
        try:
            with os.scandir(queue.pop()) as found:
                for entry in found:
                    entries += 1
                    if entry.is_dir(follow_symlinks=False):
                        queue.append(entry.path)
                    else:
                        used += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entries > most_files:
                        break
        except OSError:
            continue
    return used, entries


def oom_kills() -> int:
    """How often the kernel killed something in this control group for lack of memory."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        for line in _read(path).splitlines():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return 0
