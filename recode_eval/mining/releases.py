"""The two releases: their locks, wheels, source archives, days and licences.

Everything is downloaded with the host's own pip and uv, kept in the cache, and only ever unpacked
here: no line of a library runs on the host.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import platform
import re
import zipfile
from dataclasses import dataclass, field
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.archives import DAMAGE
from recode_eval.errors import DataError, UsageError
from recode_eval.mining.texts import SKIPPED, TEXTS, is_notes, write_texts
from recode_eval.mining.uploads import uploads
from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.buildlog import BuildLog, cache_dir, temporary_dir
from recode_eval.sandbox.locks import (
    NoSuchReleaseError,
    ensure_release,
    is_requirement,
)
from recode_eval.sandbox.requirements import (
    RELEASE_PYTHON,
    Pin,
    get_environment,
    unimported_name,
)
from recode_eval.sandbox.sdists import (
    NotPureError,
    fetch_archive,
    find_links,
    plain_name,
    unpacked,
)
from recode_eval.sandbox.wheelhouse import Target, download, uv_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_FILE = 4 << 20
_MOST_WHEEL = 1 << 30
_MOST_FILES = 30_000
_SPDX = {
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}


@dataclass(frozen=True, slots=True)
class Release:
    """One release, ready to be read and run."""

    library: str
    version: str
    environment: str
    """The name of its lock's environment; empty: no wheels fit together (`loss` says why)."""
    wheel: Path | None
    uploaded: str | None
    license: str
    tops: tuple[str, ...]
    """Its top-level modules."""
    notes: Path | None
    """Folder with the texts of its source archive and metadata that are about changes."""
    documented: Path | None
    """File with every word of its documentation, one a line; None: it brought none."""
    losses: tuple[str, ...] = ()
    libraries: dict[str, str] = field(default_factory=dict)

    def as_of_upload(self) -> tuple[str, ...]:
        """Days to resolve its lock as of, first to last; empty if its day is not known."""
        if self.uploaded is None:
            return ()
        day = dt.date.fromisoformat(self.uploaded)
        steps = (14, 60, 180, 365, 730, 1460)
        return tuple((day + dt.timedelta(days=n)).isoformat() for n in steps)


def fetch_release(
    library: str, version: str, companions: Sequence[str] = (), *, as_of: Sequence[str] = ()
) -> Release:
    """Lock and download a release; `as_of` are days to resolve on, the first that fits.

    A release whose wheels do not fit together is returned without an environment, if at least its
    own wheel can be had: it is compared by its text alone.

    Raises:
        UsageError: a name, version or companion that is none.
        SandboxBuildError: neither cache nor index has it.
    """
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", library):
        raise UsageError(f"{library!r} is no project's name; write it as on PyPI, e.g. click")
    for companion in companions:
        if not is_requirement(companion):
            raise UsageError(f"--with {companion!r} is no requirement, for example numpy<2")
    losses: list[str] = []
    environment = _environment_name(library, version, companions, as_of)
    pins: tuple[Pin, ...] = ()
    try:
        ensure_release(f"{library}=={version}", companions, name=environment, days=as_of)
        pins = get_environment(environment).pins_for(RELEASE_PYTHON)
    except NoSuchReleaseError as error:
        losses.append(f"no lock: {error}")
        environment = ""
    pin = next((pin for pin in pins if plain_name(pin.name) == plain_name(library)), None)
    wheel = _wheel(library, pin.version if pin else version, losses)
    texts = _texts(library, version, wheel, losses)
    metadata = _metadata(wheel)
    return Release(
        library=plain_name(library),
        version=version,
        environment=environment,
        wheel=wheel,
        uploaded=_uploaded(library, version),
        license=_license(metadata),
        tops=_top_modules(wheel) if wheel else (plain_name(library).replace("-", "_"),),
        notes=texts / "notes" if texts else None,
        documented=texts / "words.txt" if texts else None,
        losses=tuple(losses),
        libraries={pin.name: pin.version for pin in pins},
    )


def _environment_name(
    library: str, version: str, companions: Sequence[str], as_of: Sequence[str]
) -> str:
    suffix = ""
    if companions or as_of:
        digest = hashlib.sha256("\n".join([*companions, "--", *as_of]).encode()).hexdigest()
        suffix = f"-{digest[:8]}"
    return unimported_name(library, version, suffix)


def _wheel(library: str, version: str, losses: list[str]) -> Path | None:
    """Return the release's wheel from the cache, downloading it first if needed."""
    folder = cache_dir("mining", f"{plain_name(library)}-{version}")
    found = sorted(folder.glob("*.whl"))
    if not found:
        pin = Pin(library, version)
        glibc = tuple(int(part) for part in platform.libc_ver()[1].split(".")[:2] or (2, 17))
        target = Target(RELEASE_PYTHON, platform.machine(), (glibc[0], glibc[1]))
        try:
            with (
                temporary_dir(folder.parent) as scratch,
                BuildLog(f"the wheel of {library} {version}", f"mine-{library}") as log,
            ):
                download([pin], target, scratch / "wheels", log, find_links([pin]))
                for file in (scratch / "wheels").glob("*.whl"):
                    file.replace(folder / file.name)
        except SandboxBuildError as error:
            losses.append(f"no wheel: {error}")
        found = sorted(folder.glob("*.whl"))
    return found[0] if found else None


