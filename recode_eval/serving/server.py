"""Runs a reward server: opens the sandboxes, listens, and ends without losing an answer's word."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import resource
import signal
import socket
from typing import TYPE_CHECKING, Any

from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.run.reward import RewardGrader
from recode_eval.serving.desk import Desk
from recode_eval.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from recode_eval.run.config import SandboxOptions
    from recode_eval.serving.limits import ServerLimits
    from recode_eval.tasks.loading import LoadedTask

SHORTEST_TOKEN = 16
"""Characters; a shorter one can be guessed."""
_LARGEST_MESSAGE = 16 << 20
"""Bytes of one answer over a WebSocket."""
_FILES = 1024
"""Descriptors beside those of the connections."""
_CLOSING_S = 10
_POLL_S = 0.05


def serve(
    tasks: Sequence[LoadedTask],
    sandbox: SandboxOptions,
    limits: ServerLimits,
    *,
    host: str = "127.0.0.1",
    port: int,
    token: str = "",
    log: Callable[[str], None],
) -> None:
    """Serve rewards until a signal (SIGTERM or SIGINT) ends it; then what runs gets its verdict.

    A second signal ends it at once. `port` 0 takes a free one; `log` is told the address.

    Raises:
        UsageError: the extra `serve` is missing, a task has no tests, or the address is not of
            this machine alone and there is no token, or a short one.
        InfrastructureError: there is no sandbox, or the port is taken.
    """
    check_token(host, token)
    try:
        import uvicorn

        from recode_eval.serving.app import create_app
        from recode_eval.serving.measures import Measures
    except ImportError as error:
        raise UsageError(
            f"serve-rewards needs FastAPI and uvicorn ({error}): pip install 'recode-eval[serve]'"
        ) from error
    with contextlib.ExitStack() as closing:
        graders = {
            loaded.name: closing.enter_context(RewardGrader(loaded, sandbox)) for loaded in tasks
        }
        listening = closing.enter_context(_listen(host, port))
        _allow_files(limits.connections + _FILES)
        # A tier that cannot work is an error now, and not of the first answer.
        infos = [grader.open() for grader in graders.values()]
        desk = Desk(graders, limits, measures := Measures(tuple(graders)))
        app = create_app(desk, measures, token=token, sandbox=infos[0].tier)
        server: Any = uvicorn.Server(_settings(uvicorn, app, limits))
        server.capture_signals = contextlib.nullcontext
        served = ", ".join(f"{name} ({len(g.problems)} problems)" for name, g in graders.items())
        log(f"grading in {infos[0].tier} with {infos[0].workers} workers: {served}")
        log(f"listening on {_url(listening)}")
        with _printable_log():
            asyncio.run(_run(server, desk, listening, limits, log))
    log("ended")


def check_token(host: str, token: str) -> None:
    """Raise `UsageError` for an address that others can reach, without a token that keeps them."""
    if not token and not is_loopback(host):
        raise UsageError(
            f"Anyone who can reach {host} could run programs here. Give a token (--token-file "
            "FILE, or the variable RECODE_EVAL_REWARDS_TOKEN), or listen on 127.0.0.1."
        )
    if token and (len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable())):
        raise UsageError(
            f"The token must be at least {SHORTEST_TOKEN} printable ASCII characters. Make one: "
            "openssl rand -hex 32 > FILE."
        )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "box")]
    [True, True, True, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        raise InfrastructureError(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}. Choose another port "
            "(--port), or end what has it."
        ) from None


def _allow_files(wanted: int) -> None:
    """Let this process open so many files, as far as it may: many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft not in {resource.RLIM_INFINITY, most} and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _settings(uvicorn: Any, app: Any, limits: ServerLimits) -> Any:
    return uvicorn.Config(
        app,
        http="h11",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        # Trainers pause between batches for as long as a step takes.
        timeout_keep_alive=300,
        timeout_graceful_shutdown=_CLOSING_S,
        ws_max_size=min(limits.body_bytes, _LARGEST_MESSAGE),
        ws_max_queue=1,
        ws_per_message_deflate=False,
    )


async def _run(
    server: Any,
    desk: Desk,
    listening: socket.socket,
    limits: ServerLimits,
    log: Callable[[str], None],
) -> None:
    """Serve until a signal, then let what was taken end, for as long as the limits allow."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def on_signal() -> None:
        if asked.is_set():
            desk.give_up()
            server.should_exit = server.force_exit = True
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)

    async def end() -> None:
        await asked.wait()
        desk.leave()
        if desk.taken:
            log(f"ending: {desk.taken} answers have {limits.grace_s:g} s for their verdicts")
        deadline = loop.time() + limits.grace_s
        while desk.taken and loop.time() < deadline and not server.should_exit:
            await asyncio.sleep(_POLL_S)
        desk.give_up()
        await asyncio.sleep(_POLL_S)  # for the replies that say so
        server.should_exit = True

    ending = asyncio.create_task(end())
    try:
        await server.serve(sockets=[listening])
    finally:
        ending.cancel()


@contextlib.contextmanager
def _printable_log() -> Iterator[None]:
    """Log warnings to standard error, without the control characters of what was sent."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(name)s: %(message)s"))
    logger = logging.getLogger("uvicorn")
    before = logger.level, logger.propagate
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback may quote what a model wrote."""
        return printable(super().format(record))
