"""Many programs in a row through one sandbox: its memory must stay flat, nothing may remain.

The programs are mixed: most are ordinary and use some library, the others crash, exit, leave
processes and files, hang, or take too much memory or disk. Each has a known verdict, which is
checked. After every 1/20 of them the memory of the workers and of this process is measured.

    python benchmarks/sandbox_endurance.py [--programs 10000] [--workers 2] [--sandbox docker]
        [--environment mini] [--seed 1] [--json FILE]

Exit status 1: a wrong verdict, an unscored program, memory that grows, or something left behind.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from throughput import measuring

from recode_eval.sandbox import Limits, Program, Status, Test, open_sandbox

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from recode_eval.sandbox import Execution, Sandbox

LIMITS = Limits(cpu_s=1, wall_s=3, memory_bytes=512 << 20, processes=16)
_BEGINNING = 0.2
"""Share of the run after which every library set was used: before it, memory may grow."""
GROWTH_BYTES = 32 << 20
"""What may be added after the beginning: noise of allocators, page sharing and page cache."""
_MIB = 1 << 20
_ORDINARY = (
    ("", "def f(x):\n    return x * 2", "assert f({n}) == 2 * {n}"),
    (
        "import numpy as np",
        "a = np.arange({n} + 2)",
        "assert a.sum() == ({n} + 2) * ({n} + 1) // 2",
    ),
    ("import json, re", "s = json.dumps([{n}] * 50)", "assert len(re.findall('{n}', s)) >= 50"),
    ("import collections", "c = collections.Counter('ab' * {n})", "assert c['a'] == {n}"),
)
_BAD = {
    "wrong": ("", "assert {n} < 0", Status.FAILED),
    "raises": ("import os", "raise SystemExit({n} % 3)", Status.FAILED),
    "exits": ("import os", "os._exit(0)", Status.CRASHED),
    "segfaults": ("import os", "os.kill(os.getpid(), 11)", Status.CRASHED),
    "memory": ("", "x = bytearray(1 << 30)", Status.MEMORY),
    "orphans": (
        "import os, time",
        "for n in range(5):\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(60)",
        Status.PASSED,
    ),
    "threads": (
        "import threading, time",
        "for n in range(3):\n    threading.Thread(target=time.sleep, args=(60,)).start()",
        Status.PASSED,
    ),
    "files": (
        "import os",
        "for n in range(50):\n    os.makedirs(f'{{n}}/')\n    open(f'{{n}}/x', 'w').write('x' * 9)",
        Status.PASSED,
    ),
    "leaks": ("", "import builtins\nbuiltins.kept = [bytearray(20 << 20)]", Status.PASSED),
    "output": ("", "print('x' * 3_000_000)", Status.PASSED),
}
_SLOW = {
    "hangs": ("", "while True: pass", Status.TIMEOUT),
    "sleeps": ("import time", "time.sleep(600)", Status.TIMEOUT),
}
_BAD_SHARE, _SLOW_SHARE = 0.15, 0.005


@dataclass
class Point:
    """Memory at one moment, bytes."""

    programs: int
    seconds: float
    workers: int
    """Proportional share of everything in the supervisors' processes: shared pages count once."""
    containers: int
    """Their control groups' memory without what the kernel may drop; 0 where it cannot be read."""
    evaluator: int
    descriptors: int
    threads: int


