"""Who may ask: the token, and without one the pages of a browser kept out.

A page of any web site can send requests to a port of the machine it is shown on. Those name that
site as their origin, or, after a trick with its name server, as their host.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.websockets import WebSocketClose

from recode_eval.serving.desk import Refusal
from recode_eval.serving.requests import error_reply

if TYPE_CHECKING:
    from collections.abc import Callable

_OPEN = {"/health"}
"""What needs no token: whether the server is up."""


class Gate:
    """An ASGI application in front of another."""

    def __init__(self, app: Any, *, token: str, refused: Callable[[str], None]) -> None:
        """Let through who has the token; an empty one: who is on this machine, and no browser."""
        self._app = app
        self._token = token.encode()
        self._refused = refused

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        refusal = None
        if scope["type"] in {"http", "websocket"} and scope["path"] not in _OPEN:
            refusal = self._refusal(Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, send)
            return
        self._refused(refusal.code)
        reply = error_reply(refusal) if scope["type"] == "http" else WebSocketClose(1008)
        await reply(scope, receive, send)

    def _refusal(self, headers: Headers) -> Refusal | None:
        if self._token:
            kind, _, given = headers.get("authorization", "").partition(" ")
            known = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
            if kind.lower() == "bearer" and known:
                return None
            told = "This server wants its token: Authorization: Bearer TOKEN."
            return Refusal(401, "no_token", told)
        if "origin" in headers:
            return Refusal(403, "from_a_page", "Pages of a browser may not ask this server.")
        if not _is_here(headers.get("host", "")):
            told = "Ask this server as localhost or by its address."
            return Refusal(403, "other_host", told)
        return None


def _is_here(host: str) -> bool:
    """Return whether a header `Host` names this machine itself."""
    name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdecimal() else host
    name = name.strip("[]").lower()
    if name in {"localhost", ""}:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
