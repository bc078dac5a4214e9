"""The journal of conversations: one line for every answer, and for what the model was told of it.

An answer is written before anything follows from it, so that a run that was killed goes on where it
was and asks for nothing twice that it has. Lines are JSON with escaped non-ASCII characters.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta

from recode_eval.errors import DataError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE: Final = "turns.jsonl"
Count = Annotated[int, Meta(ge=0, le=2**53)]
Amount = Annotated[float, Meta(ge=0, le=2**53)]


class Call(msgspec.Struct, frozen=True):
    """A tool call as the model wrote it."""

    id: str
    name: str
    arguments: str


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """A line; `step` counts the requests of a sample, from 0."""

    problem_id: str
    sample: Count
    prompt_hash: str
    step: Count

    @property
    def key(self) -> tuple[str, int]:
        """Problem and sample index."""
        return self.problem_id, self.sample


class Answered(Entry, frozen=True, kw_only=True, tag="answer"):
    """What the model wrote."""

    turn: Annotated[int, Meta(ge=1, le=10_000)]
    seed: Count
    text: str
    prefill: str = ""
    finish_reason: str
    is_code: bool = False
    calls: tuple[Call, ...] = ()
    offered: bool = False
    """Whether the model could call tools."""
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    cached_tokens: Count | None = None
    seconds: Amount | None = None
    batched: bool = False
    """A batch job asked for it."""


class Checked(Entry, frozen=True, kw_only=True, tag="feedback"):
    """What the visible test said of a turn's answer."""

    ends: bool
    """It passes (or the problem is faulty): there is nothing to answer to."""
    text: str = ""


class ToolUsed(Entry, frozen=True, kw_only=True, tag="tool"):
    """What one call gave; `index` is its place among the calls of the answer."""

    index: Count
    name: str
    status: str
    """`ok`, `malformed` (the model's fault) or `refused` (a budget is used up)."""
    text: str
    seconds: Amount = 0.0


Line = Answered | Checked | ToolUsed


def to_line(entry: Entry) -> dict[str, Any]:
    """Return the JSON form."""
    content: dict[str, Any] = msgspec.to_builtins(entry)
    return content


def read_journal(path: Path) -> Iterator[Line]:
    """Read the whole lines of a journal; a torn last line is left out, a missing file is empty.

    Raises:
        DataError: a line in the middle is damaged (its number is named).
        StorageError: the file cannot be read.
    """
    for _, _, line in placed_lines(path):
        yield line


def placed_lines(path: Path) -> Iterator[tuple[int, int, Line]]:
    """Yield what `read_journal` does, with the bytes at which each line begins and ends."""
    start = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield start, start + len(line), parse_line(line)
                except (ValueError, RecursionError) as error:
                    raise DataError(
                        f"{path}, line {number} is damaged ({error}). Delete all lines of its "
                        "sample; the same command then asks for that sample again."
                    ) from error
                start += len(line)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror or error}.") from error


def parse_line(line: bytes) -> Line:
    """Read one line; raises `ValueError` or `RecursionError` for what no run writes."""
    found: Line = msgspec.convert(json.loads(line), Line)
    return found
