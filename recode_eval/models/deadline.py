"""An HTTP client whose time limit holds for a whole answer, not for each part of it."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from recode_eval.models.proxies import client_trouble, is_loopback


def client_with_deadline(seconds: float, url: str) -> Any:
    """Return the OpenAI client library's own HTTP client, with `seconds` for each request.

    A server on this machine is reached directly, whatever proxy the environment names for others.
    Raises `UsageError` naming the environment variable that keeps a client from being made.

    The HTTP library counts its timeout anew with every part it reads: a server that sends a byte
    now and then would hold a request for ever.
    """
    import openai

    base: Any = openai.DefaultAsyncHttpxClient
    # httpx or httpx2, by the version of the package; its own exception is what is retried.
    library = next(c.__module__ for c in base.__mro__ if c.__name__ == "AsyncClient")
    timeout_error = importlib.import_module(library.partition(".")[0]).ReadTimeout

    class Client(base):  # type: ignore[misc]
        async def send(self, request: Any, **settings: Any) -> Any:
            try:
                async with asyncio.timeout(seconds):
                    return await super().send(request, **settings)
            except TimeoutError:
                raise timeout_error("no complete answer in time", request=request) from None

    direct = url.startswith("http:") and is_loopback(url)
    try:
        return Client(timeout=seconds, trust_env=not direct)
    except (ImportError, ValueError, OSError) as error:
        raise client_trouble(url, error) from error
