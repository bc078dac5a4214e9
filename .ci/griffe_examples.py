"""Extension of Griffe: shows a docstring's example, which starts with `>>>`, as a block of code.

Without it Markdown takes `>>>` for a quotation.
"""

from __future__ import annotations

from typing import Any

import griffe

_PROMPT = ">>> "


class FencedExamples(griffe.Extension):
    """Puts a fence around each example."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of whatever was collected."""
        if obj.docstring is not None and _PROMPT in obj.docstring.value:
            paragraphs = obj.docstring.value.split("\n\n")
            obj.docstring.value = "\n\n".join(map(_fenced, paragraphs))


def _fenced(paragraph: str) -> str:
    if not paragraph.lstrip().startswith(_PROMPT):
        return paragraph
    indent = paragraph[: len(paragraph) - len(paragraph.lstrip())]
    return f"{indent}```pycon\n{paragraph.rstrip()}\n{indent}```"
