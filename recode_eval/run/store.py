"""The append-only store of one run, and how a run is found again.

A run is a folder. Its name holds a hash of everything that decides what the model is asked and who
it is (`identity`), so a rerun of the same command finds its records, and a changed temperature,
prompt or data set starts a new folder. Records are appended as whole lines; a line torn by a crash
or a full disk is cut off on the next start. One process at a time writes to a run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from recode_eval.conversations.journal import FILE as TURNS
from recode_eval.errors import DataError, StorageError
from recode_eval.files import lock_folder, replace_file
from recode_eval.run.record_index import R, Samples
from recode_eval.run.records import CompletionRecord, ScoreRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

MANIFEST = "manifest.json"
COMPLETIONS = "completions.jsonl"
SCORES = "scores.jsonl"
RESULTS = "results.json"
BATCHES = "batches.json"
"""Batch jobs that the run sent; only runs with `--batch` have it."""
MANIFEST_VERSION = 1
PROMPT = "prompt.jinja2"
_FSYNC_EVERY_S = 1.0


def identity_hash(identity: Mapping[str, Any]) -> str:
    """Return a short hash of a run's identity (12 hexadecimal digits)."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def run_folder(out: Path, model_name: str, task_name: str, identity: Mapping[str, Any]) -> Path:
    """Return `out/MODEL/TASK-HASH`; the path stays below `out`, whatever the names are."""
    model, task = _slug(model_name) or "model", _slug(task_name) or "task"
    return out / model / f"{task}-{identity_hash(identity)}"


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80]


class AppendOnlyFile:
    """A JSONL file to which whole lines are appended; thread-safe.

    Data reaches the kernel with every line (a killed process loses nothing) and the disk at least
    once a second (a power cut may lose that second).
    """

    def __init__(self, path: Path) -> None:
        """Open for appending, cutting off a torn last line; raises `StorageError`."""
        self._path = path
        self._lock = threading.Lock()
        self._synced = time.monotonic()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._size = _whole_lines(self._fd)
            os.ftruncate(self._fd, self._size)
        except OSError as error:
            raise _storage_error(path, error) from error

    def append(self, record: Mapping[str, Any]) -> int:
        """Write one line, whole or not at all, and return where it begins.

        Raises `StorageError` when the disk is full.
        """
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            try:
                written = 0
                while written < len(line):
                    written += os.write(self._fd, line[written:])
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self._size)
                raise _storage_error(self._path, error) from error
            begin = self._size
            self._size += len(line)
            if time.monotonic() - self._synced >= _FSYNC_EVERY_S:
                self._sync()
        return begin

    def _sync(self) -> None:
        # Some file systems say only here that the disk is full.
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise _storage_error(self._path, error) from error
        self._synced = time.monotonic()

    def close(self) -> None:
        """Sync and close; raises `StorageError`. Idempotent."""
        with self._lock:
            if self._fd >= 0:
                try:
                    self._sync()
                finally:
                    os.close(self._fd)
                    self._fd = -1


def _whole_lines(fd: int) -> int:
    """Return the offset after the last newline."""
    end = os.fstat(fd).st_size
    while end > 0:
        start = max(0, end - (1 << 16))
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def read_records(path: Path, kind: type[R]) -> Iterator[R]:
    """Read the whole lines of a record file; a torn last line is left out.

    Raises:
        DataError: a line in the middle is damaged (its number is named).
        StorageError: the file cannot be read.
    """
    for _, record in _placed_records(path, kind):
        yield record


def _placed_records(path: Path, kind: type[R]) -> Iterator[tuple[int, R]]:
    """Yield what `read_records` does, and the byte at which each line begins."""
    if not path.exists():
        return
    begin = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield begin, kind.from_json(json.loads(line))
                except (
                    ValueError,
                    KeyError,
                    TypeError,
                    AttributeError,
                    RecursionError,
                ) as error:
                    raise DataError(
                        f"{path}, line {number} is damaged ({error}). Delete that line; the same "
                        "command then recreates its record."
                    ) from error
                begin += len(line)
    except OSError as error:
        raise _storage_error(path, error) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a JSON file atomically; raises `StorageError` and leaves the old one."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a file atomically; raises `StorageError` and leaves the old one."""
    try:
        replace_file(path, text)
    except OSError as error:
        raise _storage_error(path, error) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises `DataError` naming the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"There is no {path.name} in {path.parent}, so this is not a run folder. Check the "
            "path."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"Cannot read {path}: {error}. If it is damaged, delete it: the run's command "
            "recreates it."
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: a JSON object is expected.")
    return content


