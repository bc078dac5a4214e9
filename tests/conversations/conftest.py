"""Whole runs with conversations, against a scripted server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("openai", reason="needs pip install 'recode-eval[openai]'")
sys.path.insert(0, str(Path(__file__).parent.parent / "models"))

from arena_rows import write_rows
from fake_sandbox import FakeSandbox
from talk_server import TalkServer

from recode_eval import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from talk_server import Model


class Talks:
    """Runs of the command line on a few made problems, and what they left behind."""

    def __init__(self, folder: Path, problems: int) -> None:
        self.folder = folder
        self.rows = write_rows(folder / "rows.jsonl", problems)
        self.servers: list[TalkServer] = []

    def serve(self, model: Model, **options: Any) -> TalkServer:
        server = TalkServer(model, **options)
        server.__enter__()
        self.servers.append(server)
        return server

    def run(self, server: TalkServer, *more: str, sandbox: str = "landlock") -> int:
        words = ["--model", "tiny", "--tasks", "arena", "--n", "1", "--prompt", "plain"]
        words += ["--base-url", server.url, "--max-retries", "0", "--data", f"arena={self.rows}"]
        words += ["--sandbox", sandbox, "--isolation", "program"]
        return cli.run([*words, "--out", str(self.folder / "runs"), *more])

    @property
    def place(self) -> Path:
        (file,) = self.folder.glob("runs/*/*/manifest.json")
        return file.parent

    @property
    def results(self) -> dict[str, Any]:
        return json.loads((self.place / "results.json").read_text())

    def lines(self, name: str = "turns.jsonl") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.place / name).read_text().splitlines()]


@pytest.fixture
def talks(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Talks]:
    found = Talks(tmp_path, getattr(request, "param", 4))
    yield found
    for server in found.servers:
        server.__exit__()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeSandbox]:
    """Put a sandbox without protection in the place of all: programs of these tests are ours."""

    def install(**options: Any) -> FakeSandbox:
        sandbox = FakeSandbox("landlock", **options)
        monkeypatch.setattr("recode_eval.sandbox.open_router", lambda *_, **__: sandbox)
        return sandbox

    return install
