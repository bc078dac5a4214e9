"""What is known of another harness's log, whichever wrote it, and how its fields are read.

A log comes from anybody: a field of another type than its tool writes is a `DataError` where it is
needed, and as if it were missing elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
    """By scorer, 0 to 1 (`comparable_scores`); an unscored one is left out."""
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


def comparable_scores(
    samples: Iterable[ForeignSample], reversed_names: Iterable[str] = ()
) -> tuple[list[ForeignSample], list[str]]:
    """Return samples with the scores that can be compared, and cautions that name the others.

    A score counts where each of its values lies in 0..1 and more is better. To leave out single
    values would make a mean of those that happen to lie there: of marks from 1 to 10, the ones.
    `reversed_names` are those of which less is better.
    """
    found = list(samples)
    beyond = dict.fromkeys(
        name for s in found for name, value in s.scores.items() if not 0 <= value <= 1
    )
    less = [name for name in reversed_names if name not in beyond]
    told = []
    if beyond:
        names = ", ".join(beyond)[:200]
        told.append(f"scores that are not all numbers from 0 to 1 are left out: {names}")
    if less := [name for name in less if any(name in s.scores for s in found)]:
        told.append(f"scores of which less is better are left out: {', '.join(less)[:200]}")
    dropped = {*beyond, *less}
    return [
        replace(s, scores={k: v for k, v in s.scores.items() if k not in dropped}) for s in found
    ], told


def score_of(value: object) -> float | None:
    """Return a score's number; None for unscored (NaN, null), infinity for what is no number."""
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return float(value)
    number = number_of(value)
    return math.inf if number is None else number


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
