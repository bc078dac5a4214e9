"""Indices of runs, kept from one build of a site to the next: most runs never change again.

An index is used again only while the run's files have the size, the times and the inode that they
had when they were read, and the program is the same. Anything odd in the cache is read anew.
"""

from __future__ import annotations

import hashlib
import os
import time
from array import array
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from recode_eval.conversations.journal import FILE as TURNS
from recode_eval.files import replace_file
from recode_eval.leaderboard.failure_classes import Failures
from recode_eval.leaderboard.lines import LineIndex
from recode_eval.leaderboard.run_index import WORDS, RunIndex
from recode_eval.run.store import COMPLETIONS, MANIFEST, RESULTS, SCORES

_FILES: Final = (RESULTS, MANIFEST, COMPLETIONS, SCORES, TURNS)
_UNSETTLED_S: Final = 2.0
"""A file that changed so lately could change again without another time."""
_UNUSED_S: Final = 30 * 86_400
"""Entries that no build used for so long are deleted."""

Signature = list[list[int]]


class _Head(msgspec.Struct):
    """What an entry was made by, and of."""

    program: str
    folder: str
    signature: Signature

    def fits(self, run: Path, signature: Signature) -> bool:
        """Return whether it is of the run's files as they are, by this program."""
        told = self.program, self.folder, self.signature
        return told == (program(), _name(run), signature)


class _Entry(_Head):
    """An index as it is stored; arrays as the bytes of 64-bit integers."""

    lines: list[list[bytes] | None]
    samples: bytes
    words: bytes
    prompts: list[str]
    counted: list[list[int]]
    content: str
    classes: dict[str, int]
    first: list[tuple[int, int, str]]


@lru_cache(maxsize=1)
def program() -> str:
    """Return a digest of this package's source: another program may read files differently."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class IndexCache:
    """A folder with an entry per run."""

    folder: Path

    def signature(self, run: Path) -> Signature:
        """Return what tells whether a run's files changed; empty while they may be changing."""
        found: Signature = []
        for name in _FILES:
            try:
                stat = (run / name).lstat()
            except OSError:
                found.append([])
                continue
            if time.time() - max(stat.st_mtime, stat.st_ctime) < _UNSETTLED_S:
                return []
            found.append([stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino])
        return found

    def get(self, run: Path, signature: Signature) -> RunIndex | None:
        """Return the index of a run whose files have this signature, or None."""
        if not signature:
            return None
        path = self._place(run)
        try:
            entry = msgspec.msgpack.decode(path.read_bytes(), type=_Entry)
            if not entry.fits(run, signature):
                return None
            os.utime(path)  # used
            return _index(entry)
        except (OSError, msgspec.MsgspecError, ValueError, IndexError, TypeError):
            return None

    def holds(self, run: Path) -> bool:
        """Return whether it has an index of a run's files as they are now, without reading all.

        `get` may still find that it is damaged.
        """
        try:
            head = msgspec.msgpack.decode(self._place(run).read_bytes(), type=_Head)
        except (OSError, msgspec.MsgspecError):
            return False
        signature = self.signature(run)
        return bool(signature) and head.fits(run, signature)

    def put(self, run: Path, signature: Signature, index: RunIndex) -> None:
        """Keep the index of a run that had this signature before it was read, and still has it."""
        if not signature or self.signature(run) != signature:
            return
        content = msgspec.msgpack.encode(_entry(run, signature, index))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._place(run), content)
        except OSError:
            return  # a full disk makes the next build slow, and this one no worse

    def prune(self) -> None:
        """Delete entries that no build used lately."""
        now = time.time()
        for path in self.folder.glob("*"):
            try:
                if now - path.stat().st_mtime > _UNUSED_S:
                    path.unlink()
            except OSError:
                continue

    def _place(self, run: Path) -> Path:
        return self.folder / hashlib.sha256(_name(run).encode()).hexdigest()[:32]


def _name(run: Path) -> str:
    return os.fsencode(run.resolve()).hex()


def _entry(run: Path, signature: Signature, index: RunIndex) -> _Entry:
    def stored(lines: LineIndex | None) -> list[bytes] | None:
        if lines is None:
            return None
        return [lines.first.tobytes(), lines.starts.tobytes(), lines.ends.tobytes()]

    return _Entry(
        program(), _name(run), signature,
        [stored(lines) for lines in (index.completions, index.scores, index.turns)],
        index.samples.tobytes(), index.words, list(index.prompts),
        [list(counts) for counts in index.counted], index.content, dict(index.failures.counts),
        [(position, *found) for position, found in index.failures.first.items()],
    )  # fmt: skip


def _index(entry: _Entry) -> RunIndex:
    """Return the index; raises `ValueError`, `IndexError` or `TypeError` if it is none."""
    completions, scores, turns = map(_lines, entry.lines)
    if completions is None or scores is None or max(entry.words, default=0) >= len(WORDS):
        raise ValueError("not an index")
    return RunIndex(
        completions, scores, turns, _numbers(entry.samples), entry.words, tuple(entry.prompts),
        tuple((a, b, c) for a, b, c in entry.counted), entry.content,
        Failures(Counter(entry.classes), {p: (sample, why) for p, sample, why in entry.first}),
    )  # fmt: skip


def _lines(stored: list[bytes] | None) -> LineIndex | None:
    if stored is None:
        return None
    first, starts, ends = map(_numbers, stored)
    return LineIndex(first, starts, ends)


def _numbers(stored: bytes) -> array[Any]:
    found = array("q")
    found.frombytes(stored)
    return found
