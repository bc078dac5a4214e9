"""A hub of this machine: takes repositories and commits over HTTP, and keeps what it got."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "hf_" + "t" * 34


class Hub:
    """What was asked of it."""

    def __init__(self) -> None:
        self.repositories: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.status = 200
        """What it answers to everything."""
        self.address = ""


@contextmanager
def fake_hub() -> Iterator[Hub]:
    """Serve one for the block."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, content: Any, status: int = 200) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if hub.status != 200 or self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status = hub.status if hub.status != 200 else 401
                return self.answer({"error": "refused"}, status)
            path = self.path.partition("?")[0]
            if path == "/api/repos/create":
                hub.repositories.append(json.loads(body))
                name = f"me/{hub.repositories[-1]['name']}"
                return self.answer({"url": f"{hub.address}/{name}", "name": name, "id": name})
            if "/preupload/" in path:
                files = json.loads(body)["files"]
                plain = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False,
                          "oid": None} for f in files]  # fmt: skip
                return self.answer({"files": plain})
            if "/commit/" in path:
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        value = line["value"]
                        hub.files[value["path"]] = base64.b64decode(value["content"])
                return self.answer(
                    {"commitUrl": f"{hub.address}/me/run/commit/{'a' * 40}", "commitOid": "a" * 40}
                )
            if path == "/api/whoami-v2":
                return self.answer({"name": "me", "type": "user", "auth": {}})
            return self.answer({"id": "me/run", "siblings": [], "sha": "b" * 40})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
