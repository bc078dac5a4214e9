"""A run as one file that people can send: a canonical tar in one frame of Zstandard.

The same run gives the same bytes. Only that canonical tar is read back: every header must be, byte
for byte, the one that `pack` writes for its name and size, so links, devices, sparse files, paths
and foreign members do not need to be recognised, they are simply not it. How it was compressed does
not matter: the same tar can be compressed in many ways, and all of them are the same run.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from recode_eval.conversations.journal import FILE as TURNS
from recode_eval.documentation.shown import DOCS
from recode_eval.errors import DataError, StorageError, UsageError
from recode_eval.run.store import (
    BATCHES,
    COMPLETIONS,
    MANIFEST,
    PROMPT,
    RESULTS,
    SCORES,
    identity_hash,
    read_json,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

SUFFIX: Final = ".tar.zst"
INDEX: Final = "pack.json"
"""The first member: size and SHA-256 of the others."""
MEMBERS: Final = tuple(sorted((COMPLETIONS, MANIFEST, PROMPT, RESULTS, SCORES)))
OPTIONAL: Final = (BATCHES, DOCS, TURNS)
"""Members that only some runs have; a pack of a run without them is as it always was."""
VERSION: Final = 1
MAX_MEMBER: Final = (8 << 30) - 1
"""Bytes of one file: what the header can say."""
MAX_TOTAL: Final = 16 << 30
MAX_RATIO: Final = 2_000
"""Bytes of files per byte of the pack, beyond `FREE`: no small file fills a disk."""
FREE: Final = 256 << 20

_BLOCK: Final = 512
_CHUNK: Final = 1 << 20
_INPUT: Final = 1 << 12  # A byte of Zstandard may become 32 KiB: this much, 128 MiB.
_MAX_INDEX: Final = 1 << 12
_MAX_WINDOW: Final = 1 << 27


def pack(run: Path, out: Path) -> None:
    """Write a whole run to a new file.

    Raises:
        UsageError: `out` exists, or another process is writing to the run.
        DataError: the run is not whole, changes meanwhile, or is larger than `unpack` takes.
        StorageError: a file cannot be read or written.
    """
    members = _members(name for name in OPTIONAL if os.path.lexists(run / name))
    for name in members:
        path = run / name
        if path.is_symlink() or not path.is_file():
            raise DataError(
                f"{run} has no plain file {name}, and only a complete run can be packed. If it was "
                "interrupted, repeat its command."
            )
    if out.exists() or out.is_symlink():
        raise _exists(out)
    try:
        with _nobody_writes(run):
            _check_whole(run)
            files = {name: _entry(run / name) for name in members}
            _write(run, files, out)
    except FileExistsError:
        raise _exists(out) from None
    except OSError as error:
        raise StorageError(f"Cannot pack {run} into {out}: {error.strerror or error}") from error


def _members(optional: Iterable[str]) -> tuple[str, ...]:
    """Return the members of a pack that has some of the optional ones, in their order."""
    return tuple(sorted({*MEMBERS, *(set(optional) & set(OPTIONAL))}))


def _exists(out: Path) -> UsageError:
    return UsageError(f"{out} exists; choose another --out, or remove it.")


@contextlib.contextmanager
def _nobody_writes(run: Path) -> Iterator[None]:
    """Share the lock that a writer of the run would hold; reads only."""
    try:
        fd = os.open(run / ".lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:  # A copy to which nobody has ever written.
        yield
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise UsageError(f"Another process is writing to {run}. Wait until it ends.") from None
    try:
        yield
    finally:
        os.close(fd)


def _check_whole(run: Path) -> None:
    """Check that the results are of this run, and readable; raises `DataError`."""
    from recode_eval.run.results_file import read_run

    results = read_run(run / RESULTS).results
    identity = read_json(run / MANIFEST).get("identity")
    if results["identity"] != identity or results["run"] != identity_hash(results["identity"]):
        raise DataError(
            f"{run}: {RESULTS} and {MANIFEST} belong to different runs. `recode-eval score RUN` "
            f"rewrites {RESULTS}."
        )
    if identity is not None and "docs" in identity and not (run / DOCS).is_file():
        raise DataError(
            f"{run} has no {DOCS}, which holds what its prompts showed. Repeat the run's own "
            "command: it writes the file anew."
        )


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"size": file.tell(), "sha256": digest}


def _index(files: dict[str, dict[str, Any]]) -> bytes:
    return json.dumps({"schema_version": VERSION, "files": files}, sort_keys=True).encode()


def _check_sizes(files: dict[str, dict[str, Any]], compressed: int | None) -> None:
    """Raise `DataError` for sizes above a limit, fixed or relative to the `compressed` bytes."""
    sizes = [entry["size"] for entry in files.values()]
    if max(sizes) > MAX_MEMBER or sum(sizes) > MAX_TOTAL:
        raise DataError("a file is larger than 8 GiB, or all are larger than 16 GiB.")
    if compressed is not None and sum(sizes) > FREE + MAX_RATIO * compressed:
        raise DataError(f"the files are more than {MAX_RATIO} times as large as the pack.")


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


def _write(run: Path, files: dict[str, dict[str, Any]], out: Path) -> None:
    import zstandard

    _check_sizes(files, None)
    index = _index(files)
    with out.open("xb") as target:
        try:
            compressor = zstandard.ZstdCompressor(level=10, write_checksum=True)
            with compressor.stream_writer(target, closefd=False) as stream:
                _add(stream, INDEX, len(index), io.BytesIO(index), None)
                for name, entry in files.items():
                    with (run / name).open("rb") as file:
                        _add(stream, name, entry["size"], file, entry["sha256"])
                stream.write(bytes(2 * _BLOCK))
            target.flush()
            _check_sizes(files, target.tell())
            os.fsync(target.fileno())
        except BaseException:
            out.unlink(missing_ok=True)
            raise


def _add(stream: IO[bytes], name: str, size: int, file: IO[bytes], digest: str | None) -> None:
    stream.write(_header(name, size))
    left, seen = size, hashlib.sha256()
    while left and (part := file.read(min(_CHUNK, left))):
        stream.write(part)
        seen.update(part)
        left -= len(part)
    if left or file.read(1) or (digest and seen.hexdigest() != digest):
        raise DataError(f"{name} changed during packing: wait until the run ends.")
    stream.write(bytes(-size % _BLOCK))


def unpack(file: Path, folder: Path, names: Collection[str] | None = None) -> None:
    """Write a pack's files into a folder, which must be new or empty; all of them or none.

    The folder is readable for its owner alone. With `names`, only these files are written, but all
    are verified.

    Raises:
        UsageError: the folder exists and is not empty.
        DataError: the tar in it is not, to the byte, what `pack` writes; the message says why.
        StorageError: it cannot be read, or the folder not be written.
    """
    import zstandard

    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and _empty(folder))):
        raise UsageError(f"{folder} exists and is not an empty folder; choose another --out.")
    try:
        with file.open("rb") as source:
            folder.parent.mkdir(parents=True, exist_ok=True)
            private = Path(tempfile.mkdtemp(prefix=".unpack-", dir=folder.parent))
            try:
                _read(source, private, names)
                private.replace(folder)
            finally:
                shutil.rmtree(private, ignore_errors=True)
    except zstandard.ZstdError as error:
        raise DataError(f"{file} is not a valid Zstandard file: {error}") from error
    except DataError as error:
        raise DataError(f"{file} is not a pack of a run: {error}") from error
    except OSError as error:
        raise StorageError(f"Cannot unpack {file}: {error.strerror or error}") from error


def _empty(folder: Path) -> bool:
    return next(folder.iterdir(), None) is None


def _read(source: IO[bytes], folder: Path, wanted: Collection[str] | None) -> None:
    stream = _Frame(source)
    name, size = _next(stream)
    if name != INDEX or size > _MAX_INDEX:
        raise DataError(f"it does not begin with {INDEX}.")
    content = b"".join(stream.parts(size))
    _padding(stream, size)
    files = _files(content)
    _check_sizes(files, os.fstat(source.fileno()).st_size)
    names = [name for name in files if wanted is None or name in wanted]
    kept = sum(files[name]["size"] for name in names)
    if kept > shutil.disk_usage(folder).free:
        raise StorageError(f"{folder.parent} has no room for the {kept:,} bytes of this pack.")
    for name in files:
        if _next(stream) != (name, files[name]["size"]):
            raise DataError(f"{name} is missing, or its size is not the one in {INDEX}.")
        _extract(stream, folder / name if name in names else None, name, files[name])
    if any(stream.exactly(2 * _BLOCK)) or not stream.ended():
        raise DataError("it holds more than it should.")


class _Frame:
    """The decompressed content of a file's only frame, read in pieces."""

    def __init__(self, source: IO[bytes]) -> None:
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        self._frame = decompressor.decompressobj(read_across_frames=False)
        self._source, self._ready, self._at = source, b"", 0

    def _more(self) -> bool:
        while self._at == len(self._ready):
            if self._frame.eof or not (raw := self._source.read(_INPUT)):
                return False
            self._ready, self._at = self._frame.decompress(raw), 0
        return True

    def parts(self, count: int) -> Iterator[bytes]:
        """Yield the next `count` bytes in pieces; raises `DataError` if there are fewer."""
        while count:
            if not self._more():
                raise DataError("it is cut off.")
            part = self._ready[self._at : self._at + min(count, _CHUNK)]
            self._at += len(part)
            count -= len(part)
            yield part

    def exactly(self, count: int) -> bytes:
        """Return the next `count` bytes; raises `DataError` if there are fewer."""
        return b"".join(self.parts(count))

    def ended(self) -> bool:
        """Whether the frame is at its end, its checksum was right, and the file ends with it."""
        return not (
            self._more() or not self._frame.eof or self._frame.unused_data or self._source.read(1)
        )