def unpack_wheel(wheel: Path, folder: Path) -> int:
    """Unpack a wheel's Python sources, tests left out; return how many files were left out.

    Raises:
        DataError: it is no archive.
    """
    lost = 0
    try:
        with zipfile.ZipFile(wheel) as archive:
            room = _MOST_WHEEL
            for info in archive.infolist()[: _MOST_FILES * 4]:
                parts = info.filename.split("/")
                if not info.filename.endswith((".py", ".pyi")) or SKIPPED & set(parts):
                    continue
                room -= info.file_size
                if {"..", ""} & set(parts) or info.file_size > _MOST_FILE or room < 0:
                    lost += 1
                    continue
                target = folder.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source:
                    target.write_bytes(source.read(_MOST_FILE))
    except DAMAGE as error:
        raise DataError(f"{wheel.name} cannot be unpacked ({error})") from error
    return lost


def _top_modules(wheel: Path) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()[: _MOST_FILES * 4]
    except DAMAGE:
        return ()
    tops = set()
    for name in names:
        first, _, rest = name.partition("/")
        base = first.partition(".")[0]
        if (rest == "__init__.py" or (not rest and first.endswith((".py", ".so")))) and (
            base.isidentifier() and not base.startswith("_") and base not in SKIPPED
        ):
            tops.add(base)
    if not tops:  # a namespace package
        tops = {n.partition("/")[0] for n in names if n.endswith(".py") and "/" in n}
        tops = {top for top in tops if top.isidentifier() and top not in SKIPPED}
    return tuple(sorted(tops))


def _metadata(wheel: Path | None) -> Mapping[str, Any]:
    if wheel is None:
        return {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next(
                n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)
            )
            with archive.open(name) as file:
                text = file.read(_MOST_FILE).decode("utf-8", "replace")
    except (*DAMAGE, StopIteration):
        return {}
    fields = HeaderParser().parsestr(text)
    return {
        "expression": fields["License-Expression"] or "",
        "license": fields["License"] or "",
        "classifiers": fields.get_all("Classifier") or [],
    }


def _license(metadata: Mapping[str, Any]) -> str:
    if metadata.get("expression"):
        return str(metadata["expression"])[:100]
    told = str(metadata.get("license", "")).strip()
    if re.fullmatch(r"[A-Za-z0-9.+-]+( (OR|AND) [A-Za-z0-9.+-]+)*", told) and told != "UNKNOWN":
        return told[:100]
    for classifier in metadata.get("classifiers", ()):
        name = str(classifier).rpartition(" :: ")[2]
        if str(classifier).startswith("License ::") and name in _SPDX:
            return _SPDX[name]
    return " ".join(told.split())[:60]


def _uploaded(library: str, version: str) -> str | None:
    """Return the day of the first file of a release; remembered in the cache."""
    file = cache_dir("mining", f"{plain_name(library)}-{version}") / "uploaded.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8")) or None
    try:
        day = uploads(library).get(version)
    except (NotPureError, SandboxBuildError, ValueError):
        return None
    if day is None:
        return None
    file.write_text(json.dumps(day.isoformat()), encoding="utf-8")
    return day.isoformat()


def _texts(library: str, version: str, wheel: Path | None, losses: list[str]) -> Path | None:
    """Return the folder with what the release says of itself, made once."""
    folder = cache_dir("mining", f"{plain_name(library)}-{version}")
    if (texts := folder / TEXTS).is_dir():
        return texts
    try:
        files = _source_files(library, version)
    except (NotPureError, SandboxBuildError) as error:
        losses.append(f"no source archive: {error}")
        files = {}
    files |= _wheel_texts(wheel)
    return write_texts(folder, files)


def _source_files(library: str, version: str) -> dict[str, bytes]:
    """Return the source archive's files, from a folder of PIP_FIND_LINKS or from the index."""
    for link in uv_environment().get("UV_FIND_LINKS", "").split(","):
        folder = Path(link.strip().removeprefix("file://"))
        if not link.strip() or not folder.is_dir():
            continue
        for file in sorted(folder.glob("*.tar.gz")):
            name, _, of = file.name.removesuffix(".tar.gz").rpartition("-")
            if plain_name(name) == plain_name(library) and of == version:
                return unpacked(file.read_bytes())
    return unpacked(fetch_archive(library, version))


def _wheel_texts(wheel: Path | None) -> dict[str, bytes]:
    if wheel is None:
        return {}
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist()[: _MOST_FILES * 4]:
                wanted = info.filename.endswith(".dist-info/METADATA") or (
                    is_notes(info.filename) and info.filename.endswith((".rst", ".md", ".txt"))
                )
                if wanted and info.file_size <= _MOST_FILE:
                    with archive.open(info) as file:
                        found[info.filename] = file.read(_MOST_FILE)
    except DAMAGE:
        return found
    return found
