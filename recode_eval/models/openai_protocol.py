"""What an OpenAI-compatible server says: its models, its answers and its complaints.

Pure functions over decoded JSON; nothing here touches the network. A server's words are data from
outside and may be anything.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import InfrastructureError
from recode_eval.models.base import FinishReason, ToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final = ("vllm", "sglang", "llamacpp")
"""Servers that say who they are (`owned_by`) and can continue an opened assistant turn."""
_OVERFLOW: Final = re.compile(
    r"context[_ ](?:length|size|window)|maximum (?:input|prompt|sequence) length|max_model_len"
    r"|(?:input|prompt) is too long|too many (?:input )?tokens|too large for the context",
    re.IGNORECASE,
)
_SYSTEM: Final = re.compile(
    r"system['\"`]? (?:role|message|prompt)|role\b[^\n]{0,40}['\"`]system|roles must alternate",
    re.IGNORECASE,
)
_LENGTH: Final = frozenset({"length", "max_tokens"})
_FILTERED: Final = frozenset({"content_filter", "content-filter", "safety", "SAFETY"})
_THOUGHTS: Final = frozenset({"thinking", "reasoning", "reasoning_text", "reasoning.text"})
_TEXTS: Final = frozenset({"text", "output_text"})
_MOST_NESTED: Final = 4
_META: Final = ("n_params", "size", "n_vocab")
_LIMIT: Final = re.compile(r"(?:context length|context window|context size)\D{0,20}(\d+)", re.I)
_MOST_TOKENS: Final = 10**9
"""Of one request: more can be no count, and sums over a run still fit what its files can hold."""
_SHOWN: Final = 300
"""Characters of a server's message that go into ours."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One entry of the server's list of models."""

    name: str
    owner: str
    context: int | None
    traits: Mapping[str, str | int] = field(default_factory=dict)
    """What else tells this model from another one that is served under the same name."""


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """The part of a chat completion that matters here."""

    content: str
    reasoning: str
    finish_reason: FinishReason
    prompt_tokens: int | None
    completion_tokens: int | None
    fingerprint: str | None = None
    """The server's own `system_fingerprint`, where it has one."""
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    tool_calls: tuple[ToolCall, ...] = ()


class NoAnswerError(Exception):
    """A response in the protocol's form that holds no answer; the text says why."""


