from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import failed, recode_eval
from waiting import wait_for

from recode_eval.errors import ExitCode, UsageError
from recode_eval.leaderboard import serving, site
from recode_eval.leaderboard.serving import Changes, Server

from made_runs import make_run  # isort: skip

pytestmark = pytest.mark.slow

DEADLINE_S = 120


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served-runs")
    make_run(folder, "First-7B", 0.9, n=1)
    return folder


@pytest.fixture(scope="module")
def made(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("served") / "site"
    site.build([runs], out)
    (out.parent / "secret.html").write_text("secret")
    return out


@contextmanager
def serving_thread(folder: Path, host: str = "127.0.0.1") -> Iterator[Server]:
    with Server(folder, host, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server(made: Path) -> Iterator[Server]:
    with serving_thread(made) as found:
        yield found


def raw(server: Server, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def get(server: Server, target: str, host: str = "localhost", method: str = "GET") -> bytes:
    """Send the target as it is: clients tidy up the paths of attacks."""
    return raw(server, f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_every_file_of_a_site_is_served_as_it_is(server: Server, made: Path) -> None:
    paths = [path for path in sorted(made.rglob("*")) if path.is_file() and path.name[0] != "."]
    assert {path.suffix for path in paths} >= {".html", ".js", ".css", ".csv", ".json"}
    for path in paths:
        head, _, body = get(server, f"/{path.relative_to(made).as_posix()}").partition(b"\r\n\r\n")
        assert status(head) == 200, path
        assert body == path.read_bytes()
        assert f"Content-Length: {len(body)}".encode() in head


def test_the_first_page_is_served_with_and_without_its_name(server: Server, made: Path) -> None:
    index = (made / "index.html").read_bytes()
    for target in ("/", "/index.html", "/?a=b", "//index.html"):
        assert get(server, target).endswith(index)


def test_head_sends_no_body_and_other_methods_nothing_at_all(server: Server) -> None:
    answer = get(server, "/", method="HEAD")
    assert status(answer) == 200
    assert answer.endswith(b"\r\n\r\n")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "CONNECT"):
        assert status(get(server, "/", method=method)) == 501


@pytest.mark.parametrize(
    "target",
    [
        "/../secret.html", "/%2e%2e/secret.html", "/..%2fsecret.html", "/static/../../secret.html",
        "/./index.html", "/.recode-eval-site", "/%2erecode-eval-site", "/static/", "/static",
        "/..\\secret.html", "/index.html%00.js", "/\x00", "/models//", "/etc/passwd",
        "//etc/passwd", "http://localhost/../secret.html", "http://localhost/index.html", "*",
        "/index.html/", "/index.html/x.js", "/no.html", "/" + "a" * 5000 + ".html", "/ä.html",
    ],
)  # fmt: skip
def test_nothing_outside_of_the_site_is_served(server: Server, target: str) -> None:
    """Attack: paths that leave the folder, in all spellings, hidden files, folders, odd targets."""
    answer = get(server, target)
    assert status(answer) in {400, 404}
    assert b"secret" not in answer.replace(target.encode(), b"")


def test_links_and_pipes_in_the_site_are_not_followed(made: Path, tmp_path: Path) -> None:
    """Attack: who can write to the site makes it show another file, or wait for ever."""
    folder = tmp_path / "site"
    shutil.copytree(made, folder)
    (folder / "link.html").symlink_to(made.parent / "secret.html")
    (folder / "up").symlink_to(made.parent)
    os.mkfifo(folder / "pipe.html")
    with serving_thread(folder) as server:
        for target in ("/link.html", "/up/secret.html", "/pipe.html"):
            assert status(get(server, target)) == 404
        assert status(get(server, "/index.html")) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "",
     "localhost@evil.example", "[evil.example]", "localhost:80:80", "evil.example#localhost"],
)  # fmt: skip
def test_a_strangers_name_for_this_machine_is_refused(server: Server, host: str) -> None:
    """Attack: DNS rebinding, where a web page's own name is made to point to 127.0.0.1."""
    answer = get(server, "/", host)
    assert status(answer) == 421
    assert b"First-7B" not in answer


def test_requests_without_one_host_are_refused(server: Server) -> None:
    two = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    for request in (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", two):
        assert status(raw(server, request)) == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000"])
def test_names_that_only_mean_this_server_are_believed(server: Server, host: str) -> None:
    assert status(get(server, "/", host)) == 200


def test_other_sites_can_neither_load_nor_frame_anything(server: Server) -> None:
    """Attack: a web page loads the data, which are scripts, from this machine's port."""
    for target in ("/", "/static/none.js"):
        head = get(server, target).partition(b"\r\n\r\n")[0]
        assert b"Cross-Origin-Resource-Policy: same-origin" in head
        assert b"frame-ancestors 'none'" in head
        assert b"X-Content-Type-Options: nosniff" in head


def test_hostile_words_in_a_request_are_not_repeated_as_markup(server: Server) -> None:
    """Attack: an error page that holds what was asked for."""
    mark = b"<script>alert(1)</script>"
    assert mark not in raw(server, b"GET /" + mark + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert mark not in raw(server, mark + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n")


def test_many_idle_connections_are_bounded(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attack: connections that say nothing; the thread of each would be kept."""
    monkeypatch.setattr(serving, "_CONNECTIONS", 2)
    with serving_thread(made) as server:
        address = "127.0.0.1", server.server_port
        held = [socket.create_connection(address, timeout=60) for _ in range(2)]
        with socket.create_connection(address, timeout=60) as refused:
            assert refused.recv(1) == b""
        for connection in held:
            connection.close()
        wait_for(lambda: answers(server))


def answers(server: Server) -> bool:
    try:
        return get(server, "/").startswith(b"HTTP/1.0 200")
    except OSError:
        return False


def test_idle_connections_end_by_themselves(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving._Handler, "timeout", 0.05)
    with serving_thread(made) as server:
        assert raw(server, b"GET / HT") == b""


def test_an_exchange_is_never_seen_half_done(runs: Path, tmp_path: Path) -> None:
    """Between the two renames of an exchange no site is in its place: requests wait for it."""
    out = tmp_path / "site"
    site.build([runs], out)
    wrong: list[bytes] = []
    with serving_thread(out) as server:
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                answer = get(server, "/index.html")
                if status(answer) != 200 or not answer.endswith(b"</html>"):
                    wrong.append(answer)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            fresh = tmp_path / "fresh"
            for _ in range(40):
                shutil.copytree(out, fresh)
                site._swap(fresh, out, server.exchange)
        finally:
            ended.set()
            asking.join()
    assert not wrong


def test_an_interrupted_exchange_keeps_the_earlier_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: Ctrl-C between the two renames left no site at all."""
    out, fresh = tmp_path / "site", tmp_path / "fresh"
    out.mkdir()
    fresh.mkdir()
    (out / "index.html").write_text("earlier")
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path == fresh:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        site._swap(fresh, out, threading.Lock())
    assert (out / "index.html").read_text() == "earlier"


def test_a_change_counts_once_it_is_quiet(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    changes = Changes([tmp_path], tmp_path / "site")
    assert not changes.due()
    (run / "results.json").write_text("1")
    assert not changes.due()
    (run / "results.json").write_text("12")
    assert not changes.due()
    assert changes.due()
    assert not changes.due()
    (run / "results.json").unlink()
    assert [changes.due() for _ in range(3)] == [False, True, False]


def test_what_changes_all_the_time_is_built_too(tmp_path: Path) -> None:
    log = tmp_path / "train.jsonl"
    changes = Changes([log], tmp_path / "site")
    seen = []
    for size in range(1, 2 * serving._PATIENCE + 1):
        log.write_text("x" * size)
        seen.append(changes.due())
    assert seen.count(True) == 2


def test_the_site_itself_is_no_change(tmp_path: Path) -> None:
    """Regression: a site among the runs (`serve . --out site`) would be built for ever."""
    changes = Changes([tmp_path], tmp_path / "site")
    for name in ("site", ".site.12.new", ".site.12.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text("new")
    assert not changes.due()
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "results.json").write_text("new")
    assert not changes.due()
    assert changes.due()


def test_a_port_in_use_and_a_strange_address_are_errors(made: Path, runs: Path) -> None:
    with serving_thread(made) as server:
        port = server.server_port
        with pytest.raises(UsageError, match="--port 0"):
            Server(made, "127.0.0.1", port)
        words = ["leaderboard", "serve", str(runs), "--out", str(made), "--port", str(port)]
        failed(recode_eval(*words), ExitCode.USAGE, f"port {port}")
    for host, port in (("127.0.0.1", 65536), ("192.0.2.1", 0), ("a" * 70, 0)):
        with pytest.raises(UsageError, match="Cannot listen"):
            Server(made, host, port)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_what_is_new_and_ends_with_0(
    end: signal.Signals, runs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(runs, folder)
    said = tmp_path / "errors.txt"
    process = subprocess.Popen(
        [sys.executable, "-m", "recode_eval", "leaderboard", "serve", str(folder),
         "--out", str(folder / "site"), "--port", "0", "--no-reported"],
        stdout=subprocess.PIPE, stderr=said.open("w"), text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\n", process.stdout.readline())
        assert address is not None

        def shows(name: bytes) -> bool:
            connection = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=60)
            connection.request("GET", "/index.html")
            answer = connection.getresponse()
            assert answer.status == 200
            return name in answer.read()

        def is_site(path: Path) -> bool:
            """The server replaces it at any time, so nobody else walks through it."""
            return path.name == "site" or path.name.startswith(".site")

        assert shows(b"First-7B")
        assert not shows(b"Second-7B")
        if end == signal.SIGINT:
            make_run(folder, "Second-7B", 0.4, n=1)
            wait_for(lambda: shows(b"Second-7B"))
            written = [path for run in folder.iterdir() if not is_site(run)
                       for path in run.rglob("results.json")]  # fmt: skip
            assert len(written) == 2
            for path in written:
                path.write_text("{}")
            wait_for(lambda: "not written again" in said.read_text())
            assert shows(b"First-7B")
        process.send_signal(end)
        assert process.wait(timeout=DEADLINE_S) == ExitCode.OK, said.read_text()
        assert "Traceback" not in said.read_text()
    finally:
        process.kill()
        process.wait()
    assert (folder / "site" / "index.html").is_file()
    assert not list(folder.glob(".site*"))
