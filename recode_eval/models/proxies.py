"""The environment variables that decide how an HTTP client reaches a server."""

from __future__ import annotations

import ipaddress
import os
from typing import Final
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from recode_eval.errors import UsageError

_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def is_loopback(url: str) -> bool:
    """Whether the host is this machine: no proxy could reach it.

    >>> [is_loopback(f"http://{host}/v1") for host in ("127.0.0.1:80", "[::1]", "a.org")]
    [True, True, False]
    """
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def proxy_variable(url: str) -> str | None:
    """Return the name of the variable whose proxy requests to `url` go through, if any."""
    parts = urlsplit(url)
    if is_loopback(url) or proxy_bypass(parts.hostname or ""):
        return None
    names = (f"{parts.scheme}_proxy", "all_proxy")
    either = [spelling for name in names for spelling in (name, name.upper())]
    return next((name for name in either if os.environ.get(name)), None)


def client_trouble(url: str, error: Exception) -> UsageError:
    """Return the error of a client that cannot even be made, naming the variable to blame."""
    text = " ".join(str(error).split())
    for name in _CERTIFICATES:
        place = os.environ.get(name)
        if place and isinstance(error, OSError):
            return UsageError(
                f"cannot read the certificates in {place}, which the environment variable {name} "
                f"names ({text}); correct or unset it"
            )
    variables = [
        name
        for name in sorted(os.environ)
        if name.lower() in {"all_proxy", "http_proxy", "https_proxy"} and os.environ[name]
    ]
    blamed = ", ".join(variables) or "HTTPS_PROXY, ALL_PROXY or SSL_CERT_FILE"
    socks = any(os.environ[name].lower().startswith("socks") for name in variables)
    fix = "pip install socksio for a SOCKS proxy, or unset it" if socks else "correct or unset it"
    # The text may quote a proxy's address with a password in it.
    cause = type(error).__name__ if "@" in text else f"{type(error).__name__}: {text}"
    return UsageError(
        f"no HTTP client can be made for {url} ({cause}); see the environment variable {blamed}: "
        f"{fix}"
    )
