"""Wheels of releases that were published as source archives of Python alone.

A wheel of such a release is its folders of modules and a few lines about it, and the archive says
which those are (`*.egg-info`). So the wheel is put together from the archive as it is: `setup.py`
never runs, here or in a sandbox. What has anything to compile gets no wheel.

Sources: PEP 427 (wheels), PEP 691 (JSON of an index), setuptools' "egg-info" files.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
import urllib.error
import urllib.request
import zipfile
from email.parser import HeaderParser
from typing import TYPE_CHECKING, Any

from recode_eval.archives import DAMAGE
from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.buildlog import cache_dir, temporary_dir
from recode_eval.sandbox.wheelhouse import uv_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from recode_eval.sandbox.requirements import Pin

_INDEX = "https://pypi.org/simple"
_JSON = "application/vnd.pypi.simple.v1+json"
_TIMEOUT_S = 60
_MOST_BYTES = 64 << 20
"""Of an archive, and of what it unpacks to, times `_MOST_EXPANSION`."""
_MOST_EXPANSION = 8
_COMPILED = (".c", ".cc", ".cpp", ".cxx", ".f", ".f90", ".pyx", ".pxd", ".rs", ".so", ".pyd")
FASTER_COMPILED = frozenset({"tornado", "urwid"})
"""Projects whose compiled parts only make them faster: `setup.py` goes on without a compiler."""
BINDINGS = frozenset({"rtree"})
"""Projects of Python alone that load a library which the system would have to have."""
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECTION = re.compile(r"\[(?P<extra>[^:\]]*)(?::(?P<marker>[^\]]*))?\]")
_WHEEL = "Wheel-Version: 1.0\nGenerator: recode-eval\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


class NotPureError(ValueError):
    """There is no archive, or one that is more than Python, or does not say what it holds."""


def ensure_wheel(name: str, version: str) -> Path:
    """Return the folder with the wheel of a release, fetching its source archive first if needed.

    Raises:
        NotPureError: no wheel can be made without executing something.
        SandboxBuildError: the index cannot be reached.
    """
    folder = _folder(name, version)
    if not folder.is_dir():
        archive = fetch_archive(name, version)
        with temporary_dir(folder.parent) as scratch:
            (scratch / "wheel").mkdir()
            file, content = make_wheel(archive, name, version)
            (scratch / "wheel" / file).write_bytes(content)
            try:
                (scratch / "wheel").rename(folder)
            except OSError:  # another process was faster
                if not folder.is_dir():
                    raise
    return folder


def find_links(pins: Iterable[Pin]) -> list[str]:
    """Return the options that show pip and uv the wheels made here of these pins."""
    folders = (_folder(pin.name, pin.version) for pin in pins)
    return [f"--find-links={folder}" for folder in folders if folder.is_dir()]


def make_wheel(archive: bytes, name: str, version: str) -> tuple[str, bytes]:
    """Turn a source archive (`.tar.gz`) of Python alone into a wheel: its file name and content.

    Raises:
        NotPureError: it is something else.
    """
    files = unpacked(archive)
    top, base, metadata = _described(files, name)
    inside = {p.removeprefix(base): data for p, data in files.items() if p.startswith(base)}
    parts = {p: data for p, data in inside.items() if p.split("/")[0].removesuffix(".py") in top}
    if not parts:
        raise NotPureError("it holds none of the modules that it names")
    compiled = sorted(path for path in files if path.endswith(_COMPILED))
    if compiled and plain_name(name) not in FASTER_COMPILED:
        raise NotPureError(f"it has something to compile ({compiled[0]})")
    if plain_name(name) in BINDINGS:
        raise NotPureError("it needs a library of the system")
    stem = f"{plain_name(name).replace('-', '_')}-{version}"
    parts[f"{stem}.dist-info/METADATA"] = metadata.replace("\r\n", "\n").encode()
    parts[f"{stem}.dist-info/WHEEL"] = _WHEEL.encode()
    record = "".join(f"{path},sha256={_hash(data)},{len(data)}\n" for path, data in parts.items())
    parts[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n".encode()
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path, content in parts.items():
            zipped.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
    return f"{stem}-py3-none-any.whl", wheel.getvalue()


def plain_name(name: str) -> str:
    """Write a project's name as an index does (PEP 503).

    >>> plain_name("Ruamel.yaml__clib")
    'ruamel-yaml-clib'
    """
    return re.sub("[-_.]+", "-", name).lower()


def _folder(name: str, version: str) -> Path:
    return cache_dir("wheels") / f"{plain_name(name)}-{version}"


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def unpacked(archive: bytes) -> dict[str, bytes]:
    """Return the regular files below the archive's one folder, by their path in it."""
    files: dict[str, bytes] = {}
    room = min(len(archive) * 64, _MOST_BYTES * _MOST_EXPANSION)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                path = member.name.partition("/")[2]
                if not member.isreg() or not path:
                    continue
                if {"..", ""} & set(path.split("/")) or "\\" in path:
                    raise NotPureError(f"it names a file outside of itself ({path!r})")
                room -= member.size
                if room < 0:
                    raise NotPureError("it unpacks to too much")
                content = tar.extractfile(member)
                files[path] = content.read() if content else b""
    except NotPureError:
        raise
    except DAMAGE as error:
        raise NotPureError(f"it cannot be unpacked ({error})") from error
    return files


