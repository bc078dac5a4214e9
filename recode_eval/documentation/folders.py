"""Reading the documents that a user names, from a folder that may hold anything.

Only plain files inside the folder are read: links are not followed, pipes not opened, and what is
large, binary or no UTF-8 is left out and counted. Texts are returned as they are; nothing in them
is executed or expanded.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from recode_eval.errors import UsageError
from recode_eval.terminal import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SUFFIXES: Final = (".md", ".rst", ".txt", ".pyi")
MOST_FILE: Final = 2 << 20
"""Bytes of one document; a longer one is left out."""
MOST_TOTAL: Final = 32 << 20
"""Bytes of all documents of a folder; more are refused."""
MOST_FILES: Final = 5000
MOST_ENTRIES: Final = 100_000
"""Names of any kind that are looked at below a folder; more are refused."""
MOST_DEPTH: Final = 16
"""Folders within one another; deeper ones are left out."""
_OPEN: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_ROOT: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class Document:
    """One document."""

    path: str
    """Relative to the folder that was named, on one line; for a single file, its name."""
    text: str


@dataclass(slots=True)
class Documents:
    """What a folder holds."""

    found: list[Document] = field(default_factory=list)
    """In the order of their paths."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Files that look like documents by the reason why they are left out, and links."""


def read_document(path: Path) -> Document:
    """Read one file, whatever its suffix.

    A link that the user names is followed: it is their own choice.

    Raises:
        UsageError: it is no plain file, cannot be read, is empty, longer than `MOST_FILE`, binary
            or no UTF-8.
    """
    where = f"--docs {printable(path)}"
    try:
        descriptor = os.open(path, _OPEN & ~os.O_NOFOLLOW)
    except (OSError, ValueError) as error:
        raise UsageError(f"{where}: cannot be read ({error}).") from error
    try:
        content = _content(descriptor)
    except OSError as error:
        raise UsageError(f"{where}: cannot be read ({error}).") from error
    finally:
        os.close(descriptor)
    match content:
        case str(text) if text.strip():
            return Document(one_line(path.name, 200), text)
        case str():
            raise UsageError(f"{where} is empty.")
        case _Refused(why):
            raise UsageError(f"{where}: {why}.")


def read_folder(folder: Path, option: str = "--docs") -> Documents:
    """Read the documents below a folder (`SUFFIXES`); what begins with a dot is not looked at.

    Raises:
        UsageError: it is no folder, holds more than the limits allow, or no document.
    """
    where = f"{option} {printable(folder)}"
    try:
        root = os.open(folder, _ROOT)
    except (OSError, ValueError) as error:
        raise UsageError(f"{where}: cannot be read ({error}).") from error
    documents, total, entries = Documents(), 0, 0
    try:
        for path, content in _walk(root, "", 0, documents.skipped):
            entries += 1
            if entries > MOST_ENTRIES:
                raise UsageError(f"{where} holds more than {MOST_ENTRIES:,} files; name a part.")
            if content is None:
                continue
            total += len(content.encode())
            documents.found.append(Document(one_line(path, 200), content))
            if total > MOST_TOTAL or len(documents.found) > MOST_FILES:
                raise UsageError(
                    f"{where} holds more than {MOST_FILES:,} documents or {MOST_TOTAL >> 20} MiB; "
                    "name a part of it."
                )
    finally:
        os.close(root)
    documents.found.sort(key=lambda document: document.path)
    if not documents.found:
        left = f" ({told(documents.skipped)})" if documents.skipped else ""
        raise UsageError(f"{where} holds no document ({', '.join(SUFFIXES)}){left}.")
    return documents


def told(skipped: Mapping[str, int]) -> str:
    """Return what was left out and why, for people.

    >>> told({"binary": 2, "a link": 1})
    'left out: 1 a link, 2 binary'
    """
    return "left out: " + ", ".join(f"{count} {why}" for why, count in sorted(skipped.items()))


@dataclass(frozen=True, slots=True)
class _Refused:
    why: str


def _walk(
    folder: int, prefix: str, depth: int, skipped: Counter[str]
) -> Iterator[tuple[str, str | None]]:
    """Yield every entry; a document with its text, anything else with None."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError:
        skipped["unreadable"] += 1
        return
    for name in names:
        yield prefix + name, None
        if name.startswith("."):
            continue
        if not _is_text(name):
            skipped["with an odd name"] += 1
            continue
        try:
            descriptor = os.open(name, _OPEN, dir_fd=folder)
        except OSError:
            # O_NOFOLLOW refuses a link; a socket cannot be opened either.
            if name.lower().endswith(SUFFIXES) or _is_link(name, folder):
                skipped["a link" if _is_link(name, folder) else "unreadable"] += 1
            continue
        try:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                if depth + 1 >= MOST_DEPTH:
                    skipped["too deep"] += 1
                else:
                    yield from _walk(descriptor, f"{prefix}{name}/", depth + 1, skipped)
            elif name.lower().endswith(SUFFIXES):
                content = _content(descriptor)
                if isinstance(content, _Refused):
                    skipped[content.why] += 1
                elif content.strip():
                    yield prefix + name, content
                else:
                    skipped["empty"] += 1
        except OSError:
            skipped["unreadable"] += 1
        finally:
            os.close(descriptor)


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode)
    except OSError:
        return False


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False
    return True


def _content(descriptor: int) -> str | _Refused:
    """Return the text of an open file, or why it is none."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return _Refused("no plain file")
    content = b""
    while len(content) <= MOST_FILE and (part := os.read(descriptor, MOST_FILE + 1)):
        content += part
    if len(content) > MOST_FILE:
        return _Refused(f"longer than {MOST_FILE >> 20} MiB")
    if b"\0" in content:
        return _Refused("binary")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _Refused("not UTF-8")