def _next(stream: _Frame) -> tuple[str, int]:
    block = stream.exactly(_BLOCK)
    try:
        name = block[:100].rstrip(b"\0").decode("ascii")
        size = int(block[124:135].decode("ascii"), 8)
        sound = name in {INDEX, *MEMBERS, *OPTIONAL} and size >= 0 and _header(name, size) == block
    except ValueError:
        sound = False
    if not sound:
        raise DataError("a member is not one that `recode-eval pack` writes.")
    return name, size


def _padding(stream: _Frame, size: int) -> None:
    if any(stream.exactly(-size % _BLOCK)):
        raise DataError("there is data between its members.")


def _files(raw: bytes) -> dict[str, dict[str, Any]]:
    """Parse the index, which must be as `pack` writes it; raises `DataError`."""
    try:
        content = json.loads(raw)
        if content["schema_version"] != VERSION:
            raise ValueError(f"schema version {content['schema_version']!r}")
        files = {
            name: {key: content["files"][name][key] for key in ("size", "sha256")}
            for name in _members(content["files"])
        }
        for entry in files.values():
            if type(entry["size"]) is not int or entry["size"] < 0:
                raise TypeError("a size is not a whole number")
        if _index(files) != raw:  # Other files, keys twice, spaces.
            raise ValueError("not in the form that this program writes")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"its {INDEX} is malformed ({error}).") from error
    return files


def _extract(stream: _Frame, path: Path | None, name: str, entry: dict[str, Any]) -> None:
    seen = hashlib.sha256()
    with contextlib.nullcontext(None) if path is None else path.open("xb") as target:
        for part in stream.parts(entry["size"]):
            seen.update(part)
            if target is not None:
                target.write(part)
    _padding(stream, entry["size"])
    if seen.hexdigest() != entry["sha256"]:
        raise DataError(f"the hash of {name} is not the one in {INDEX}.")
