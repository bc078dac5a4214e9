"""How many JavaScript programs a second the sandbox runs, against `node file.js` for each.

Both run in the same image, and the same number at once. The sandbox gives a verdict per test and
cleans up after each program; the other starts a process per program, whose exit status says it all.

    python benchmarks/node_throughput.py --programs 200 --at-once 2
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.sandbox import Limits, Program, Test, open_sandbox
from recode_eval.sandbox.daemon import docker_client
from recode_eval.sandbox.docker import RUN_LABEL
from recode_eval.sandbox.environments import ensure_image, get_environment
from recode_eval.sandbox.images import IMAGE_NODE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.sandbox import Sandbox

LIMITS = Limits(cpu_s=10, wall_s=60, memory_bytes=1 << 30)
_SCRIPT = """\
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const range = (n) => Array.from({ length: n }, (_, i) => i);
"""
_MODULE = """\
import { sep } from 'node:path';
export function clamp(x, low, high) { return x < low ? low : x > high ? high : x; }
export const range = (n) => [...Array(n).keys()];
"""
_CANDIDATES = (_SCRIPT, _MODULE)
_TESTS = (
    "assert.equal(clamp(5, 0, 3), 3);",
    "assert.deepEqual(range(3), [0, 1, 2]);",
    "assert.equal(clamp(-5, 0, 3), 0);",
    "assert.deepEqual(await Promise.all(range(2)), [0, 1]);",
)
_DRIVER = """
import json, os, resource, subprocess, sys, time
node, count, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
files = ["/tmp/programs/0.cjs", "/tmp/programs/1.mjs"]
started, running, failed, begun = time.monotonic(), [], 0, 0
environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp"}
while begun < count or running:
    while begun < count and len(running) < at_once:
        running.append(os.posix_spawn(node, [node, files[begun % 2]], environment))
        begun += 1
    pid, status = os.wait()
    running.remove(pid)
    failed += status != 0
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([time.monotonic() - started, failed, used.ru_utime + used.ru_stime]))
"""


def main() -> None:
    """Measure both in turns, and print rates, their ratio and the memory of idle workers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--programs", type=int, default=200, help="per round and contender")
    parser.add_argument("--at-once", type=int, default=2, help="workers, and processes of node")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with (
        open_sandbox("docker", environment="node", workers=arguments.at_once) as sandbox,
        _container() as container,
    ):
        _run(sandbox, 4 * arguments.at_once)
        standby = _memory(sandbox)
        rates: dict[str, list[float]] = {"sandbox": [], "node file.js": []}
        cpu: dict[str, list[float]] = {"sandbox": [], "node file.js": []}
        for _ in range(arguments.rounds):
            for name in rates:
                if name == "sandbox":
                    seconds, used = _run(sandbox, arguments.programs)
                else:
                    seconds, used = _plain(container, arguments.programs, arguments.at_once)
                rates[name].append(arguments.programs / seconds)
                cpu[name].append(1000 * used / arguments.programs)
        latency = [_latency(sandbox) for _ in range(20)]
    ratios = [a / b for a, b in zip(rates["sandbox"], rates["node file.js"], strict=True)]
    found = {
        "programs_per_s": {name: round(statistics.median(some), 1) for name, some in rates.items()},
        "cpu_ms_per_program": {name: round(statistics.median(s), 1) for name, s in cpu.items()},
        "ratio": round(statistics.median(ratios), 2),
        "one_alone_ms": round(1000 * statistics.median(latency), 1),
        "standby_mib": standby,
    }
    sys.stdout.write(json.dumps(found, indent=None if arguments.json else 1) + "\n")


def _programs(count: int) -> list[Program]:
    tests = tuple(Test(f"test {number}", code) for number, code in enumerate(_TESTS))
    return [
        Program("", _CANDIDATES[number % 2], tests, language="javascript")
        for number in range(count)
    ]


def _run(sandbox: Sandbox, count: int) -> tuple[float, float]:
    """Seconds, and CPU seconds of the programs' own processes."""
    started = time.monotonic()
    futures = [sandbox.submit(program, LIMITS) for program in _programs(count)]
    executions = [future.result(300) for future in futures]
    seconds = time.monotonic() - started
    if not all(execution.passed for execution in executions):
        raise SystemExit(f"a program failed: {executions[0]}")
    return seconds, sum(execution.cpu_s for execution in executions)


def _latency(sandbox: Sandbox) -> float:
    """Seconds that one program takes where nothing else waits."""
    time.sleep(0.2)  # the next process has started by then
    return _run(sandbox, 1)[0]


@contextlib.contextmanager
def _container() -> Iterator[Any]:
    """A container of the sandbox's image in which `node file.js` runs, with the same programs."""
    client = docker_client()
    image = ensure_image(get_environment("node"))
    container = client.containers.create(
        image.tag, ["sleep", "infinity"], entrypoint=[], network_mode="none", user="root"
    )
    try:
        container.start()
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, text in _files().items():
                entry = tarfile.TarInfo(f"programs/{name}")
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
        container.put_archive("/tmp", archive.getvalue())
        yield container
    finally:
        container.remove(force=True)
        client.close()


def _files() -> dict[str, str]:
    tests = "".join(f"  {code}\n" for code in _TESTS)
    call = f"(async () => {{\n{tests}}})();\n"
    return {
        "0.cjs": f"const assert = require('node:assert/strict');\n{_CANDIDATES[0]}{call}",
        "1.mjs": f"import assert from 'node:assert/strict';\n{_CANDIDATES[1]}{call}",
        "driver.py": _DRIVER,
    }


def _plain(container: Any, count: int, at_once: int) -> tuple[float, float]:
    """Seconds, and CPU seconds of the processes."""
    command = ["python3", "/tmp/programs/driver.py", IMAGE_NODE, str(count), str(at_once)]
    code, output = container.exec_run(command)
    if code:
        raise SystemExit(output.decode(errors="replace"))
    seconds, failed, used = json.loads(output.splitlines()[-1])
    if failed:
        raise SystemExit(f"{failed} programs failed: {output.decode(errors='replace')}")
    return float(seconds), float(used)


def _memory(sandbox: Any) -> list[float]:
    """MiB of each process of Node that waits for its program: its proportional set size."""
    time.sleep(1)  # they have started by then
    client = docker_client()
    run = f"{RUN_LABEL}={sandbox._launcher._run}"
    pids = [
        process[1]
        for container in client.containers.list(filters={"label": run})
        for process in container.top()["Processes"]
    ]
    client.close()
    found = []
    for folder in (Path("/proc", pid) for pid in pids):
        with contextlib.suppress(OSError):
            if b"recode_node/runner.cjs" not in (folder / "cmdline").read_bytes():
                continue
            lines = (folder / "smaps_rollup").read_text().splitlines()
            sizes = [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
            found.append(round(sizes[0] / 1024, 1))
    return sorted(found)


if __name__ == "__main__":
    main()
