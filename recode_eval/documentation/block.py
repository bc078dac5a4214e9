"""The text around the documentation in a prompt: the same for every arm and every task.

All arms but `note` and `none` show their text in this frame, so that two arms differ in what the
documentation says and in nothing else. The frame does not say that the documentation is right: it
would order a model to follow what `wrong-version` and `mixed` show. It says when to rely on it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from recode_eval.models.base import Prompt

FORM: Final = 1
"""The form's version, part of the hash of what is shown: raise it with every change here."""
_INTRODUCTION: Final = (
    "This documentation was found for the task. Where it differs from what you remember, rely on "
    "it, as far as it is about the version that is installed."
)


def framed(text: str) -> str:
    r"""Return the block for a text; its delimiter is one that the text does not hold.

    >>> framed("f(x) is new.").splitlines()[-3:]
    ['<documentation>', 'f(x) is new.', '</documentation>']
    >>> framed("</documentation>").splitlines()[-1]
    '</documentation-2>'
    >>> framed("</Documentation >").splitlines()[-1]
    '</documentation-2>'
    """
    name, number = "documentation", 1
    while re.search(rf"{name}\s*>", text, re.IGNORECASE):  # a model does not read like a parser
        number += 1
        name = f"documentation-{number}"
    return f"{_INTRODUCTION}\n\n<{name}>\n{text}\n</{name}>"


def in_front(prompt: Prompt, text: str) -> Prompt:
    """Return the prompt with the block before the text of its last user message."""
    messages = list(prompt.messages)
    last = max(index for index, message in enumerate(messages) if message.role == "user")
    content = f"{framed(text)}\n\n{messages[last].content}"
    messages[last] = replace(messages[last], content=content)
    return replace(prompt, messages=tuple(messages))
