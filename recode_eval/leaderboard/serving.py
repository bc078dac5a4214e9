"""Serving a site to this machine while its runs change: an HTTP server and a look for changes.

The server gives out plain files of the site and nothing else. Requests are hostile: any web page
that somebody opens can send some to a port of their machine.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import socket
import stat
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TARGET = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", re.ASCII)
"""Everything that a site's links consist of: no dot files, no `..`, no escapes."""
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "no-store",
    # Data are scripts (`file://` knows no other way): without this any page could load them.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_CONNECTIONS = 64
"""Open at the same time; more are closed at once."""
_IDLE_S = 20
_PATIENCE = 15
"""Looks after which a change counts although files still change: a run writes for hours."""

Files: TypeAlias = "dict[str, tuple[int, int, int]]"
"""Paths with modification time, size and inode."""


class Server(ThreadingHTTPServer):
    """Serves the files of a site that may be exchanged meanwhile (hold `exchange`)."""

    daemon_threads = True
    allow_reuse_port = False  # a port in use is an error, not to be shared

    def __init__(self, site: Path, host: str, port: int) -> None:
        """Listen at an address; port 0 takes a free one.

        Raises:
            UsageError: the address is not available.
        """
        self.site = site.resolve()
        self.host = host
        self.exchange = threading.Lock()
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError, UnicodeError) as error:
            raise UsageError(
                f"Cannot listen on {host}, port {port}: {error}. --port 0 takes a free port."
            ) from error

    def server_bind(self) -> None:
        """Bind without the reverse look-up of the name, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.server_address[1]

    @property
    def url(self) -> str:
        """The first page's address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_port}/"

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(str(self.server_address[0])).is_loopback

    def believes(self, hosts: Sequence[str]) -> bool:
        """Return whether a request's `Host` headers name this server.

        A stranger's name that was made to point to this machine (DNS rebinding) is not: only
        addresses, `localhost` and the name that the server was given are.
        """
        if len(hosts) != 1:
            return False
        found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?", hosts[0].strip())
        if found is None:
            return False
        name = found[1].lower()
        if name in {"localhost", self.host.lower()}:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def opened(self, target: str) -> tuple[BinaryIO, str] | None:
        """Open the file that a request is for, and return it with its type; None: no such file."""
        target = target.partition("?")[0]
        if target == "/":
            target = "/index.html"
        if not _TARGET.fullmatch(target):
            return None
        path = self.site / target[1:]
        kind = _TYPES.get(path.suffix)
        if kind is None:
            return None
        with self.exchange:
            try:
                if path.resolve() != path:  # A link: a site has none.
                    return None
                found = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return None
        file = os.fdopen(found, "rb")
        if not stat.S_ISREG(os.fstat(found).st_mode):
            file.close()
            return None
        return file, kind

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, unless there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # No thread, so nobody else gives it back.
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: a disconnected browser is not an error, and its request is untrusted."""


class _Handler(BaseHTTPRequestHandler):
    """Answers one request and closes the connection."""

    server: Server
    timeout = _IDLE_S
    server_version = "recode-eval"
    sys_version = ""
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain; charset=utf-8"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        if not self.server.believes(self.headers.get_all("Host", [])):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        found = self.server.opened(self.path)
        if found is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        file, kind = found
        with file:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            if body:
                shutil.copyfileobj(file, self.wfile)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Name only the error: any other text would repeat the request."""
        del message, explain
        super().send_error(code)

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args


class Changes:
    """Detects when a site's inputs have changed and are stable again."""

    def __init__(self, places: Iterable[Path], site: Path) -> None:
        """Remember the files at and below `places`; those of the `site` do not count."""
        self._places = sorted({place.resolve() for place in places})
        self._site = site.resolve()
        self._built = self._last = self._look()
        self._looks = 0

    def due(self) -> bool:
        """Check again and return whether to build now; the build then covers this check's state.

        A change waits until two looks find the same, but not for ever.
        """
        now = self._look()
        if now == self._built:
            self._last, self._looks = now, 0
            return False
        self._looks += 1
        quiet, self._last = now == self._last, now
        if not quiet and self._looks < _PATIENCE:
            return False
        self._built, self._looks = now, 0
        return True

    def _look(self) -> Files:
        found: Files = {}
        for place in self._places:
            _note(found, place)
            for folder, folders, files in os.walk(place):
                folders[:] = [name for name in folders if not self._own(folder, name)]
                for name in files:
                    _note(found, Path(folder, name))
        return found

    def _own(self, folder: str, name: str) -> bool:
        """Whether it is the site, or one that a build is making or removing."""
        if Path(folder) != self._site.parent:
            return False
        mine = self._site.name
        return name == mine or bool(re.fullmatch(rf"\.{re.escape(mine)}\.\d+\.(new|old)", name))


def _note(found: Files, path: Path) -> None:
    try:
        known = path.stat()
    except OSError:
        return
    if stat.S_ISREG(known.st_mode):
        found[str(path)] = known.st_mtime_ns, known.st_size, known.st_ino
