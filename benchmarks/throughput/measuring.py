"""CPU time of process trees and containers, and what the machine is."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docker import DockerClient

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_DAEMONS = ("dockerd", "containerd")


def _processes() -> dict[int, tuple[int, str, float, float]]:
    """Pid -> (parent, name, own CPU seconds, those of children that were waited for)."""
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(entry.path, "stat").read_text(errors="replace")
        except OSError:
            continue
        head, _, tail = text.rpartition(")")
        fields = tail.split()
        own_s = sum(map(int, fields[11:13])) * _TICK_S
        children_s = sum(map(int, fields[13:15])) * _TICK_S
        found[int(entry.name)] = (int(fields[1]), head.partition("(")[2], own_s, children_s)
    return found


@dataclass(frozen=True)
class Reading:
    """All counters at one moment; differences of two of them mean something."""

    time_s: float
    own_s: float
    below_s: float
    """Processes below this one, ended ones too; exact to a clock tick per living process."""
    daemons_s: dict[int, float]
    """Docker's daemons by pid, including work for other users."""
    busy_s: float
    """The whole machine."""

    def daemons_since(self, before: Reading) -> float:
        """CPU seconds of daemons that still live: at least this much was used."""
        return sum(s - before.daemons_s.get(pid, 0.0) for pid, s in self.daemons_s.items())


def read() -> Reading:
    """Take all counters."""
    table = _processes()
    children: dict[int, list[int]] = {}
    for pid, (parent, *_) in table.items():
        children.setdefault(parent, []).append(pid)
    times = os.times()
    below_s = times.children_user + times.children_system
    queue = list(children.get(os.getpid(), []))
    while queue:
        pid = queue.pop()
        below_s += table[pid][2] + table[pid][3]
        queue += children.get(pid, [])
    # Not what they waited for: that includes whole containers.
    daemons = {
        pid: own_s for pid, (_, name, own_s, _) in table.items() if name.startswith(_DAEMONS)
    }
    return Reading(time.perf_counter(), time.process_time(), below_s, daemons, _busy_s())


def _busy_s() -> float:
    """CPU seconds that all processes of this machine used since it started."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) * _TICK_S


def containers_cpu_s(client: DockerClient | None, containers: Iterable[str]) -> dict[str, float]:
    """CPU seconds of containers since their start, from their control groups."""
    found = {}
    for container in containers:
        assert client is not None
        stats: dict[str, Any] = client.api.stats(container, stream=False, one_shot=True)
        found[container] = stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
    return found


def machine() -> dict[str, Any]:
    """What somebody needs to know to grade the numbers."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": model or platform.machine(),
        "usable_cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / (1 << 30), 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }
