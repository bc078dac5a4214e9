"""The client of `recode-eval serve-rewards`: a `RewardGrader` whose pool all processes share."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import os
import threading
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from recode_eval.checks import of_type, within
from recode_eval.errors import DataError, InfrastructureError, UsageError
from recode_eval.run.answering import GradedAnswer
from recode_eval.run.reward import Rewarding, pairs_of
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOG: Final = logging.getLogger(__name__)
PORT: Final = 8471
URL_VARIABLE: Final = "RECODE_EVAL_REWARDS_URL"
TOKEN_VARIABLE: Final = "RECODE_EVAL_REWARDS_TOKEN"  # noqa: S105 - the name of a variable
CONNECTIONS: Final = 16
MOST_AT_ONCE: Final = 64
"""Answers in one request; every server takes as many (`serving.limits`)."""
_MOST_CHARACTERS: Final = 4 << 20
"""Of the answers in one request, which JSON spells with up to 12 bytes each."""
_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 30.0
_CONNECT_S: Final = 10.0
_PASSING: Final = {429, 502, 503, 504}
"""What a server says while it is busy, or is being restarted."""


class RewardClient(Rewarding):
    """Grades answers to one task in the pool of a server; has the methods of `RewardGrader`.

    Safe in threads and after a fork. A server that is busy, or is being restarted, is asked again
    for `patience` seconds: grading twice harms nothing.
    """

    def __init__(
        self,
        task: str,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 900.0,
        patience: float = 600.0,
    ) -> None:
        """Connect when the first answer comes.

        `url` is that of the server; None: the variable RECODE_EVAL_REWARDS_URL, else
        `http://127.0.0.1:8471`. `token` is by default the variable RECODE_EVAL_REWARDS_TOKEN.
        `timeout` (seconds) is the longest wait for one reply.

        Raises:
            UsageError: the URL is none, or a number is out of its range.
        """
        of_type("the task's name", task, str, "a text")
        within("timeout", timeout, 0, 1e6, above=True)
        within("patience", patience, 0, 1e6)
        self._task = task
        self.url = url or named_url() or f"http://127.0.0.1:{PORT}"
        self._scheme, self._host, self._port, self._path = _parts(self.url)
        self._token = token or os.environ.get(TOKEN_VARIABLE) or ""
        if not (self._token.isascii() and self._token.isprintable()):
            raise UsageError("The token of a reward server is printable ASCII text.")
        self._timeout, self._patience = timeout, patience
        self._warned = False
        self._begin()
        _clients.add(self)

    def _begin(self) -> None:
        """Begin without connections, at first and in a forked process."""
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._idle: list[http.client.HTTPConnection] = []

    def submit(self, problem_id: str, text: str) -> Future[GradedAnswer]:
        """Send one answer and return its future.

        The future raises `UsageError` for a task or a problem that the server does not have, and
        `InfrastructureError` if no server answers.
        """
        outer: Future[GradedAnswer] = Future()
        sent = self._send([(problem_id, text)])
        outer.add_done_callback(lambda done: sent.cancel() if done.cancelled() else None)
        sent.add_done_callback(lambda done: _pass_on(done, outer))
        return outer

    def grade(self, answers: Iterable[tuple[str, str]]) -> list[GradedAnswer]:
        """Return reward and explanation of each `(problem id, text)`; see `rewards`."""
        sent = [self._send(part) for part in _parted(pairs_of(answers))]
        try:
            return [graded for future in sent for graded in future.result()]
        except BaseException:
            _hang_up(sent)
            raise

    async def agrade(self, answers: Iterable[tuple[str, str]]) -> list[GradedAnswer]:
        """Return the same, without blocking the event loop; cancelling it hangs up."""
        sent = [self._send(part) for part in _parted(pairs_of(answers))]
        try:
            parts = await asyncio.gather(*map(asyncio.wrap_future, sent))
        except BaseException:
            _hang_up(sent)
            raise
        return [graded for part in parts for graded in part]

    def close(self) -> None:
        """Close the connections. Idempotent; the server and its pool stay."""
        with self._lock:
            executor, self._executor = self._executor, None
            idle, self._idle = self._idle, []
        if executor is not None:
            executor.shutdown(cancel_futures=True)
        for connection in idle:
            connection.close()

    def _send(self, pairs: list[tuple[str, str]]) -> _Sent:
        for key, text in pairs:
            of_type("problem id", key, str, "a text")
            of_type("text", text, str, "a text")
        sent = _Sent()
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(CONNECTIONS, "reward-client")
            working = self._executor.submit(self._work, sent, pairs)
        sent.add_done_callback(lambda _: working.cancel())
        working.add_done_callback(lambda done: sent.settle(_closed()) if done.cancelled() else None)
        return sent

    def _work(self, sent: _Sent, pairs: list[tuple[str, str]]) -> None:
        answers = [{"problem_id": key, "text": text} for key, text in pairs]
        body = json.dumps({"task": self._task, "answers": answers}).encode()
        try:
            graded = _graded(self._ask(sent, body), len(pairs))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            sent.settle(error)
        else:
            sent.settle(graded)

    def _ask(self, sent: _Sent, body: bytes) -> Any:
        """Return the reply's content, after as many tries as the patience allows."""
        deadline = time.monotonic() + self._patience
        pause = _PAUSE_S
        while True:
            wait = pause
            try:
                status, headers, content = self._post(sent, "/grade/batch", body)
            except (OSError, http.client.HTTPException) as error:
                trouble = f"does not answer: {one_line(error) or type(error).__name__}"
                self._warn(trouble)
                advice = (
                    f"Start it (recode-eval serve-rewards --tasks {self._task}), or name another"
                )
            else:
                if status == http.client.OK:
                    self._warned = False
                    return content
                trouble = f"refuses ({status}): {_message(content)}"
                advice = "Give it more workers or a longer queue"
                if status not in _PASSING:
                    raise _refusal(status, f"The reward server {self.url} {trouble}")
                with contextlib.suppress(ValueError):
                    wait = max(wait, float(headers.get("Retry-After", 0)))
            if sent.done():
                raise InfrastructureError("The answers were withdrawn.")
            if self._executor is None:
                raise _closed()
            wait = min(wait, _LONGEST_PAUSE_S)
            if time.monotonic() + wait > deadline:
                raise InfrastructureError(
                    f"The reward server {self.url} {trouble}. {advice} ({URL_VARIABLE})."
                )
            sent.wait(wait)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _warn(self, trouble: str) -> None:
        """Say once why nothing comes: training waits as long as the patience lasts."""
        if not self._warned:
            self._warned = True
            _LOG.warning(
                "The reward server %s %s. Asking again for %g s.", self.url, trouble, self._patience
            )

    def _post(self, sent: _Sent, path: str, body: bytes) -> tuple[int, Any, Any]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            # The server closes what was idle for long; that is no trouble of its own.
            with contextlib.suppress(ConnectionError, http.client.BadStatusLine):
                return self._exchange(sent, connection, path, body)
            connection.close()
        kind = http.client.HTTPSConnection if self._scheme == "https" else None
        new = (kind or http.client.HTTPConnection)(self._host, self._port, timeout=_CONNECT_S)
        new.connect()
        new.sock.settimeout(self._timeout)
        return self._exchange(sent, new, path, body)

    def _exchange(
        self, sent: _Sent, connection: http.client.HTTPConnection, path: str, body: bytes
    ) -> tuple[int, Any, Any]:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        kept = False
        try:
            with sent.using(connection):
                connection.request("POST", self._path + path, body, headers)
                reply = connection.getresponse()
                raw = reply.read()
            with self._lock:
                kept = not reply.will_close and self._executor is not None
                if kept:
                    self._idle.append(connection)
            return reply.status, reply.headers, _json(raw)
        finally:
            if not kept:
                connection.close()


class _Sent(Future[list[GradedAnswer]]):
    """The future of one request; cancelling it hangs up, which frees its place at the server."""

    def __init__(self) -> None:
        super().__init__()
        self._connection: http.client.HTTPConnection | None = None
        self._over = threading.Event()

    def cancel(self) -> bool:
        """Hang up."""
        cancelled = super().cancel()
        self._over.set()
        connection = self._connection
        if cancelled and connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(2)
        return cancelled

    def wait(self, seconds: float) -> None:
        """Wait, or until nobody wants the answers any more."""
        self._over.wait(seconds)

    @contextlib.contextmanager
    def using(self, connection: http.client.HTTPConnection) -> Any:
        """Say which connection has the request."""
        self._connection = connection
        try:
            if self.cancelled():
                raise ConnectionAbortedError("the answers were withdrawn")
            yield
        finally:
            self._connection = None

    def settle(self, graded: list[GradedAnswer] | BaseException) -> None:
        """Set the result, or the exception; nothing if it was cancelled."""
        if not self.set_running_or_notify_cancel():
            return
        if isinstance(graded, BaseException):
            self.set_exception(graded)
        else:
            self.set_result(graded)


_clients: weakref.WeakSet[RewardClient] = weakref.WeakSet()


def _forget() -> None:
    for client in list(_clients):
        client._begin()


os.register_at_fork(after_in_child=_forget)


def named_url() -> str | None:
    """Return the URL that the environment names."""
    return os.environ.get(URL_VARIABLE) or None


def _parts(url: str) -> tuple[str, str, int | None, str]:
    of_type("url", url, str, "a URL")
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError:
        found, port = urlsplit(""), None
    plain = url.isprintable() and " " not in url
    if found.scheme not in {"http", "https"} or not found.hostname or found.query or not plain:
        raise UsageError(f"A reward server's URL is like http://127.0.0.1:{PORT}, not {url!r}.")
    return found.scheme, found.hostname, port, found.path.rstrip("/")


def _parted(pairs: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Return the answers in parts: enough for all connections, none too large for a request."""
    most = min(MOST_AT_ONCE, max(1, -(-len(pairs) // CONNECTIONS)))
    parts: list[list[tuple[str, str]]] = []
    size = 0
    for pair in pairs:
        size += len(pair[1])
        if not parts or len(parts[-1]) == most or size > _MOST_CHARACTERS:
            parts.append([])
            size = len(pair[1])
        parts[-1].append(pair)
    return parts


def _closed() -> InfrastructureError:
    return InfrastructureError("The client was closed before the answers were graded.")


def _pass_on(done: Future[list[GradedAnswer]], outer: Future[GradedAnswer]) -> None:
    if not outer.set_running_or_notify_cancel():
        return
    error = None if done.cancelled() else done.exception()
    if done.cancelled() or error is not None:
        outer.set_exception(error or InfrastructureError("The answer was withdrawn."))
    else:
        outer.set_result(done.result()[0])


def _hang_up(sent: Iterable[_Sent]) -> None:
    for one in sent:
        one.cancel()


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _message(content: Any) -> str:
    error = content.get("error") if isinstance(content, dict) else None
    told = error.get("message") if isinstance(error, dict) else None
    return one_line(told or "it does not say why")


def _refusal(status: int, told: str) -> Exception:
    if status in {401, 403}:
        return UsageError(f"{told} Set {TOKEN_VARIABLE} to its token.")
    return UsageError(told) if status < 500 else InfrastructureError(told)


def _graded(content: Any, count: int) -> list[GradedAnswer]:
    """Return the answers of a reply; a reply of another shape is an error, and no reward."""
    found = content.get("answers") if isinstance(content, dict) else None
    if isinstance(found, list) and len(found) == count:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return [
                GradedAnswer(
                    None if item["reward"] is None else _binary(item["reward"]),
                    one_line(item["explanation"]),
                    item["code"],
                )
                for item in found
            ]
    raise DataError(
        "The reply of the reward server is not one of recode-eval serve-rewards. Check the URL, "
        "and that both are of the same version."
    )


def _binary(value: Any) -> float:
    if isinstance(value, bool) or value not in (0, 1):
        raise ValueError("a reward is 0 or 1")
    return float(value)
