"""Rows from the hub and from its cache: the real `datasets` client against a local hub."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from arena_rows import write_rows

pytest.importorskip("datasets", reason="needs pip install 'recode-eval[hub]'")

REPOSITORY = "leo-liuzy/CodeUpdateArena"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = b"""---
configs:
- config_name: code_update_arena
  data_files:
  - split: test
    path: arena-ungrouped.jsonl
---
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """The few addresses of the hub that loading a data set asks for."""

    files: dict[str, bytes]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *arguments: object) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.split("?")[0]
        api = f"/api/datasets/{REPOSITORY}"
        name = path.rsplit("/", 1)[1]
        if path.startswith(f"/datasets/{REPOSITORY}/resolve/"):
            if name in self.files:
                tag = f'"{blob_id(self.files[name])}"'
                self._send(200, self.files[name], with_body, {"ETag": tag})
            else:
                self._send(404, b"{}", with_body, {"X-Error-Code": "EntryNotFound"})
        elif path.startswith(f"{api}/tree"):
            listing = [
                {"type": "file", "oid": blob_id(content), "size": len(content), "path": key}
                for key, content in self.files.items()
            ]
            self._send(200, json.dumps(listing).encode(), with_body, {})
        elif path.startswith(api):
            siblings = [{"rfilename": key} for key in self.files]
            info = {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings, "private": False,
                    "gated": False, "disabled": False, "tags": []}  # fmt: skip
            self._send(200, json.dumps(info).encode(), with_body, {})
        else:
            self._send(404, b"{}", with_body, {})

    def _send(self, code: int, body: bytes, with_body: bool, headers: dict[str, str]) -> None:
        self.send_response(code)
        for key, value in {**headers, "X-Repo-Commit": COMMIT}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl")


@pytest.fixture
def hub(rows: Path) -> Iterator[str]:
    files = {"README.md": CARD, "arena-ungrouped.jsonl": rows.read_bytes()}
    handler = type("FilledHub", (Hub,), {"files": files})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def load(folder: Path, endpoint: str, *source: str, offline: bool = False) -> dict[str, object]:
    """Load in a process of its own: the client reads its settings once, when it is imported."""
    program = (
        "import json, sys\n"
        "from recode_eval.tasks.registry import create_task\n"
        "source = sys.argv[1] if len(sys.argv) > 1 else None\n"
        "data = create_task('arena').load(source, skip_bad_rows=False)\n"
        "print(json.dumps({'n': len(data.problems), 'source': data.source, "
        "'hash': data.content_hash}))\n"
    )
    environment = {**os.environ, "HF_HOME": str(folder), "HF_ENDPOINT": endpoint}
    environment["HF_HUB_OFFLINE"] = str(int(offline))
    result = subprocess.run(
        [sys.executable, "-c", program, *source],
        capture_output=True, text=True, timeout=180, check=True, env=environment,
    )  # fmt: skip
    loaded: dict[str, object] = json.loads(result.stdout)
    return loaded


@pytest.mark.slow
def test_rows_come_from_the_hub_and_later_from_its_cache(
    hub: str, rows: Path, tmp_path: Path
) -> None:
    home = tmp_path / "hub-home"
    loaded = load(home, hub)
    assert loaded["n"] == 6
    assert loaded["source"] == REPOSITORY
    assert loaded["hash"] == load(home, hub, str(rows))["hash"]
    assert load(home, "http://127.0.0.1:9", offline=True) == loaded
