"""The client against servers that are busy, broken, not ours, or not there."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from concurrent.futures import CancelledError
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from recode_eval import RewardClient
from recode_eval.errors import DataError, InfrastructureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PASSED = {"reward": 1.0, "explanation": "", "code": "x"}


class Server:
    """Answers each request with what `reply` returns for its content: status, content, headers."""

    def __init__(self) -> None:
        self.reply: Callable[[dict[str, Any]], tuple[int, Any, dict[str, str]]] = self.passing
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.left = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append(content)
                server.headers.append(dict(self.headers))
                status, answer, headers = server.reply(content)
                raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(raw)
                except OSError:
                    server.left.set()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def passing(content: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        return 200, {"answers": [PASSED] * len(content["answers"])}, {}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def test_a_large_batch_goes_in_parts_and_comes_back_in_order(server: Server) -> None:
    def reply(content: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        graded = [
            {"reward": None, "explanation": one["text"], "code": None} for one in content["answers"]
        ]
        return 200, {"answers": graded}, {}

    server.reply = reply
    asked = [("p", f"{n} \ud800") for n in range(1500)]
    with RewardClient("t", server.url) as client:
        found = client.grade(asked)
        assert [one.explanation for one in found] == [f"{n} \\ud800" for n in range(1500)]
        assert asyncio.run(client.arewards(asked[:40])) == [None] * 40
        assert client.submit("p", "x").result(timeout=10).explanation == "x"
    assert all(len(content["answers"]) <= 64 for content in server.requests)
    assert {content["task"] for content in server.requests} == {"t"}


def test_a_busy_server_is_asked_again_when_it_says(server: Server) -> None:
    def busy(content: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if len(server.requests) < 3:
            return 429, {"error": {"code": "queue_full", "message": "full"}}, {"Retry-After": "0"}
        return server.passing(content)

    server.reply = busy
    with RewardClient("t", server.url) as client:
        assert client("p", "x") == 1.0
    assert len(server.requests) == 3


def test_patience_ends_with_cause_and_fix(server: Server) -> None:
    server.reply = lambda _: (503, {"error": {"message": "ends\x1b[1m"}}, {"Retry-After": "9"})
    with RewardClient("t", server.url, patience=0.1) as client:
        with pytest.raises(InfrastructureError, match=r"refuses \(503\): ends\\x1b\[1m\. Give"):
            client("p", "x")
        with pytest.raises(InfrastructureError):
            client.submit("p", "x").result(timeout=10)


def test_no_server_is_an_error_that_says_how_to_start_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ten minutes of patience passed without a word."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with (
        RewardClient("arena-mini", f"http://127.0.0.1:{port}", patience=0.3) as client,
        pytest.raises(InfrastructureError, match="recode-eval serve-rewards --tasks arena-mini"),
    ):
        client.rewards([("p", "x")] * 5)
    [told] = [record.getMessage() for record in caplog.records]
    assert f"http://127.0.0.1:{port} does not answer" in told
    assert told.endswith("Asking again for 0.3 s.")


def test_a_server_that_is_restarted_loses_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with RewardClient("t", f"http://127.0.0.1:{port}", patience=30) as client:
        waits = client.submit("p", "x")
        time.sleep(0.3)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                raw = json.dumps(Server.passing(content)[1]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", port), Handler) as back:
            threading.Thread(target=back.serve_forever, daemon=True).start()
            assert waits.result(timeout=20).reward == 1.0
            back.shutdown()


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"[" * 100_000,
        b'{"answers": [{"reward": NaN, "explanation": "", "code": null}]}',
        {},
        {"answers": []},
        {"answers": [PASSED, PASSED]},
        {"answers": [{**PASSED, "reward": 0.5}]},
        {"answers": [{**PASSED, "reward": True}]},
        {"answers": [{**PASSED, "reward": "1"}]},
        {"answers": [{"explanation": "", "code": None}]},
        {"answers": [3]},
    ],
)
def test_a_reply_of_another_shape_is_no_reward(server: Server, content: Any) -> None:
    server.reply = lambda _: (200, content, {})
    with (
        RewardClient("t", server.url) as client,
        pytest.raises(DataError, match="Check the URL"),
    ):
        client("p", "x")


def test_what_the_server_does_not_have_is_the_users_error(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.reply = lambda _: (404, {"error": {"message": "Unknown task 't'."}}, {})
    monkeypatch.setenv("RECODE_EVAL_REWARDS_URL", server.url)
    monkeypatch.setenv("RECODE_EVAL_REWARDS_TOKEN", "a secret of some length")
    with RewardClient("t") as client, pytest.raises(UsageError, match="Unknown task 't'"):
        client("p", "x")
    assert server.headers[0]["Authorization"] == "Bearer a secret of some length"
    server.reply = lambda _: (401, {"error": {"message": "This server wants its token."}}, {})
    with RewardClient("t") as client, pytest.raises(UsageError, match="REWARDS_TOKEN to its token"):
        client("p", "x")
    server.reply = lambda _: (500, {"error": {"message": "bug"}}, {})
    with RewardClient("t") as client, pytest.raises(InfrastructureError, match=r"\(500\): bug"):
        client("p", "x")


def test_cancelling_hangs_up(server: Server) -> None:
    held, waiting = threading.Event(), threading.Event()

    def hold(content: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        waiting.set()
        held.wait(10)
        return 200, {"answers": [PASSED] * len(content["answers"])}, {}

    server.reply = hold
    with RewardClient("t", server.url) as client:
        future = client.submit("p", "x")
        assert waiting.wait(10)
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result(timeout=1)

        async def main() -> None:
            task = asyncio.ensure_future(client.agrade([("p", "y")]))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
    assert len(server.requests) == 2  # closing did not wait for the server
    held.set()


def test_closing_from_another_thread_leaves_nobody_waiting(server: Server) -> None:
    """What had no connection yet was dropped without a word, and its caller waited for ever."""
    held, busy = threading.Event(), threading.Barrier(17)

    def reply(content: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        busy.wait(10)
        held.wait(10)
        return Server.passing(content)

    server.reply = reply
    client = RewardClient("t", server.url)
    futures = [client.submit("p", f"{n}") for n in range(40)]
    busy.wait(10)  # all 16 connections have a request
    closing = threading.Thread(target=client.close)
    closing.start()
    with pytest.raises(InfrastructureError, match="was closed"):
        futures[-1].result(timeout=10)
    held.set()
    closing.join(10)
    assert [future.result(timeout=10).reward for future in futures[:16]] == [1.0] * 16
    failed = [future.exception(timeout=10) for future in futures[16:]]
    assert all(isinstance(error, InfrastructureError) for error in failed)


def test_closing_ends_the_patience_with_a_server_that_is_gone() -> None:
    """Closing waited for ten minutes of tries at a server that was not there."""
    client = RewardClient("t", "http://127.0.0.1:9", patience=600)
    future = client.submit("p", "x")
    time.sleep(0.3)
    client.close()
    with pytest.raises(InfrastructureError, match="was closed"):
        future.result(timeout=5)


def test_long_answers_go_in_smaller_parts(server: Server) -> None:
    """64 of them in one request were more than a server takes, and a whole batch was lost."""
    with RewardClient("t", server.url) as client:
        assert client.rewards([("p", "x" * 1_500_000)] * 50) == [1.0] * 50
    assert max(len(content["answers"]) for content in server.requests) == 2


def test_a_forked_process_has_connections_of_its_own(server: Server) -> None:
    with RewardClient("t", server.url) as client:
        assert client("p", "x") == 1.0
        children = []
        for _ in range(3):
            child = os.fork()
            if not child:
                code = 3
                try:
                    code = 0 if client.rewards([("p", "y")] * 20) == [1.0] * 20 else 4
                finally:
                    os._exit(code)
            children.append(child)
        assert client.rewards([("p", "z")] * 20) == [1.0] * 20
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]


@pytest.mark.parametrize(
    "url", ["ftp://x", "127.0.0.1:80", "http://", "http://x:99999", "http://x?y", "http://x y"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="A reward server's URL is like"):
        RewardClient("t", url)


def test_wrong_types_never_reach_the_server(server: Server) -> None:
    with RewardClient("t", server.url) as client:
        with pytest.raises(UsageError, match="text must be a text"):
            client("p", None)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="problem id must be a text"):
            client(3, "x")  # type: ignore[arg-type]
        assert client.rewards([]) == []
    with pytest.raises(UsageError, match="printable ASCII"):
        RewardClient("t", server.url, token="a\r\nX: y")
    assert server.requests == []
