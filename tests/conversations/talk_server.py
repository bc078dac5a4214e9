"""A server whose model is a function: from the messages of a request to what it answers.

It keeps every request, and counts how often it was asked each: a conversation and a step.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import protocol_server

if TYPE_CHECKING:
    from collections.abc import Callable

    Messages = list[dict[str, Any]]
    Model = Callable[[dict[str, Any]], str | dict[str, Any]]


class TalkServer(protocol_server.ProtocolServer):
    """`model(body)` returns the text of an answer, or fields of its message."""

    def __init__(self, model: Model, **options: Any) -> None:
        super().__init__(**options)
        self.model = model
        self.always = self._answer

    def _answer(self, handler: Any, body: dict[str, Any]) -> None:
        if body["messages"][-1]["content"] == "Say hello.":
            self.requests.remove(body)  # the preflight's question whether there are tools
            protocol_server.answer(handler, body, message={"content": "Hello."})
            return
        said = self.model(body)
        fields = said if isinstance(said, dict) else {"content": said}
        protocol_server.answer(handler, body, message=fields)

    def asked(self) -> Counter[str]:
        """How often each request came, whatever its order of keys."""
        return Counter(json.dumps(body, sort_keys=True) for body in self.requests)


def calls(*wanted: tuple[str, Any], text: str = "") -> dict[str, Any]:
    """The message of a model that calls tools; arguments are JSON, or text as it is."""
    return {
        "content": text,
        "tool_calls": [
            {
                "id": f"c{index}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": given if isinstance(given, str) else json.dumps(given),
                },
            }
            for index, (name, given) in enumerate(wanted)
        ],
    }


def turn_of(body: dict[str, Any]) -> int:
    """Which turn a request is of: one more than the answers before it, those with calls apart."""
    return 1 + sum(m["role"] == "assistant" and not m.get("tool_calls") for m in body["messages"])


def fenced(code: str, tag: str = "python") -> str:
    """An answer that is one block."""
    return f"Here it is.\n```{tag}\n{code}```"