def parse_models(body: bytes) -> list[ServedModel]:
    """Read the list of models; an empty list when the body is none."""
    try:
        entries = json.loads(body)["data"]
        named = [entry for entry in entries if isinstance(entry["id"], str)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [
        ServedModel(
            entry["id"],
            str(entry.get("owned_by", "")),
            _count(entry.get("max_model_len")),
            _traits(entry),
        )
        for entry in named
    ]


def _traits(entry: Mapping[str, Any]) -> dict[str, str | int]:
    """Return what a list entry tells of the model itself and keeps over a restart.

    vLLM gives the checkpoint that an alias stands for (`root`), llama.cpp the size of the weights.
    """
    traits: dict[str, str | int] = {}
    for key in ("root", "parent", "digest", "system_fingerprint"):
        value = entry.get(key)
        if isinstance(value, str) and value and value != entry["id"]:
            traits[key] = value[:_SHOWN]
    meta = entry.get("meta")
    if isinstance(meta, dict):
        traits.update({key: meta[key] for key in _META if _count(meta.get(key)) is not None})
    return traits


def server_kind(models: list[ServedModel]) -> str | None:
    """One of the servers known to continue an assistant turn; None for any other."""
    owners = {model.owner for model in models}
    return next((kind for kind in _KINDS if kind in owners), None)


def parse_answer(body: bytes, url: str) -> ServerAnswer:
    """Read a chat completion.

    Raises `NoAnswerError` when it is one without an answer, and `InfrastructureError` when the body
    is something else.
    """
    try:
        content = json.loads(body)
        if not content.get("choices") and content.get("error"):
            raise NoAnswerError(f"it sent an error: {complaint(content, '')}")
        if content["choices"] == []:
            raise NoAnswerError("its answer has no choices")
        choice = content["choices"][0]
        if choice.get("finish_reason") == "error" or choice.get("error"):
            raise NoAnswerError(
                f"it broke off with an error: {complaint(choice, 'no reason given')}"
            )
        return _parse_choice(choice, content)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise InfrastructureError(
            f"the server {url} sent something other than a chat completion "
            f"({type(error).__name__}: {shorten(str(error))}); it began "
            f"{shorten(ascii(body[:80]))}. Does the base URL end in /v1, and is it an "
            "OpenAI-compatible server?"
        ) from error


def _parse_choice(choice: Any, content: Any) -> ServerAnswer:
    message = choice["message"]
    text, thoughts = _texts(message.get("content"))
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if reasoning is None:
        reasoning = message.get("reasoning_details")
    said, inner = _texts(reasoning)
    refusal = message.get("refusal")
    if not text and isinstance(refusal, str):
        text = refusal  # the model's own words
    reason = _finish_reason(choice.get("finish_reason"))
    if reason is FinishReason.CONTENT_FILTER and not text:
        raise NoAnswerError("its content filter withheld the answer")
    usage = content.get("usage") or {}
    fingerprint = content.get("system_fingerprint")
    return ServerAnswer(
        text,
        said + inner or thoughts,
        reason,
        _tokens(usage.get("prompt_tokens")),
        _tokens(usage.get("completion_tokens")),
        fingerprint[:_SHOWN] if isinstance(fingerprint, str) and fingerprint else None,
        _part(usage, "completion_tokens", "reasoning_tokens"),
        _part(usage, "prompt_tokens", "cached_tokens"),
        _tool_calls(message.get("tool_calls")),
    )


def _part(usage: Mapping[str, Any], whole: str, name: str) -> int | None:
    """Return a part of the prompt's or the answer's tokens; None where it cannot be right."""
    details, total = usage.get(f"{whole}_details"), _tokens(usage.get(whole))
    found = _count(details.get(name)) if isinstance(details, dict) else None
    return None if found is None or total is None or found > total else found


def _tool_calls(calls: object) -> tuple[ToolCall, ...]:
    """Return what a message calls; what is malformed in it is the model's, and so is kept.

    Most servers give the arguments as text, some as the object that the text is of.
    """
    found = []
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            continue
        name, arguments, number = function.get("name"), function.get("arguments"), call.get("id")
        found.append(
            ToolCall(
                number if isinstance(number, str) else "",
                name if isinstance(name, str) else "",
                arguments if isinstance(arguments, str) else json.dumps(arguments),
            )
        )
    return tuple(found)


def _finish_reason(reason: object) -> FinishReason:
    if not isinstance(reason, str):
        return FinishReason.STOP
    if reason in _FILTERED:
        return FinishReason.CONTENT_FILTER
    return FinishReason.LENGTH if reason in _LENGTH else FinishReason.STOP


def _texts(content: object, depth: int = 0) -> tuple[str, str]:
    """Return the text and the thoughts of a message's content: a string, or a list of parts.

    Parts of unknown types are ignored. Raises `TypeError` for anything else.
    """
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list) or depth > _MOST_NESTED:
        raise TypeError("its text is not a string")
    text, thoughts = "", ""
    for part in content:
        if isinstance(part, str):
            text += part
        elif not isinstance(part, dict):
            raise TypeError("a part of its text is not an object")
        elif part.get("type") in _THOUGHTS:
            inner = next(
                (part[key] for key in ("thinking", "reasoning", "text") if key in part), ""
            )
            thoughts += "".join(_texts(inner, depth + 1))
        elif part.get("type") in _TEXTS:
            text += _texts(part.get("text"), depth + 1)[0]
    return text, thoughts


def refuses_system(message: str) -> bool:
    """Whether a complaint is about the system message, or the order of roles that it changes."""
    return _SYSTEM.search(message) is not None


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


def _tokens(value: object) -> int | None:
    """Return a number of tokens, or None for what cannot be one."""
    count = _count(value)
    return None if count is None or count > _MOST_TOKENS else count
