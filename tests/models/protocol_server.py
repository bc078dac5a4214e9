"""An HTTP server that speaks the chat completions protocol, and can be told to misbehave.

It answers `echo SEED` of what it was asked, so that tests see what arrived. `behaviours` is a list
of what to do with the next requests, one each; when it is empty the server behaves.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable


class ProtocolServer(ThreadingHTTPServer):
    """Use as a context manager; `url` is the base URL."""

    daemon_threads = True

    def __init__(self, *, owner: str = "vllm", names: tuple[str, ...] = ("tiny",)) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner
        self.names = names
        self.context: int | None = None
        self.traits: dict[str, Any] = {}
        self.behaviours: list[Callable[[_Handler, dict[str, Any]], None]] = []
        self.always: Callable[[_Handler, dict[str, Any]], None] | None = None
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.delay = 0.0
        self.list_status = 200
        self.busy = 0
        self.most_busy = 0
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: ProtocolServer

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        if self.path != "/v1/models" or self.server.list_status != 200:
            self.send(self.server.list_status, {"detail": "no list"}, {"retry-after-ms": "1"})
            return
        entries = [
            {
                "id": name,
                "object": "model",
                "owned_by": self.server.owner,
                "max_model_len": self.server.context,
                **self.server.traits,
            }
            for name in self.server.names
        ]
        self.send(200, {"object": "list", "data": entries})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.requests.append(body)
            server.keys.append(self.headers.get("Authorization"))
            behaviour = server.behaviours.pop(0) if server.behaviours else server.always
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
        time.sleep(server.delay)
        # Before the answer: whoever has it may send the next request at once.
        with server.lock:
            server.busy -= 1
        (behaviour or answer)(self, body)

    def send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def answer(
    handler: _Handler,
    body: dict[str, Any],
    *,
    text: str | None = None,
    finish: str = "stop",
    message: dict[str, Any] | None = None,
) -> None:
    """A proper answer; by default `echo` and the seed."""
    content = text if text is not None else f"echo {body.get('seed')}"
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": content, **(message or {})},
    }
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    handler.send(200, {"object": "chat.completion", "choices": [choice], "usage": usage})


def fail(status: int, message: str = "broken", **headers: str) -> Callable[..., None]:
    """An error in the protocol's form."""

    def behave(handler: _Handler, _: dict[str, Any]) -> None:
        error = {"error": {"message": message, "type": "error", "code": status}}
        handler.send(status, error, {"retry-after-ms": "1", **headers})

    return behave


def drop(handler: _Handler, _: dict[str, Any]) -> None:
    """Close the connection without a word."""
    handler.close_connection = True
    handler.connection.close()


def truncate(handler: _Handler, _: dict[str, Any]) -> None:
    """Announce a long body, send a short one, hang up."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.close()


def raw(content: bytes, kind: str = "application/json") -> Callable[..., None]:
    """Some other body with status 200."""
    return lambda handler, _: handler.send(200, content, {"Content-Type": kind})
