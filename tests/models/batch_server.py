"""A protocol server with batch jobs, and a script of what may go wrong with them.

`scripts` has what becomes of the next batches, one each: a function from the lines (custom id and
body) to a `Script`. Without one, every line is answered. `paid` counts how often each custom id was
in a batch that the server made; a `moment` hook sees every request before and after it is handled.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any

from protocol_server import ProtocolServer, _Handler

if TYPE_CHECKING:
    from collections.abc import Callable

Lines = "Sequence[tuple[str, dict[str, Any]]]"


@dataclass
class Script:
    """How a batch ends: its status, and the lines of its files."""

    status: str = "completed"
    output: list[Any] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    complaint: str = ""
    vanishes: bool = False


class BatchServer(ProtocolServer):
    """Use as a context manager."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.RequestHandlerClass = _BatchHandler
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.scripts: list[Callable[[Any], Script]] = []
        self.paid: Counter[str] = Counter()
        self.polls = 1
        """Looks at a batch before it has ended."""
        self.answer: Callable[[str, dict[str, Any]], Any] = answered
        self.create_status: list[int | str] = []
        """What the next creations answer instead: a status, or `lost` (made, but never said)."""
        self.list_of_batches = 200
        self.moment: Callable[[str, str], object] = lambda _what, _phase: None


def answered(item: str, body: dict[str, Any], text: str | None = None) -> dict[str, Any]:
    """The line of a proper answer; by default `echo` and the seed."""
    content = text if text is not None else f"echo {body.get('seed')}"
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": content}}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return responded(item, 200, {"choices": [choice], "usage": usage})


def responded(item: str, status: int, body: Any) -> dict[str, Any]:
    """A line with a response."""
    return {"custom_id": item, "response": {"status_code": status, "body": body}, "error": None}


def refused(item: str, status: int, message: str) -> dict[str, Any]:
    """A line with an error of one request."""
    return responded(item, status, {"error": {"message": message}})


class _BatchHandler(_Handler):
    server: BatchServer

    def do_GET(self) -> None:
        path, _, query = self.path.removeprefix("/v1/").partition("?")
        kind, _, rest = path.partition("/")
        if kind == "models":
            super().do_GET()
        elif kind == "files":
            self._moment("download", lambda: self._download(rest.removesuffix("/content")))
        elif rest:
            self._moment("poll", lambda: self._poll(rest))
        else:
            self._moment("list", lambda: self._list(query))

    def do_POST(self) -> None:
        path = self.path.removeprefix("/v1/")
        if path == "files":
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            self._moment("upload", lambda: self._upload(raw))
        elif path == "batches":
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            self._moment("create", lambda: self._create(json.loads(raw)))
        else:
            super().do_POST()

    def _moment(self, what: str, handle: Callable[[], tuple[int, Any]]) -> None:
        if self.server.moment(what, "before"):
            self.close_connection = True
            return
        with self.server.lock:
            status, content = handle()
        self.server.moment(what, "after")
        self.send(status, content, {"retry-after-ms": "1"})

    def _upload(self, raw: bytes) -> tuple[int, Any]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(head + raw).get_payload()
        named = {part.get_param("name", header="content-disposition"): part for part in parts}
        assert named["purpose"].get_payload() == "batch"
        name = f"file-{len(self.server.files)}"
        self.server.files[name] = named["file"].get_payload(decode=True)
        return 200, {"id": name, "object": "file", "purpose": "batch"}

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        server = self.server
        now = server.create_status.pop(0) if server.create_status else 200
        if now not in {200, "lost"}:
            return int(now), {"error": {"message": "no batch now"}}
        assert body["endpoint"] == "/v1/chat/completions"
        raw = server.files[body["input_file_id"]].splitlines()
        lines = [(line["custom_id"], line["body"]) for line in map(json.loads, raw)]
        server.paid.update(item for item, _ in lines)
        default = Script(output=[server.answer(item, sent) for item, sent in lines])
        script = server.scripts.pop(0)(lines) if server.scripts else default
        name = f"batch_{len(server.batches)}"
        server.batches[name] = {
            "id": name,
            "object": "batch",
            "status": "validating",
            "metadata": body["metadata"],
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
            "_script": script,
            "_polls": 0,
        }
        return (500, {"error": "lost"}) if now == "lost" else (200, self._shown(name))

    def _shown(self, name: str) -> dict[str, Any]:
        return {k: v for k, v in self.server.batches[name].items() if not k.startswith("_")}

    def _poll(self, name: str) -> tuple[int, Any]:
        batch = self.server.batches.get(name)
        if batch is None:
            return 404, {"error": {"message": "no such batch"}}
        script: Script = batch["_script"]
        batch["_polls"] += 1
        if batch["_polls"] <= self.server.polls:
            batch["status"] = "in_progress"
        elif script.vanishes:
            del self.server.batches[name]
            return 404, {"error": {"message": "no such batch"}}
        elif batch["status"] != script.status:
            batch["status"] = script.status
            for key, lines in (("output", script.output), ("error", script.errors)):
                if lines:
                    file = f"file-{name}-{key}"
                    self.server.files[file] = b"\n".join(
                        x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines
                    )
                    batch[f"{key}_file_id"] = file
            if script.complaint:
                batch["errors"] = {"data": [{"message": script.complaint}]}
        return 200, self._shown(name)

    def _list(self, query: str) -> tuple[int, Any]:
        if self.server.list_of_batches != 200:
            return self.server.list_of_batches, {"error": {"message": "no batches here"}}
        names = list(reversed(self.server.batches))
        after = dict(part.split("=") for part in query.split("&") if part).get("after")
        begin = names.index(after) + 1 if after else 0
        page = names[begin : begin + 2]  # short pages: nobody may rely on the first one
        shown = [self._shown(name) for name in page]
        return 200, {"data": shown, "has_more": begin + 2 < len(names)}

    def _download(self, name: str) -> tuple[int, Any]:
        found = self.server.files.get(name)
        return (404, {"error": {"message": "no such file"}}) if found is None else (200, found)
