"""The texts that the prompts of one run show, and how they are kept with it (`docs.jsonl`)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from recode_eval.documentation.block import FORM, framed
from recode_eval.documentation.tokens import count_tokens
from recode_eval.errors import DataError
from recode_eval.schemas.base import LARGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCS: Final = "docs.jsonl"
"""The file in a run's folder."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a part of a text comes from."""

    path: str
    """A document, an API with its release, or the problem that a note belongs to."""
    heading: str = ""
    score: float | None = None
    """Of the search; None where nothing was searched."""
    tokens: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what is stored."""
        content = {"path": self.path, "heading": self.heading}
        more = {"score": self.score, "tokens": self.tokens}
        return content | {key: value for key, value in more.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Shown:
    """What one problem's prompt shows."""

    text: str
    sources: tuple[Source, ...] = ()
    withheld: int = 0
    """Parts left out because they give the problem's answer away."""


@dataclass(frozen=True)
class PromptDocs:
    """What the prompts of a run show, problem by problem."""

    arm: str
    shown: Mapping[str, Shown]
    missing: Mapping[str, str]
    """The selected problems that have nothing to show, and why."""

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the arm, the form of the block and every problem's text."""
        texts = [[key, _sha256(one.text)] for key, one in sorted(self.shown.items())]
        return _sha256(json.dumps([FORM, self.arm, texts]))

    @property
    def identity(self) -> dict[str, str]:
        """What becomes part of a run's identity."""
        return {"arm": self.arm, "hash": self.hash}

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What results say of it; lengths are of the whole block, by the rule of `tokens`."""
        by_text: dict[str, int] = {}
        for one in self.shown.values():
            if one.text not in by_text:
                by_text[one.text] = count_tokens(framed(one.text))
        lengths = [by_text[one.text] for one in self.shown.values()]
        return {
            **self.identity,
            "problems": len(lengths),
            "missing": len(self.missing),
            "withheld": sum(one.withheld for one in self.shown.values()),
            "mean_tokens": round(sum(lengths) / len(lengths), 1) if lengths else 0.0,
            "max_tokens": max(lengths, default=0),
        }

    def to_text(self) -> str:
        """Return the content of `docs.jsonl`; what several problems have alike is there once."""
        lines: list[dict[str, Any]] = [{"arm": self.arm, "form": FORM, "hash": self.hash}]
        first: dict[Shown, str] = {}
        for key, one in self.shown.items():
            same = first.setdefault(one, key)
            if same != key:
                lines.append({"problem_id": key, "same_as": same})
                continue
            sources = [source.to_json() for source in one.sources]
            content = {"text": one.text, "withheld": one.withheld, "sources": sources}
            lines.append({"problem_id": key, **content})
        lines += [
            {"problem_id": key, "text": None, "reason": why} for key, why in self.missing.items()
        ]
        return "".join(f"{json.dumps(line)}\n" for line in lines)


def parse_docs(text: str, expected: Any, where: str) -> PromptDocs:
    """Read what `to_text` wrote; `expected` is the run's identity of it (`PromptDocs.identity`).

    Raises:
        DataError: it is malformed, or not what the run showed.
    """
    try:
        head, *rows = map(json.loads, text.splitlines())
        shown: dict[str, Shown] = {}
        missing: dict[str, str] = {}
        for row in rows:
            key = str(row["problem_id"])
            if "same_as" in row:
                shown[key] = shown[row["same_as"]]
            elif row["text"] is None:
                missing[key] = str(row["reason"])
            else:
                withheld = _amount(row["withheld"], int)
                shown[key] = Shown(_text(row["text"]), _sources(row), int(withheld))
        docs, form = PromptDocs(_text(head["arm"]), shown, missing), head["form"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{where} is damaged ({type(error).__name__}: {error}). The run's own command writes "
            "it anew."
        ) from error
    if form != FORM:
        raise DataError(
            f"{where} was written for the form {str(form)[:20]} of the block, and this version has "
            f"{FORM}. Use the version that wrote it."
        )
    if docs.identity != expected:
        raise DataError(
            f"{where} does not hold what the run's prompts showed: its hash is {docs.hash[:12]}. "
            "Somebody changed it, or it is another run's."
        )
    return docs


def _sources(row: Any) -> tuple[Source, ...]:
    return tuple(
        Source(
            _text(one["path"]),
            _text(one["heading"]),
            _amount(one["score"], int, float) if "score" in one else None,
            int(_amount(one["tokens"], int)) if "tokens" in one else None,
        )
        for one in row["sources"]
    )


def _amount(value: object, *kinds: type) -> float:
    """Return a number of the kinds that is 0 or more; raises `TypeError` for anything else."""
    if type(value) not in kinds or not isinstance(value, int | float) or not 0 <= value <= LARGEST:
        raise TypeError(f"{value!r:.40} instead of a number of 0 to 2**53")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of text")
    return value


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
