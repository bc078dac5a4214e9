"""What a turn and a tool call cost beside the model: the harness's part alone.

    python benchmarks/conversations.py                  # about a minute
    python benchmarks/conversations.py --sandbox landlock --samples 40 --calls 200

A server in a process of its own answers at once, so all time is the harness's and the sandbox's.
`a turn` is what one more turn adds to a run in which nothing ever passes: a request, the visible
test, and the program that prints the traceback. Beside it stands what one more sample adds to a run
of single answers: a request and its grading. Start-up is in neither. `a tool call` is what
`Toolbox.use` takes for the tool run; beside it the same program submitted to the same sandbox as it
is. Both sides take turns, so that a busy machine hits both, and the ratio is that of the medians.
A tool call may take at most 1.5 times as long as the plain execution; the exit code says whether.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import statistics
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MOST = 1.5
TASK = "arena-mini"
CODE = "print(sum(range(1000)))\n"


class Handler(BaseHTTPRequestHandler):
    """Answers a list of models, and every chat with the same wrong program."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """List the one model."""
        self._send({"object": "list", "data": [{"id": "instant", "owned_by": "vllm"}]})

    def do_POST(self) -> None:
        """Answer at once."""
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "```python\nx = 1\n```"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        self._send({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    def _send(self, content: dict[str, Any]) -> None:
        raw = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def serve(pipe: Any) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(server.server_port)
    server.serve_forever()


def timed_run(url: str, turns: int, samples: int, arguments: argparse.Namespace) -> float:
    """Return the seconds that a run takes in which nothing passes."""
    from recode_eval.api import evaluate
    from recode_eval.models.options import ModelOptions
    from recode_eval.run.config import RunConfig

    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(
            model="instant", tasks=[TASK], n=1, limit=samples, timeout_s=5,
            model_options=ModelOptions(base_url=url), sandbox={"tier": arguments.sandbox},
            conversation={"turns": turns}, out=Path(folder),
        )  # fmt: skip
        started = time.perf_counter()
        (result,) = evaluate(config).contents()
        wall = time.perf_counter() - started
    assert result["counts"]["unscored"] == 0
    assert turns == 1 or [t["samples"] for t in result["turns"]] == [samples] * turns
    return wall


def turns(arguments: argparse.Namespace) -> dict[str, float]:
    """Return the milliseconds that one more turn and one more single answer add."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{ours.recv()}/v1"
    all_, half = arguments.samples, arguments.samples // 2
    walls: dict[tuple[int, int], list[float]] = {(1, half): [], (1, all_): [], (3, all_): []}
    try:
        timed_run(url, 1, half, arguments)  # warms up images, imports and caches
        for _ in range(arguments.rounds):
            for (count, samples), found in walls.items():
                found.append(timed_run(url, count, samples, arguments))
    finally:
        process.terminate()
        process.join()
    wall = {key: min(found) for key, found in walls.items()}  # what others took is only added
    return {
        "single": 1000 * (wall[1, all_] - wall[1, half]) / (all_ - half),
        "turn": 1000 * (wall[3, all_] - wall[1, all_]) / (2 * all_),
    }


def tool_calls(arguments: argparse.Namespace) -> dict[str, float]:
    """Return the milliseconds of the tool run and of the plain execution of its program."""
    from dataclasses import replace

    from recode_eval.conversations.conversation import Use
    from recode_eval.conversations.executing import Bench
    from recode_eval.conversations.journal import Call
    from recode_eval.conversations.tools import Toolbox
    from recode_eval.sandbox import Limits, open_router
    from recode_eval.sandbox.base import Test
    from recode_eval.tasks.registry import create_task

    task = create_task(TASK)
    problem = task.load(None, skip_bad_rows=False).problems[0]
    use = Use(Call("c", "run", json.dumps({"code": CODE})), 0, 60.0)
    found: dict[str, list[float]] = {"plain": [], "tool": []}
    with open_router(
        arguments.sandbox, environment=task.spec.environment, workers=1, isolation="split"
    ) as sandbox:
        bench = Bench(task, sandbox, lambda _: Limits())
        box = Toolbox(["run"], task, bench)
        plain = replace(  # in one process, as the tool runs it: two would take longer
            bench.program(problem, CODE),
            candidate=CODE,
            tests=(Test("ran", "pass"),),
            unsplit="as the tool",
        )
        for number in range(arguments.calls + 5):
            started = time.perf_counter()
            assert sandbox.submit(plain, Limits()).result().passed
            between = time.perf_counter()
            status, _, _ = box.use(problem, use)
            ended = time.perf_counter()
            assert status == "ok"
            if number >= 5:  # the first ones load what the programs share
                found["plain"].append(1000 * (between - started))
                found["tool"].append(1000 * (ended - between))
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument("--samples", type=int, default=40, help="of the task (default: 40)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    turn, call = turns(arguments), tool_calls(arguments)
    report = {
        "machine": f"{multiprocessing.cpu_count()} CPUs, {platform.machine()}, Python "
        f"{platform.python_version()}, sandbox {arguments.sandbox}",
        "single_answer_ms": turn["single"],
        "turn_ms": turn["turn"],
        "turn_ratio": turn["turn"] / turn["single"],
        "plain_execution_ms": call["plain"],
        "tool_call_ms": call["tool"],
        "tool_call_ratio": call["tool"] / call["plain"],
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print(report["machine"])
        print(f"a turn {turn['turn']:.1f} ms, a single answer {turn['single']:.1f} ms: ratio "
              f"{report['turn_ratio']:.2f}")  # fmt: skip
        print(f"a tool call {call['tool']:.1f} ms, the plain execution {call['plain']:.1f} ms: "
              f"ratio {report['tool_call_ratio']:.2f} (at most {MOST})")  # fmt: skip
    return int(report["tool_call_ratio"] > MOST)


if __name__ == "__main__":
    sys.exit(main())
