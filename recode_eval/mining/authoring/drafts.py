"""From a model's answer to a draft of a migration pair, and from a draft to a row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.languages import PYTHON, get_language
from recode_eval.tasks.migration import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recode_eval.mining.candidates import Candidate

LONGEST_ANSWER: Final = 100_000
LONGEST_TEXT: Final = 4_000
"""Characters of the description or of the note."""
LONGEST_CODE: Final = 20_000
"""Characters of a program or of the tests; thirty lines have a tenth of it."""
# No two neighbouring repetitions take the same character: the time stays linear.
_HEADING = re.compile(
    r"^[ \t]*#{1,6}[ \t*]*(?P<name>description|note|old program|new program|tests|patterns)"
    r"[ \t*:]*$",
    re.IGNORECASE | re.MULTILINE,
)
_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(?P<code>.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
_PATTERN = re.compile(r"^[ \t*-]*(?P<side>old|new)[ \t]*:(?P<text>.+)$", re.MULTILINE)
_THOUGHT = "</think>"
_SAME_KIND: Final = {
    "argument-reordered": "argument-removed",
    "argument-keyword-only": "argument-removed",
}
"""What a row calls kinds that only candidates have: positions that are no longer taken."""


class DraftError(ValueError):
    """An answer is no draft; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a model wrote, unchecked."""

    description: str
    note: str
    old_code: str
    new_code: str
    tests: str
    old_patterns: tuple[str, ...]
    new_patterns: tuple[str, ...]


def parse_draft(text: str) -> Draft:
    """Read an answer; what a model thought before it is dropped.

    Raises:
        DraftError: a section is missing, occurs twice, is empty or too long.

    >>> parse_draft("### Note")
    Traceback (most recent call last):
    ...
    recode_eval.mining.authoring.drafts.DraftError: the section Description is missing
    """
    text = text[-LONGEST_ANSWER:].replace("\r\n", "\n").rpartition(_THOUGHT)[2]
    parts: dict[str, str] = {}
    found = list(_HEADING.finditer(text))
    for place, match in enumerate(found):
        end = found[place + 1].start() if place + 1 < len(found) else len(text)
        name = match["name"].lower()
        if name in parts:
            raise DraftError(f"the section {name.capitalize()} occurs twice")
        parts[name] = text[match.end() : end].strip()
    patterns = parts.get("patterns", "")
    sides: dict[str, list[str]] = {"old": [], "new": []}
    for match in _PATTERN.finditer(patterns):
        if pattern := match["text"].strip().strip("`"):
            sides[match["side"]].append(pattern)
    return Draft(
        _words(parts, "description"),
        _words(parts, "note"),
        _code(parts, "old program"),
        _code(parts, "new program"),
        _code(parts, "tests"),
        tuple(sides["old"]),
        tuple(sides["new"]),
    )


def _words(parts: Mapping[str, str], name: str) -> str:
    text = " ".join(parts.get(name, "").split())
    if not text:
        raise DraftError(f"the section {name.capitalize()} is missing")
    return _bounded(text, name, LONGEST_TEXT)


def _code(parts: Mapping[str, str], name: str) -> str:
    section = parts.get(name, "")
    fenced = _FENCE.search(f"{section}\n")
    code = (fenced["code"] if fenced else section).strip("\n")
    if not code.strip():
        raise DraftError(f"the section {name.capitalize()} is missing")
    return _bounded(f"{code}\n", name, LONGEST_CODE)


def _bounded(text: str, name: str, most: int) -> str:
    """Return the text; comparing texts takes the square of their length."""
    if len(text) > most:
        raise DraftError(f"the section {name.capitalize()} has more than {most} characters")
    return text


def row_of(candidate: Candidate, draft: Draft, attempt: int, split: str) -> dict[str, Any]:
    """Return a raw row of the kind `migration`; the task checks it."""
    note = candidate.note
    provenance = (
        f"{candidate.library} {note.release} release notes, {note.heading}"
        if note is not None
        else f"{candidate.library} {candidate.old_version} and {candidate.new_version}, compared"
    )
    days = sorted(day for day in (candidate.old_uploaded, candidate.new_uploaded) if day)
    old_patterns = draft.old_patterns or (candidate.api,)
    row = {
        "id": f"{candidate.id}-{attempt}",
        "dependency": candidate.library,
        "old_version": candidate.old_version,
        "new_version": candidate.new_version,
        "changed_after": days[0] if len(days) == 2 else None,
        "changed_on": candidate.new_uploaded,
        "license": candidate.license or None,
        "split": split,
        "update_type": _SAME_KIND.get(candidate.kind, candidate.kind),
        "apis": [candidate.api],
        "changes": [change_of(candidate)],
        "old_use": _patterns(old_patterns, draft.old_code, draft.new_code),
        "new_use": _patterns(draft.new_patterns, draft.new_code, draft.old_code),
        "provenance": provenance,
        "update_info": draft.note,
        "description": draft.description,
        "old_code": draft.old_code,
        "new_code": draft.new_code,
        "tests": draft.tests,
        "preload": [candidate.api.partition(".")[0]],
    }
    return {key: value for key, value in row.items() if value is not None}


def writable(candidate: Candidate) -> bool:
    """Whether a pair can be about it: what is only deprecated still works."""
    return _SAME_KIND.get(candidate.kind, candidate.kind) in KINDS


def change_of(candidate: Candidate) -> str:
    """Return the name of the change, the same for all candidates of one entry of the notes."""
    note = candidate.note
    subject = f"{note.release} {note.text}" if note is not None else candidate.api.partition(".")[2]
    words = re.findall(r"[a-z0-9]+", subject.lower())[:8]
    return "-".join(re.findall(r"[a-z0-9]+", candidate.library) + words)


def _patterns(texts: tuple[str, ...], there: str, absent: str) -> list[str]:
    """Return the patterns that tell the two programs apart; a wrong one is dropped."""
    python = get_language(PYTHON)
    kept = []
    for text in texts:
        try:
            python.check_pattern(text)
        except ValueError:
            continue
        if python.api_uses((text,), there) and not python.api_uses((text,), absent):
            kept.append(text)
    return kept
