"""What an OpenAI-compatible server says: its models, its answers and its complaints.

Pure functions over decoded JSON; nothing here touches the network. A server's words are data from
outside and may be anything.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import InfrastructureError
from recode_eval.models.base import FinishReason

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final = ("vllm", "sglang", "llamacpp")
"""Servers that say who they are (`owned_by`) and can continue an opened assistant turn."""
_OVERFLOW: Final = re.compile(
    r"context[_ ](?:length|size|window)|maximum (?:input|prompt|sequence) length|max_model_len"
    r"|(?:input|prompt) is too long|too many (?:input )?tokens|too large for the context",
    re.IGNORECASE,
)
_LIMIT: Final = re.compile(r"(?:context length|context window|context size)\D{0,20}(\d+)", re.I)
_SHOWN: Final = 300
"""Characters of a server's message that go into ours."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One entry of the server's list of models."""

    name: str
    owner: str
    context: int | None


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """The part of a chat completion that matters here."""

    content: str
    reasoning: str
    finish_reason: FinishReason
    prompt_tokens: int | None
    completion_tokens: int | None


def parse_models(body: bytes) -> list[ServedModel]:
    """Read the list of models; an empty list when the body is none."""
    try:
        entries = json.loads(body)["data"]
        named = [entry for entry in entries if isinstance(entry["id"], str)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [
        ServedModel(entry["id"], str(entry.get("owned_by", "")), _count(entry.get("max_model_len")))
        for entry in named
    ]


def server_kind(models: list[ServedModel]) -> str | None:
    """One of the servers known to continue an assistant turn; None for any other."""
    owners = {model.owner for model in models}
    return next((kind for kind in _KINDS if kind in owners), None)


def parse_answer(body: bytes, url: str) -> ServerAnswer:
    """Read a chat completion. Raises `InfrastructureError` when the body is not one."""
    try:
        content = json.loads(body)
        choice = content["choices"][0]
        message = choice["message"]
        text = message.get("content")
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        usage = content.get("usage") or {}
        if not isinstance(text, str | None) or not isinstance(reasoning, str):
            raise TypeError("its text is not a string")
        return ServerAnswer(
            text or "",
            reasoning,
            FinishReason.LENGTH if choice.get("finish_reason") == "length" else FinishReason.STOP,
            _count(usage.get("prompt_tokens")),
            _count(usage.get("completion_tokens")),
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise InfrastructureError(
            f"the server {url} sent something other than a chat completion "
            f"({type(error).__name__}: {shorten(str(error))}); it began "
            f"{shorten(ascii(body[:80]))}. Does the base URL end in /v1, and is it an "
            "OpenAI-compatible server?"
        ) from error


def parse_context_overflow(message: str) -> tuple[bool, int | None]:
    """Whether a complaint says that the prompt is too long, and the limit that it names."""
    if not _OVERFLOW.search(message):
        return False, None
    found = _LIMIT.search(message)
    return True, int(found[1]) if found and len(found[1]) < 10 else None


def complaint(body: object, fallback: str) -> str:
    """The server's own words out of the several forms in which servers wrap them."""
    while isinstance(body, dict):
        inner = body.get("error") or body.get("message") or body.get("detail")
        if inner is None:
            break
        body = inner
    return shorten(body if isinstance(body, str) else fallback)


def shorten(text: str) -> str:
    """One line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def prefill_settings(kind: str | None, mode: str) -> Mapping[str, Any] | None:
    """What to send along so that the server continues the last message; None: it would not."""
    if mode == "omit" or (mode == "auto" and kind is None):
        return None
    if kind == "llamacpp":  # continues a last assistant message without being asked
        return {}
    return {"continue_final_message": True, "add_generation_prompt": False}


def neutral_settings(kind: str | None) -> Mapping[str, Any]:
    """Switch off what such a server would take from the checkpoint's own sampling defaults."""
    if kind in {"vllm", "sglang"}:
        return {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
    return {}


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
