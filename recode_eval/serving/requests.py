"""How requests are read and errors are written: strict JSON, limits of size and time, one shape.

JSON with NaN, infinities or numbers beyond every float is refused: the reply would not be JSON. So
is a name that an object has twice, of which readers take one or the other. Messages never repeat
more than a line of what was sent, with control characters spelt out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from recode_eval.serving.desk import Refusal
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import FastAPI

    from recode_eval.serving.limits import ServerLimits

_log = logging.getLogger(__name__)
_SHOWN = 3
"""Faults of a request that are named."""
_MOST_OBJECTS = 500_000
"""In one body; each costs some hundred times the two bytes of its braces."""
_MOST_NAMES = 10_000
"""In one object: every name that a request must not have is a fault to be described."""
_BODIES = 16
"""Bodies of the largest size for whose bytes there is room at a time."""


class AsciiJSON(JSONResponse):
    """JSON in ASCII: half a surrogate pair in an answer's code is no UTF-8."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class RefusedRequest(HTTPException):
    """A `Refusal` where FastAPI reads a body, which lets this class alone pass."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal


class Room:
    """The bytes of bodies that a server holds at a time, for all requests together."""

    def __init__(self, limits: ServerLimits) -> None:
        self._most = _BODIES * limits.body_bytes
        self._held = 0

    def take(self, size: int) -> None:
        """Hold so many bytes more; raises `Refusal` (429) where there is no room."""
        if self._held + size > self._most:
            told = "The bodies of other requests fill the memory. Send this one again."
            raise Refusal(429, "bodies_full", told, 1)
        self._held += size

    def free(self, size: int) -> None:
        """Hold so many less."""
        self._held -= size


class StrictRequest(Request):
    """A request whose body is read within limits and parsed strictly."""

    held = 0
    """Bytes of the server's room that the body has."""

    async def body(self) -> bytes:
        """Return the body; raises `RefusedRequest` (413, 408, 429)."""
        if not hasattr(self, "_body"):
            limits: ServerLimits = self.app.state.limits
            try:
                async with asyncio.timeout(limits.body_s):
                    self._body = await self._read(limits.body_bytes)
            except Refusal as refusal:
                raise RefusedRequest(refusal) from None
            except TimeoutError:
                told = f"The body did not arrive within {limits.body_s:g} s."
                raise RefusedRequest(Refusal(408, "slow_body", told)) from None
        return self._body

    async def _read(self, most: int) -> bytes:
        parts, size = [], 0
        announced = self.headers.get("content-length", "")
        if announced.isdecimal() and len(announced) > len(str(most)) + 1:
            size = most + 1
        elif announced.isdecimal():
            size = int(announced) if int(announced) > most else 0
        if size <= most:
            async for part in self.stream():
                size += len(part)
                if size > most:
                    break
                self.app.state.room.take(len(part))
                self.held += len(part)
                parts.append(part)
        if size > most:
            told = f"The body is larger than {most:,} bytes. Send fewer answers at once."
            raise RefusedRequest(Refusal(413, "body_too_large", told))
        return b"".join(parts)

    async def json(self) -> Any:
        """Return the body's content; raises `RefusedRequest` (400)."""
        if not hasattr(self, "_json"):
            try:
                self._json = parse_json(await self.body())
            except Refusal as refusal:
                raise RefusedRequest(refusal) from None
        return self._json


class StrictRoute(APIRoute):
    """A route whose requests are strict."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            try:
                return await handle(strict)
            finally:
                request.app.state.room.free(strict.held)

        return handle_strictly


def parse_json(raw: bytes | str) -> Any:
    """Return the content of JSON; raises `Refusal` (400) for what is none."""
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
        return json.loads(
            text,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_Objects(),
        )
    except RecursionError:
        reason = "it is nested too deeply"
    except (ValueError, UnicodeDecodeError) as error:
        reason = one_line(error, 200)
    raise Refusal(400, "bad_json", f"The body is not JSON: {reason}.")


class _Objects:
    """Makes the objects of one body."""

    def __init__(self) -> None:
        self._left = _MOST_OBJECTS

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return an object; raises `ValueError` for too many, or too large a one."""
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"it has more than {_MOST_OBJECTS:,} objects")
        if len(pairs) > _MOST_NAMES:
            raise ValueError(f"an object has more than {_MOST_NAMES:,} names")
        made = dict(pairs)
        if len(made) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise ValueError(f"an object has the name {twice!r:.80} twice")
        return made


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is beyond every float")
    return value


def _whole(digits: str) -> int:
    if len(digits) > 300:
        raise ValueError("a number is beyond every float")
    return int(digits)


def error_reply(refusal: Refusal) -> Response:
    """Return the reply to a request that was refused."""
    headers = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    content = {"error": {"code": refusal.code, "message": refusal.message}}
    return AsciiJSON(content, refusal.status, headers)


def faults(errors: list[Any]) -> str:
    """Return what is wrong with a request, in one line."""
    told = []
    for error in errors[:_SHOWN]:
        where = ".".join(str(part) for part in error["loc"] if part != "body")
        told.append(f"{one_line(where, 100) or 'the body'}: {one_line(error['msg'], 200)}")
    more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
    return "; ".join(told) + more


def answer_errors(app: FastAPI, refused: Callable[[str], None]) -> None:
    """Give every error of an application the one shape; `refused` is told each one's code."""

    def reply(refusal: Refusal) -> Response:
        refused(refusal.code)
        return error_reply(refusal)

    @app.exception_handler(Refusal)
    async def on_refusal(request: Request, error: Refusal) -> Response:
        del request
        return reply(error)

    @app.exception_handler(RefusedRequest)
    async def on_refused(request: Request, error: RefusedRequest) -> Response:
        del request
        return reply(error.refusal)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        told = faults(list(error.errors())) + "."
        if "json" not in request.headers.get("content-type", ""):
            told += " Send the header Content-Type: application/json."
        return reply(Refusal(422, "invalid", told))

    @app.exception_handler(ClientDisconnect)
    async def on_gone(request: Request, error: ClientDisconnect) -> Response:
        del request, error
        return reply(Refusal(499, "hung_up", "The client hung up."))

    @app.exception_handler(404)
    async def on_nowhere(request: Request, error: Exception) -> Response:
        del request, error
        return reply(Refusal(404, "no_such_path", "There is nothing here; see /openapi.json."))

    @app.exception_handler(405)
    async def on_method(request: Request, error: HTTPException) -> Response:
        del request
        answer = reply(Refusal(405, "no_such_method", "This path takes another method."))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def on_bug(request: Request, error: Exception) -> Response:
        del request, error
        told = "An error of this program; its log has the details. Nothing was graded."
        return reply(Refusal(500, "internal", told))
