"""What is known of another harness's log, whichever wrote it, and how its fields are read.

A log comes from anybody: a field of another type than its tool writes is a `DataError` where it is
needed, and as if it were missing elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LONGEST_NAME: Final = 300
"""Characters of a name in a log; a longer one names nothing."""
MOST_SAMPLES: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class ForeignSample:
    """One answer and its scores."""

    id: str
    """The sample's id in its data set."""
    content: str
    """Digest of input and target: an id alone may stand for something else in another log."""
    epoch: int
    """0 for the first answer to this sample."""
    scores: Mapping[str, float]
    """By scorer, 0 to 1; a score that is no such number is left out."""
    text: str = ""
    finish: str = "stop"
    detail: str = ""
    """What the headline scorer said."""
    error: str = ""
    """Why there is no score."""
    cluster: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    seconds: float | None = None

    @property
    def key(self) -> str:
        """The problem's id: the sample and its content."""
        return f"{self.id}#{self.content[:8]}"


@dataclass(frozen=True, slots=True)
class ForeignLog:
    """A whole log."""

    tool: str
    version: str
    created: str
    """ISO 8601."""
    task: str
    task_version: int
    dataset: str
    model: str
    model_identity: Mapping[str, Any]
    prompt: Any
    """What decides the prompts besides the samples, as JSON."""
    grading: Any
    """What decides the scores, as JSON."""
    headline: str
    """The score that ranks."""
    epochs: int
    samples: Sequence[ForeignSample]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    cautions: Sequence[str] = field(default_factory=tuple)
    """What the log does not say, or says against its figures."""


def digest(content: Any) -> str:
    """Return the SHA-256 of JSON-able content."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def name_of(value: object, what: str, source: str) -> str:
    """Return a name; raises `DataError` if there is none."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not text or len(text) > LONGEST_NAME:
        raise DataError(f"{source} is damaged: {what} is {value!r:.60}, no name.")
    return text


def mapping(value: object) -> dict[str, Any]:
    """Return an object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Return a list, or an empty one for anything else."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str:
    """Return a text, or an empty one for anything else."""
    return value if isinstance(value, str) else ""


def count_of(value: object) -> int | None:
    """Return a count, or None for anything else."""
    return value if type(value) is int and 0 <= value < 2**53 else None


def number_of(value: object) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 2**53 and math.isfinite(value) else None
