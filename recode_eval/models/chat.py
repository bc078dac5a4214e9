"""From a `Prompt` to the token ids a local engine continues.

Both local engines get their ids from here, so that they see the same prompt. The model's own chat
template decides the format; a model without one gets the messages as plain text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recode_eval.models.base import Message, Prompt

_EMPTY_THINK: Final = re.compile(r"<think>\s*</think>\s*\Z")
_OPEN_THINK: Final = re.compile(r"<think>\s*\Z")
_UNFINISHED: Final = "\ufffd"
_CONTEXT_TOKENS: Final = 8
"""Prompt tokens decoded along with a completion, so that its first space or byte is not lost."""


class PromptEncoder:
    """Encodes prompts and decodes completions with one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        self.merges_system = False
        """The template takes no system message: it was put before the first user message."""

    def encode(self, prompt: Prompt) -> list[int]:
        """The ids of the whole prompt, an opened assistant turn included.

        Raises `UsageError` when the chat template refuses the messages.
        """
        if not self.has_template:
            return self._encode_plain(prompt)
        # The template writes the special tokens itself; a second BOS would change the prompt.
        ids = self.tokenizer(self.text(prompt), add_special_tokens=False)["input_ids"]
        return [int(token) for token in ids]

    def render(self, prompt: Prompt) -> str:
        """The text that the chat template makes of the messages and the prefill."""
        if self.merges_system:
            return self._render(merge_system(prompt.messages), prompt.prefill)
        try:
            return self._render(prompt.messages, prompt.prefill)
        except UsageError:
            if prompt.messages[0].role != "system":
                raise
            text = self._render(merge_system(prompt.messages), prompt.prefill)
            self.merges_system = True
            return text

    def decode(self, prompt_ids: Sequence[int], ids: Sequence[int]) -> str:
        """The text of a completion: what `ids` add to the text of the prompt.

        A character of which only the first bytes were generated is dropped (as vLLM does).
        """
        context = list(prompt_ids[-_CONTEXT_TOKENS:])
        before = self._decode(context)
        whole = self._decode([*context, *ids])
        text = whole.removeprefix(before) if whole.startswith(before) else self._decode(list(ids))
        return text.rstrip(_UNFINISHED)

    def _decode(self, ids: list[int]) -> str:
        # Cleaning up spaces is meant for prose and damages code.
        text: str = self.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def text(self, prompt: Prompt) -> str:
        """The text that `encode` tokenizes.

        From a chat template it holds the special tokens; without one, the tokenizer adds its own.
        """
        if self.has_template:
            return well_formed(self.render(prompt))
        parts = [message.content for message in prompt.messages]
        return well_formed("\n\n".join([*parts, prompt.prefill] if prompt.prefill else parts))

    def _encode_plain(self, prompt: Prompt) -> list[int]:
        ids = [int(token) for token in self.tokenizer(self.text(prompt))["input_ids"]]
        if ids and ids[-1] == self.tokenizer.eos_token_id:  # some tokenizers close every text
            ids.pop()
        return ids

    def _render(self, messages: Sequence[Message], prefill: str) -> str:
        if not prefill:
            return self._apply(messages, add_generation_prompt=True)
        turn = {"role": "assistant", "content": prefill}
        try:
            text = self._apply(messages, turn, continue_final_message=True)
        except _PrefillLostError:
            # The template rewrites assistant turns; the plain opening of a turn will do.
            head = self._apply(messages, add_generation_prompt=True)
            return (_OPEN_THINK.sub("", head) if "<think>" in prefill else head) + prefill
        # Some templates trim the message's end, and some put an empty think block before it,
        # which would tell the model that it has already thought.
        trimmed = prefill.strip()
        head = text[: text.rindex(trimmed)] if trimmed else text
        return _EMPTY_THINK.sub("", head) + prefill

    def _apply(self, messages: Sequence[Message], *more: dict[str, str], **flags: bool) -> str:
        from jinja2 import TemplateError

        chat = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text: str = self.tokenizer.apply_chat_template([*chat, *more], tokenize=False, **flags)
        except (TemplateError, TypeError, KeyError) as error:
            if more:  # it takes no assistant message, or none at the end
                raise _PrefillLostError from error
            raise UsageError(f"the model's chat template refuses the prompt: {error}") from error
        except ValueError as error:
            if "continue_final_message" in flags:
                raise _PrefillLostError from error
            raise UsageError(f"the model's chat template refuses the prompt: {error}") from error
        return text


def well_formed(text: str) -> str:
    """Replace lone surrogates, which no tokenizer and no server takes, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _PrefillLostError(Exception):
    """The template dropped or changed the message that was to be continued."""


def merge_system(messages: Sequence[Message]) -> list[Message]:
    """Put a system message before the first user message, for models that take none."""
    from recode_eval.models.base import Message

    if len(messages) < 2 or messages[0].role != "system":
        return list(messages)
    system, first, *rest = messages
    return [Message(first.role, f"{system.content}\n\n{first.content}"), *rest]
