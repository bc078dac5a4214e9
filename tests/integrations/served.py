"""A live reward server in the environment of the extra `serve`, and raw requests to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from peers import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Served:
    """A server process; `lines` is what it said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        assert process.stderr is not None
        for line in process.stderr:
            self.lines.append(line.rstrip())
            if "listening on " in line:
                break
        else:
            raise AssertionError("the server ended: " + "\n".join(self.lines))
        self.url = self.lines[-1].split("listening on ")[1]
        self.port = int(self.url.rpartition(":")[2])

    def ask(
        self,
        method: str,
        path: str,
        content: object = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 60,
    ) -> tuple[int, Any, dict[str, str]]:
        """Return status, content (JSON, or text) and headers of the reply."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            body = raw if raw is not None else json.dumps(content).encode()
            sent = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, None if method == "GET" else body, sent)
            reply = connection.getresponse()
            text = reply.read().decode()
            found = dict(reply.headers.items())
        finally:
            connection.close()
        is_json = found.get("content-type") == "application/json"
        return reply.status, json.loads(text) if is_json else text, found

    def measure(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        _, text, _ = self.ask("GET", "/metrics")
        lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith(name)]
        return sum(float(value) for key, _, value in lines if key.partition("{")[0] == name)

    def end(self, number: int = signal.SIGTERM, timeout: float = 60) -> int:
        """Send a signal and return the exit code; what was said is added to `lines`."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=timeout)
        self.lines += said.splitlines()
        return self.process.returncode


@contextmanager
def serving(
    python: str, folder: Path, *words: str, program: str | None = None, **environment: str
) -> Iterator[Served]:
    """Start a server on a free port; `program` is Python that calls the command line's `main`."""
    start = [python, "-c", program] if program else [python, "-m", "recode_eval"]
    command = [*start, "serve-rewards", "--port", "0", "--sandbox", "landlock", *words]
    process = subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip
    try:
        yield Served(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
