"""The schema of what a run stores per sample: what the model wrote, and how it was graded.

Two records per sample, so that grading again never needs the model: a `CompletionRecord` is written
as soon as the text is there, a `ScoreRecord` when the sandbox has spoken. Both are one line of JSON
with escaped non-ASCII characters, so that NUL bytes and lone surrogates survive.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Self, get_args, get_origin, get_type_hints

from recode_eval.metrics import metric
from recode_eval.schemas.base import LARGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

Key = tuple[str, int]
"""A sample within a run: problem id and sample index."""


class _Record:
    """JSON form of a dataclass; unknown keys of newer versions are ignored on reading."""

    def to_json(self) -> dict[str, Any]:
        # Not `asdict`: its deep copy costs more than writing the line.
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Raises `TypeError` when a field is missing, or not of its type."""
        known = _types(cls)  # type: ignore[arg-type]
        if not raw.keys() <= known.keys():
            raw = {key: value for key, value in raw.items() if key in known}
        for key, value in raw.items():
            if type(value) not in known[key]:
                raise TypeError(f"the field {key} is of type {type(value).__name__}")
        record = cls(**raw)
        record.check()
        return record

    def check(self) -> None:
        """Raise `TypeError` for content that cannot be right; only what is read is checked."""


@cache
def _types(cls: type) -> dict[str, frozenset[type]]:
    """Map a record's fields to the JSON types they may have; true is not a number."""
    types: dict[str, frozenset[type]] = {}
    for name, hint in get_type_hints(cls).items():
        members = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        plain = {get_origin(member) or member for member in members}
        types[name] = frozenset(plain | {int} if float in plain else plain)
    return types


def _check_amounts(**amounts: float | None) -> None:
    """Raise `TypeError` for what is given and is no number from 0 to what a browser can hold."""
    for name, value in amounts.items():
        if value is not None and (type(value) not in {int, float} or not 0 <= value <= LARGEST):
            raise TypeError(f"{name} is {value!r:.40}, no number of 0 to 2**53")


@lru_cache(maxsize=256)  # a file may hold any number of names
def _bounds(metric_name: str) -> tuple[float, float]:
    return metric(metric_name).bounds


@dataclass(frozen=True, slots=True)
class CompletionRecord(_Record):
    """One sample as the model wrote it (the prefill is not part of `text`)."""

    problem_id: str
    sample: int
    seed: int
    prompt_hash: str
    text: str
    finish_reason: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    prefill: str = ""
    """What opened the assistant's turn; extraction reads `prefill + text`."""
    is_code: bool = False
    reasoning_tokens: int | None = None
    """Of the completion tokens, where the server says so."""
    cached_tokens: int | None = None
    """Of the prompt tokens, where the server says so."""
    turns: int = 1
    """Answers that the sample took; `text` is the last one, the token counts are of all."""
    tool_calls: int = 0
    batched: bool = False
    """A batch job asked for it."""

    def check(self) -> None:
        """Raise `TypeError` for what is no count or no time: results could not be read again."""
        _check_amounts(
            sample=self.sample,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            seconds=self.seconds,
            reasoning_tokens=self.reasoning_tokens,
            cached_tokens=self.cached_tokens,
            turns=self.turns,
            tool_calls=self.tool_calls,
        )

    @property
    def key(self) -> Key:
        """Problem and sample index."""
        return self.problem_id, self.sample

    @property
    def digest(self) -> str:
        """Hash of what is graded (16 hexadecimal digits)."""
        graded = f"{self.prefill}\0{self.text}\0{self.is_code}"
        return hashlib.sha256(graded.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ScoreRecord(_Record):
    """How one sample was graded."""

    problem_id: str
    sample: int
    prompt_hash: str
    completion: str
    """`CompletionRecord.digest` of what was graded; a score of another text is not reused."""
    scoring: str
    """Hash of the settings it was graded under; a score under other settings is not reused."""
    tier: str
    """Sandbox tier; one run never mixes two."""
    extraction: str
    """How the code was found (`extraction.ExtractionMethod`)."""
    extraction_detail: str
    code: str | None
    similarity: dict[str, float]
    """`es`, `em`, `es_star`, `em_star` against the reference."""
    conditions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Per condition: `passed`, `tests` (`[name, status, detail]` each, in order), `output` and
    `cpu_s`, and `lines`: by test, the line of its source at which it failed, where that is known.
    Empty when there is no code."""
    cpu_limit_s: float | None = None
    """CPU seconds that each test was allowed."""
    setup_error: str | None = None
    """The problem's own set-up failed: the row is faulty, the sample does not count."""
    measures: dict[str, float] = field(default_factory=dict)
    """What the task measures besides, each in [0, 1]; see `tasks.base.Measuring`."""
    flags: list[str] = field(default_factory=list)
    """Reasons for suspicion found in the code."""

    @property
    def key(self) -> Key:
        """Problem and sample index."""
        return self.problem_id, self.sample

    def __post_init__(self) -> None:
        """Refuse conditions that do not have the documented shape."""
        for condition in self.conditions.values():
            if not all(
                len(test) == 3 and isinstance(test[0], str) and isinstance(test[1], str)
                for test in condition["tests"]
            ):
                raise TypeError("the tests of a condition are not [name, status, detail]")

    def check(self) -> None:
        """Raise `TypeError` for figures out of a metric's range, and for odd conditions.

        The figures are averaged later, where nobody knows the line that one came from.
        """
        for what, figures in (("similarity", self.similarity), ("measures", self.measures)):
            for name, value in figures.items():
                low, high = _bounds(name)
                # A bool is no figure, and NaN is in no range.
                if type(value) not in {int, float} or not low <= value <= high:
                    shown = repr(value)[:40]
                    raise TypeError(f"{what}: {name} is {shown}, no number of {low:g} to {high:g}")
        _check_amounts(sample=self.sample, cpu_limit_s=self.cpu_limit_s)
        for name, condition in self.conditions.items():
            _check_amounts(cpu_s=condition.get("cpu_s"))
            if type(condition.get("passed")) is not bool:
                raise TypeError(f"conditions: passed of {name} is neither true nor false")
            if not isinstance(condition.get("output", ""), str):
                raise TypeError(f"conditions: output of {name} is no text")

    def passed(self, condition: str) -> bool:
        """Whether every test passed under a condition; no code never passes."""
        return bool(self.conditions.get(condition, {}).get("passed", False))

    def passed_part(self, condition: str, prefix: str) -> bool:
        """Whether all tests whose names begin so passed, and there are any."""
        tests = self.conditions.get(condition, {}).get("tests", [])
        part = [status == "passed" for name, status, _ in tests if name.startswith(prefix)]
        return bool(part) and all(part)

    def test_rate(self, condition: str) -> float:
        """Share of tests passed under a condition, 0 to 1."""
        tests = self.conditions.get(condition, {}).get("tests", [])
        return sum(test[1] == "passed" for test in tests) / len(tests) if tests else 0.0