def _described(files: Mapping[str, bytes], name: str) -> tuple[set[str], str, str]:
    """Return the top modules, the folder they lie in (with a slash, or empty), and METADATA."""
    listed = sorted(path for path in files if path.endswith(".egg-info/top_level.txt"))
    if len(listed) > 1:
        raise NotPureError("it describes several packages")
    if listed:
        info, base = listed[0].rpartition("/")[0], listed[0].rpartition("/")[0].rpartition("/")[0]
        lines = _text(files, listed[0]).split()
        about = _text(files, f"{info}/PKG-INFO") or _text(files, "PKG-INFO")
        needs = _text(files, f"{info}/requires.txt")
    else:  # of distutils, which knew of no requirements
        base, needs = "", ""
        lines = [re.sub("[-.]+", "_", name)]
        about = _text(files, "PKG-INFO")
    top = {line.split("/")[0] for line in lines}
    if not top or not all(map(_MODULE.fullmatch, top)):
        raise NotPureError("it does not say what modules it has")
    return top, f"{base}/" if base else "", _metadata(about, needs)


def _text(files: Mapping[str, bytes], path: str) -> str:
    return files.get(path, b"").decode("utf-8", "replace")


def _metadata(about: str, needs: str) -> str:
    fields = HeaderParser().parsestr(about)
    if not fields["Name"] or not fields["Version"]:
        raise NotPureError("it does not say its name and version")
    lines = [f"Metadata-Version: 2.1\nName: {fields['Name']}\nVersion: {fields['Version']}"]
    if fields["Requires-Python"]:
        lines.append(f"Requires-Python: {fields['Requires-Python']}")
    lines += _requirements(needs)
    return "\n".join(lines) + "\n"


def _requirements(text: str) -> list[str]:
    r"""Translate `requires.txt`, whose sections are extras and markers.

    >>> _requirements("six\n\n[:python_version<'3']\nmock\n\n[tests]\npytest<4\n")
    ['Requires-Dist: six', "Requires-Dist: mock; (python_version<'3')"]
    """
    lines, suffix, wanted = [], "", True
    for line in filter(None, map(str.strip, text.splitlines())):
        if section := _SECTION.fullmatch(line):
            suffix = f"; ({section['marker']})" if section["marker"] else ""
            wanted = not section["extra"]  # nothing here asks for an extra of an old release
        elif wanted:
            lines.append(f"Requires-Dist: {line}{suffix}")
    return lines


def index_files(name: str) -> list[dict[str, Any]]:
    """Return what the index that is set for uv or pip says of a project's files (PEP 691).

    Raises:
        NotPureError: there is no index to ask, it does not know the project, or speaks otherwise.
        SandboxBuildError: it cannot be reached.
    """
    variables = uv_environment()
    if variables.get("UV_NO_INDEX") or variables.get("UV_OFFLINE"):
        raise NotPureError("no index may be asked for its source archive")
    index = variables.get("UV_DEFAULT_INDEX") or variables.get("UV_INDEX_URL") or _INDEX
    try:
        files = json.loads(_get(f"{index.rstrip('/')}/{plain_name(name)}/", _JSON))["files"]
        return [dict(file) for file in files]
    except (ValueError, KeyError, TypeError) as error:
        raise NotPureError(f"the index {index} does not speak PEP 691 ({error!r})") from error


def fetch_archive(name: str, version: str) -> bytes:
    """Download the source archive from the index that is set for uv or pip; checks its hash.

    Raises:
        NotPureError: there is none, or no index to ask.
        SandboxBuildError: the index cannot be reached, or sends another file than it names.
    """
    plain = plain_name(name)
    files = index_files(name)
    try:
        file = next(file for file in files if _is_archive(file, plain, version))
        archive = _get(str(file["url"]))
        digest = str(file["hashes"]["sha256"])
    except StopIteration:
        raise NotPureError("there is no source archive") from None
    except (ValueError, KeyError, TypeError) as error:
        raise NotPureError(f"the index does not speak PEP 691 ({error!r})") from error
    if hashlib.sha256(archive).hexdigest() != digest:
        raise SandboxBuildError(f"{file['filename']} of the index has another hash than it says")
    return archive


def _is_archive(file: Mapping[str, Any], plain: str, version: str) -> bool:
    stem = str(file["filename"]).lower().removesuffix(".tar.gz")
    found, _, of = stem.rpartition("-")
    return (
        file["filename"].endswith(".tar.gz")
        and plain_name(found) == plain
        and _release(of) == _release(version)
        and not file.get("yanked")
    )


def _release(version: str) -> str:
    """Write versions that are equal equally: `1.0` and `1.0.0` (PEP 440)."""
    return re.sub(r"(\.0)+$", "", version.lower())


def _get(url: str, accept: str = "*/*") -> bytes:
    if not url.startswith(("https://", "http://")):
        raise NotPureError(f"{url} is no address of an index")
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            content: bytes = response.read(_MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        raise NotPureError(f"the index answers {error.code} for {url}") from error
    except (urllib.error.URLError, OSError) as error:
        raise SandboxBuildError(f"cannot fetch {url}: {error}; check the network") from error
    if len(content) > _MOST_BYTES:
        raise NotPureError(f"{url} is larger than {_MOST_BYTES >> 20} MiB")
    return content
