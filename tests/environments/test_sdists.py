"""Wheels put together from source archives: what pip would make of them, or none."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from email.parser import HeaderParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.sandbox import sdists
from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.environments import get_environment
from recode_eval.sandbox.locks import NoSuchReleaseError, ensure_release, lock_release
from recode_eval.sandbox.requirements import Pin
from recode_eval.sandbox.sdists import NotPureError, ensure_wheel, find_links, make_wheel
from recode_eval.sandbox.venvs import ensure_venv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ABOUT = "Metadata-Version: 1.2\nName: alpha\nVersion: 1.0\nRequires-Python: >=3.6\n\nText.\n"
PLAIN = {
    "PKG-INFO": ABOUT,
    "setup.py": "raise SystemExit('executed')\n",
    "alpha/__init__.py": "VERSION = '1.0'\n",
    "alpha/data/words.txt": "a b\n",
    "alpha.egg-info/PKG-INFO": ABOUT,
    "alpha.egg-info/top_level.txt": "alpha\nalpha/data\n",
    "alpha.egg-info/requires.txt": "beta>=1\n\n[:python_version<'3']\nmock\n\n[test]\npytest\n",
    "tests/test_alpha.py": "",
}


def archive(files: dict[str, str], folder: str = "alpha-1.0") -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{folder}/{path}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return raw.getvalue()


def unzipped(wheel: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(wheel)) as zipped:
        return {name: zipped.read(name).decode() for name in zipped.namelist()}


def test_it_holds_the_modules_and_what_they_need() -> None:
    name, wheel = make_wheel(archive(PLAIN), "Alpha", "1.0")
    assert name == "alpha-1.0-py3-none-any.whl"
    files = unzipped(wheel)
    info = "alpha-1.0.dist-info"
    assert set(files) == {
        "alpha/__init__.py", "alpha/data/words.txt",
        f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD",
    }  # fmt: skip
    fields = HeaderParser().parsestr(files[f"{info}/METADATA"])
    assert (fields["Name"], fields["Version"], fields["Requires-Python"]) == (
        "alpha", "1.0", ">=3.6",
    )  # fmt: skip
    assert fields.get_all("Requires-Dist") == ["beta>=1", "mock; (python_version<'3')"]


def test_modules_below_src_and_those_of_distutils_are_found() -> None:
    below = {f"src/{path}" if "alpha" in path else path: text for path, text in PLAIN.items()}
    assert make_wheel(archive(below), "alpha", "1.0") == make_wheel(archive(PLAIN), "alpha", "1.0")
    old = {"PKG-INFO": ABOUT, "alpha.py": "VERSION = '1.0'\n", "setup.py": ""}
    assert "alpha.py" in unzipped(make_wheel(archive(old), "alpha", "1.0")[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha/fast.c": ""}, r"something to compile \(alpha/fast\.c\)"),
        ({"ext/fast.pyx": ""}, "something to compile"),
        ({"alpha/../../x.py": ""}, "outside of itself"),
        ({"beta.egg-info/top_level.txt": "beta"}, "several packages"),
        ({"alpha.egg-info/top_level.txt": ""}, "what modules it has"),
        ({"alpha.egg-info/top_level.txt": "../etc"}, "what modules it has"),
        ({"alpha.egg-info/top_level.txt": "gamma"}, "none of the modules"),
        ({"alpha.egg-info/PKG-INFO": "Name: alpha\n"}, "its name and version"),
    ],
)
def test_what_is_no_pure_python_gets_none(changes: dict[str, str], message: str) -> None:
    with pytest.raises(NotPureError, match=message):
        make_wheel(archive(PLAIN | changes), "alpha", "1.0")


def test_compiled_parts_that_only_make_it_faster_are_left_out() -> None:
    files = {
        path.replace("alpha", "urwid"): text.replace("alpha", "urwid")
        for path, text in PLAIN.items()
    }
    name, _ = make_wheel(archive(files | {"source/str_util.c": ""}), "urwid", "1.0")
    assert name == "urwid-1.0-py3-none-any.whl"


def test_an_archive_that_unpacks_to_too_much_is_refused() -> None:
    bomb = archive(PLAIN | {"alpha/zeros": "0" * (8 << 20)})
    assert len(bomb) * 64 < 8 << 20
    with pytest.raises(NotPureError, match="too much"):
        make_wheel(bomb, "alpha", "1.0")


@given(st.binary(max_size=200), st.integers(0, 400), st.booleans())
def test_a_broken_archive_is_refused_and_nothing_else(junk: bytes, at: int, cut: bool) -> None:
    whole = archive(PLAIN)
    broken = whole[:at] + junk + (b"" if cut else whole[at + len(junk) :])
    with contextlib.suppress(NotPureError):
        make_wheel(broken, "alpha", "1.0")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """An index that serves what a test puts into it, and nothing else to resolve from."""
    content: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = content.get(self.path)
            self.send_response(200 if found else 404)
            json_asked = "json" in self.headers.get("Accept", "")
            kind = "application/vnd.pypi.simple.v1+json" if json_asked else "application/x-gzip"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    for name in ("UV_NO_INDEX", "PIP_NO_INDEX", "UV_FIND_LINKS", "PIP_FIND_LINKS", "UV_OFFLINE",
                 "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("UV_INDEX_URL", f"{address}/simple/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    content["address"] = address.encode()
    yield content
    server.shutdown()
    server.server_close()


def publish(index: dict[str, bytes], name: str, version: str, data: bytes, **more: object) -> None:
    file = f"{name}-{version}.tar.gz"
    index[f"/files/{file}"] = data
    entry = {
        "filename": file,
        "url": f"{index['address'].decode()}/files/{file}",
        "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
        "upload-time": "2020-01-02T00:00:00Z",
        **more,
    }
    page = {"meta": {"api-version": "1.1"}, "name": name, "versions": [version], "files": [entry]}
    index[f"/simple/{name}/"] = json.dumps(page).encode()


LONELY = {k: v for k, v in PLAIN.items() if not k.endswith("requires.txt")}


def test_a_release_without_wheels_is_resolved_and_installed(index: dict[str, bytes]) -> None:
    """Rows that pin such a release were set aside for want of wheels."""
    publish(index, "alpha", "1.0", archive(LONELY))
    with pytest.raises(NoSuchReleaseError):  # a lock to be given away needs wheels
        lock_release("alpha==1.0", name="alpha-1.0-wheels")
    ensure_release("alpha==1.0", [], name="alpha-1.0-x", days=["2020-01-01", "2021-01-01"])
    environment = get_environment("alpha-1.0-x")
    assert [pin.requirement for pin in environment.pins] == ["alpha==1.0"]
    assert ensure_venv(environment).libraries == {"alpha": "1.0"}


def test_what_must_be_compiled_is_told(index: dict[str, bytes]) -> None:
    publish(index, "alpha", "1.0", archive(LONELY | {"alpha/fast.c": ""}))
    with pytest.raises(NoSuchReleaseError, match=r"wheel of alpha 1\.0: it has something to comp"):
        ensure_release("alpha==1.0", [], name="alpha-1.0-x")


def test_only_what_has_the_hash_is_used(index: dict[str, bytes]) -> None:
    publish(index, "alpha", "1.0", archive(LONELY), hashes={"sha256": "0" * 64})
    with pytest.raises(SandboxBuildError, match="another hash"):
        ensure_wheel("alpha", "1.0")
    assert find_links([Pin("alpha", "1.0")]) == []


def test_it_is_made_once(index: dict[str, bytes]) -> None:
    publish(index, "alpha", "1.0", archive(LONELY))
    folder = ensure_wheel("Alpha", "1.0")
    index.clear()
    assert ensure_wheel("alpha", "1.0") == folder
    assert find_links([Pin("alpha", "1.0"), Pin("beta", "1")]) == [f"--find-links={folder}"]


@pytest.mark.parametrize("page", [b"<html>", b"[]", b'{"files": [{}]}', b'{"files": [1]}'])
def test_an_index_that_says_something_else_has_no_archive(
    index: dict[str, bytes], page: bytes
) -> None:
    index["/simple/alpha/"] = page
    with pytest.raises(NotPureError, match="does not speak PEP 691"):
        ensure_wheel("alpha", "1.0")


def test_an_index_out_of_reach_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(sdists, "uv_environment", lambda: {"UV_INDEX_URL": "http://127.0.0.1:9/"})
    with pytest.raises(SandboxBuildError, match="check the network"):
        ensure_wheel("alpha", "77.0")
