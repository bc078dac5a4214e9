"""Making hostile text harmless for a page: spelt-out characters, safe file names and JSON."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from typing import Any

from recode_eval.terminal import printable

LONGEST = 100_000
"""Characters of one text that a page shows; the rest stays in the run's own files."""

_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def shown(value: object) -> str:
    """Return text in which control characters, direction marks and surrogates are spelt out."""
    text = str(value)
    # What Python calls printable has no control character, direction mark or surrogate.
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    plain = text.replace("\n", "").replace("\t", "").isprintable()
    return text if plain else printable(text)


def cut(text: str, longest: int = LONGEST) -> str:
    """Return `shown` text of at most `longest` characters, and a note of what was left out."""
    if len(text) <= longest:
        return shown(text)
    return f"{shown(text[:longest])}\n[... {len(text) - longest:,} more characters]"


def points(share: float) -> str:
    """Return a difference of shares in points; nothing has no sign.

    >>> points(0.0712), points(-0.0001)
    ('+7.1', '0.0')
    """
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text


def slug(name: str) -> str:
    """Return a file name for any name: readable, unique by a hash, harmless in paths and links."""
    readable = _UNSAFE_NAME.sub("-", name).strip("-.")[:60].lower() or "x"
    return f"{readable}-{digest(name)}"


def digest(content: object) -> str:
    """Return 8 hexadecimal digits of the SHA-256 of JSON-able content."""
    if isinstance(content, str):
        return _digest_of_text(content)
    return _hash(json.dumps(content, sort_keys=True, separators=(",", ":")))


@lru_cache(maxsize=100_000)
def _digest_of_text(text: str) -> str:
    return _hash(json.dumps(text))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def script_json(content: Any) -> str:
    """Return JSON that can stand inside a `<script type="application/json">` element.

    Without `<`, `>` and `&` no text in it can end the element or open a comment.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