def _storage_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"Cannot write or read {path}: {error.strerror or error}. Stored records are safe. Remove "
        "the cause (free some space, check the permissions, or choose another --out) and repeat "
        "the command."
    )


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; raises `StorageError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _storage_error(folder, error) from error


class RunStore:
    """The files of one run, opened for writing; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Create the folder if needed and lock it.

        Raises:
            UsageError: another process is writing to this run.
            StorageError: the folder cannot be created.
        """
        self.folder = folder
        make_folder(folder)
        try:
            self._lock_fd = lock_folder(folder)
        except OSError as error:
            raise _storage_error(folder / ".lock", error) from error
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, self._lock_fd)
            self._completions = AppendOnlyFile(folder / COMPLETIONS)
            undo.callback(self._completions.close)
            self._scores = AppendOnlyFile(folder / SCORES)
            undo.pop_all()
        self._turns: AppendOnlyFile | None = None

    def completions(self, accept: Callable[[CompletionRecord], bool]) -> Samples[CompletionRecord]:
        """Return the stored completions that are accepted; the first one of a sample counts."""
        path = self.folder / COMPLETIONS
        stored = Samples(path, CompletionRecord)
        for begin, record in _placed_records(path, CompletionRecord):
            if record.key not in stored and accept(record):
                stored.note(record.key, begin)
        return stored

    def scores(self, accept: Callable[[ScoreRecord], bool]) -> Samples[ScoreRecord]:
        """Return the stored scores of which the last of the sample is accepted.

        A sample may have been graded again: the last one counts.
        """
        path = self.folder / SCORES
        stored = Samples(path, ScoreRecord)
        for begin, record in _placed_records(path, ScoreRecord):
            if accept(record):
                stored.note(record.key, begin)
            else:
                stored.forget(record.key)
        return stored

    def no_scores(self) -> Samples[ScoreRecord]:
        """Return an empty mapping, for scores that will be written; what is stored is not read."""
        return Samples(self.folder / SCORES, ScoreRecord)

    def add_completion(self, record: CompletionRecord) -> int:
        """Append, and return where the line begins; raises `StorageError`."""
        return self._completions.append(record.to_json())

    def add_score(self, record: ScoreRecord) -> int:
        """Append, and return where the line begins; raises `StorageError`."""
        return self._scores.append(record.to_json())

    def turns(self) -> AppendOnlyFile:
        """Return the journal of conversations; runs without any have no such file."""
        if self._turns is None:
            self._turns = AppendOnlyFile(self.folder / TURNS)
        return self._turns

    def manifest(self) -> dict[str, Any]:
        """Return the manifest of earlier invocations, or an empty one.

        Raises:
            DataError: it is damaged, or a newer version of this program wrote it.
        """
        path = self.folder / MANIFEST
        if not path.exists():
            return {}
        manifest = read_json(path)
        if manifest.get("schema_version") != MANIFEST_VERSION:
            raise DataError(
                f"{path} has schema version {manifest.get('schema_version')!r}; this program knows "
                f"{MANIFEST_VERSION}. Use the version that wrote it, or another --out."
            )
        if not isinstance(manifest.get("invocations"), list):
            raise DataError(
                f"{path} is damaged: `invocations` is not a list. Delete it; the run's command "
                "recreates it."
            )
        return manifest

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replace manifest.json."""
        write_json(self.folder / MANIFEST, manifest)

    def write_prompt(self, source: str) -> None:
        """Keep the prompt template as it was used."""
        write_text(self.folder / PROMPT, source)

    def close(self) -> None:
        """Sync, close and unlock; raises `StorageError`. Idempotent."""
        try:
            with contextlib.closing(self._scores), contextlib.closing(self._completions):
                if self._turns is not None:
                    self._turns.close()
        finally:
            if self._lock_fd >= 0:
                os.close(self._lock_fd)
                self._lock_fd = -1

    def __enter__(self) -> Self:
        """Return the open store."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()