@dataclass
class Outcome:
    """What the run showed."""

    about: dict[str, Any]
    points: list[Point] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    unscored: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    supervisors: int = 0
    """How many were ever seen; more than workers: some were replaced."""
    seconds: float = 0.0

    def growth(self, name: str) -> int:
        """Bytes by which the last fifth is above the first measurements after the beginning."""
        later = [p for p in self.points if p.programs >= _BEGINNING * self.points[-1].programs]
        values = [getattr(point, name) for point in later]
        part = max(1, len(values) // 4)
        return int(sum(values[-part:]) / part - sum(values[:part]) / part)

    def problems(self) -> list[str]:
        """Everything that must not be."""
        found = [f"wrong verdict: {text}" for text in self.wrong]
        found += [f"unscored: {text}" for text in self.unscored]
        found += [f"left behind: {text}" for text in self.left]
        for name in ("workers", "containers", "evaluator"):
            if self.growth(name) > GROWTH_BYTES:
                found.append(f"memory of {name} grew by {self.growth(name) / _MIB:.0f} MiB")
        if self.points[-1].descriptors > self.points[0].descriptors + 8:
            found.append("descriptors leak")
        return found


def make_program(source: random.Random, number: int) -> tuple[str, Program, Status]:
    """Return a program, its kind and the verdict that it must get."""
    draw = source.random()
    if draw < _SLOW_SHARE + _BAD_SHARE:
        table = _SLOW if draw < _SLOW_SHARE else _BAD
        kind = source.choice(sorted(table))
        setup, test, expected = table[kind]
        candidate = f"# {number}"
    else:
        index = source.randrange(len(_ORDINARY))
        kind, expected = f"ordinary-{index}", Status.PASSED
        setup, candidate, test = _ORDINARY[index]
    text = [part.format(n=number) for part in (setup, candidate, test)]
    return kind, Program(text[0], text[1], (Test("t", text[2]),)), expected


def run(sandbox: Sandbox, programs: int, seed: int, tell: Any = None) -> Outcome:
    """Run `programs` programs; the sandbox stays open."""
    outcome = Outcome(measuring.machine())
    source = random.Random(f"endurance {seed}")
    kinds: Counter[str] = Counter()
    seen: set[int] = set()
    room = threading.Semaphore(4 * sandbox.info.workers)
    lock = threading.Lock()
    began = time.monotonic()

    def grade(kind: str, number: int, expected: Status, future: Any) -> None:
        room.release()
        error = future.exception()
        with lock:
            kinds[kind] += 1
            if error is not None:
                outcome.unscored.append(f"{kind} ({number}): {error}")
                return
            execution: Execution = future.result()
            status = execution.verdicts[0].status if execution.verdicts else execution.setup_error
            if status is not expected:
                detail = execution.verdicts[0].detail if execution.verdicts else ""
                outcome.wrong.append(f"{kind} ({number}): {status} {detail}")

    step = max(1, programs // 20)
    for number in range(programs):
        kind, program, expected = make_program(source, number)
        room.acquire()
        future = sandbox.submit(program, LIMITS)
        future.add_done_callback(
            lambda done, kind=kind, number=number, expected=expected: grade(
                kind, number, expected, done
            )
        )
        if (number + 1) % step == 0:
            _wait_until_idle(room, 4 * sandbox.info.workers)
            tops = supervisors()
            seen |= set(tops)
            outcome.points.append(_measure(number + 1, time.monotonic() - began, tops))
            if tell:
                tell(outcome.points[-1])
    _wait_until_idle(room, 4 * sandbox.info.workers)
    outcome.seconds = time.monotonic() - began
    outcome.kinds, outcome.supervisors = dict(kinds), len(seen)
    return outcome


def _wait_until_idle(room: threading.Semaphore, places: int) -> None:
    for _ in range(places):
        room.acquire()
    for _ in range(places):
        room.release()


def _measure(programs: int, seconds: float, tops: list[int]) -> Point:
    gc.collect()
    processes = [pid for top in tops for pid in [top, *below(top)]]
    return Point(
        programs,
        round(seconds, 1),
        sum(map(_proportional, processes)),
        sum(map(_control_group, tops)),
        _proportional(os.getpid()),
        sum(1 for _ in Path("/proc/self/fd").iterdir()),
        threading.active_count(),
    )


def _proportional(pid: int) -> int:
    """Bytes of a process; of pages that several share, its part."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def _control_group(pid: int) -> int:
    """Bytes of the control group of a container's first process (version 1 or 2)."""
    try:
        if Path(f"/proc/{pid}/cgroup").read_text() == Path("/proc/self/cgroup").read_text():
            return 0
        entries = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().split()]
        for _, controllers, path in entries:
            if controllers == "memory":
                folder, use = Path(f"/sys/fs/cgroup/memory{path}"), "memory.usage_in_bytes"
            elif not controllers and len(entries) == 1:
                folder, use = Path(f"/sys/fs/cgroup{path}"), "memory.current"
            else:
                continue
            details = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
            idle = next((int(words[1]) for words in details if words[0] == "inactive_file"), 0)
            return int((folder / use).read_text()) - idle
    except (OSError, ValueError):
        pass
    return 0


def below(pid: int) -> list[int]:
    """All processes below one."""
    found: list[int] = []
    queue = [pid]
    while queue:
        one = queue.pop()
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                children = [int(child) for child in (task / "children").read_text().split()]
                found += children
                queue += children
        except OSError:
            continue
    return found


def supervisors() -> list[int]:
    """The first processes of this evaluator's supervisors, in containers or below it."""
    own = containers()
    tops = [int(container["pid"]) for container in own if container["pid"]]
    return tops or [child for child in below(os.getpid()) if _is_supervisor(child)]


def _is_supervisor(pid: int) -> bool:
    try:
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return False
    return parent == os.getpid()


def containers() -> list[dict[str, Any]]:
    """Containers of this process; none without a daemon."""
    from recode_eval.sandbox import docker
    from recode_eval.sandbox.base import SandboxUnavailableError
    from recode_eval.sandbox.daemon import docker_client

    try:
        client = docker_client(20)
    except SandboxUnavailableError:
        return []
    try:
        found = client.api.containers(all=True, filters={"label": docker.RUN_LABEL})
        mine = [one for one in found if docker._owner() in one["Labels"].values()]
        states = [client.api.inspect_container(one["Id"])["State"] for one in mine]
        return [
            {"id": one["Id"], "pid": state["Pid"]} for one, state in zip(mine, states, strict=True)
        ]
    finally:
        client.close()


def left_behind(
    tops: list[int], patience_s: float = 10, *, known: Collection[int] = ()
) -> list[str]:
    """What is still there after the sandbox was closed; `known`: children there were before it."""
    deadline = time.monotonic() + patience_s
    while True:
        left = [f"container {one['id'][:12]}" for one in containers()]
        left += [f"process {pid}" for pid in (*tops, *below(os.getpid()))
                 if pid not in known and _alive(pid)]  # fmt: skip
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").exists()


def lines(outcome: Outcome) -> Iterator[str]:
    """The table and the findings."""
    about = outcome.about
    yield (
        f"{about['date']}, {about['cpu']}, {about['usable_cpus']} CPUs, {about['memory_gib']} GiB, "
        f"Linux {about['kernel']}"
    )
    total = sum(outcome.kinds.values())
    yield f"{total} programs in {outcome.seconds:.0f} s: {total / outcome.seconds:.0f} per second"
    yield ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.kinds.items()))
    yield f"supervisors used: {outcome.supervisors}"
    yield f"{'MiB':20} {'first':>8} {'20 %':>8} {'last':>8} {'peak':>8} {'growth':>8}"
    middle = next(
        p for p in outcome.points if p.programs >= _BEGINNING * outcome.points[-1].programs
    )
    for name in ("workers", "containers", "evaluator"):
        row = [
            getattr(outcome.points[0], name),
            getattr(middle, name),
            getattr(outcome.points[-1], name),
            max(getattr(point, name) for point in outcome.points),
            outcome.growth(name),
        ]
        yield f"{name:20} " + " ".join(f"{value / _MIB:8.1f}" for value in row)
    first, last = outcome.points[0].descriptors, outcome.points[-1].descriptors
    yield f"open files of the evaluator: {first} first, {last} last"
    yield from outcome.problems() or ["no wrong verdict, none unscored, nothing left behind"]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--programs", type=int, default=10000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sandbox", default="docker")
    parser.add_argument("--environment", default="mini")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    arguments = parser.parse_args(argv)
    if arguments.programs < 20:
        parser.error("--programs must be at least 20")

    def tell(point: Point) -> None:
        print(
            f"{point.programs} programs, {point.seconds:.0f} s, workers "
            f"{point.workers / _MIB:.1f} MiB, evaluator {point.evaluator / _MIB:.1f} MiB",
            file=sys.stderr,
        )

    with open_sandbox(
        arguments.sandbox,
        environment=arguments.environment,
        workers=arguments.workers,
        log=lambda message: print(message, file=sys.stderr),
    ) as sandbox:
        outcome = run(sandbox, arguments.programs, arguments.seed, tell)
        tops = supervisors()
    outcome.left = left_behind(tops)
    print("\n".join(lines(outcome)))
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(outcome), indent=1) + "\n", encoding="utf-8")
    return 1 if outcome.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
