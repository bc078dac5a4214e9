"""What one server takes: a request's settings, and what is left out once the server refuses it.

A server that refuses a parameter by name gets the requests without it from then on. Every such
change is logged once and stands in the run's manifest; what cannot be left out is an error.
"""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from recode_eval.models import openai_protocol as protocol
from recode_eval.models.chat import merge_system, well_formed
from recode_eval.models.sampling import stops_without_prefill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.models.base import Message, Prompt, SamplingParameters, Tool, ToolCall
    from recode_eval.models.options import ModelOptions

_LOG: Final = logging.getLogger(__name__)
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")
"""What a function's name must not have; servers refuse a history in which a model made one up."""
_LONGEST_NAME: Final = 64


class Dialect:
    """The settings of requests to one server; changes as the server refuses them."""

    def __init__(self, name: str, kind: str | None, options: ModelOptions, url: str) -> None:
        self._name, self._kind, self._url = name, kind, url
        self._more = dict(options.request)
        self.prefill = protocol.prefill_settings(kind, options.server_prefill)
        """What is sent along so that the server continues the opened turn; None: it would not."""
        self._length_field = "max_tokens"
        self._sends_seed = True
        self._sends_top_p = True
        self._merges_system = False
        self._dropped_stops: set[str] = set()

    @property
    def prefill_words(self) -> str:
        """What happens to the prefill, as the manifest has it."""
        return "omitted" if self.prefill is None else "continued by the server"

    @property
    def details(self) -> dict[str, Any]:
        """What the server did not take so far."""
        details: dict[str, Any] = {
            "prefill": self.prefill_words,
            "seeds": "sent" if self._sends_seed else "refused by the server",
        }
        if not self._sends_top_p:
            details["top_p"] = "refused by the server"
        if self._merges_system:
            details["system_message"] = "put before the first user message"
        if self._dropped_stops:
            details["stop_left_out"] = sorted(self._dropped_stops)
        return details

    def stops(self, prompt: Prompt, parameters: SamplingParameters) -> list[str]:
        """Return the stop strings that make sense for what is sent of the prompt.

        An answer without its prefill opens with what the prefill would have held: a stop string in
        there (a fence) would cut it off before its first line.
        """
        if self.prefill is not None or not prompt.prefill:
            return list(parameters.stop)
        kept = stops_without_prefill(parameters.stop, prompt.prefill)
        if dropped := set(parameters.stop) - {*kept} - self._dropped_stops:
            self._dropped_stops |= dropped
            _LOG.warning(
                "the server %s gets no prefill, so the stop strings that belong to it are left "
                "out: %s",
                self._url,
                ", ".join(map(repr, sorted(dropped))),
            )
        return kept

    def settings(
        self,
        prompt: Prompt,
        seed: int,
        parameters: SamplingParameters,
        max_tokens: int,
        tools: Sequence[Tool] = (),
    ) -> dict[str, Any]:
        """Return the arguments of a request."""
        chat = merge_system(prompt.messages) if self._merges_system else prompt.messages
        messages = [_message(m) for m in chat]
        extra = dict(protocol.neutral_settings(self._kind))
        if prompt.prefill and self.prefill is not None:
            messages.append({"role": "assistant", "content": well_formed(prompt.prefill)})
            extra.update(self.prefill)
        settings: dict[str, Any] = {
            "model": self._name,
            "messages": messages,
            "temperature": parameters.temperature,
            self._length_field: max_tokens,
        }
        if self._sends_top_p:
            settings["top_p"] = parameters.top_p if parameters.temperature > 0 else 1.0
        if stop := self.stops(prompt, parameters):
            settings["stop"] = stop
        if self._sends_seed:
            settings["seed"] = seed
        if tools:
            settings["tools"] = [_function(tool) for tool in tools]
            # The protocol's default; llama-cpp-python shows no tools unless it is said.
            settings["tool_choice"] = "auto"
        extra.update(self._more)
        if extra:
            settings["extra_body"] = extra
        return settings

    def adapt(self, words: str, settings: Mapping[str, Any]) -> bool:
        """Change what the server refused; False when there is nothing left to change."""
        if "max_completion_tokens" in words and "max_tokens" in settings:
            self._length_field = "max_completion_tokens"
            return True
        if "seed" in words and "seed" in settings:
            if self._sends_seed:
                _LOG.warning(
                    "the server %s accepts no seeds: samples are not reproducible", self._url
                )
            self._sends_seed = False
            return True
        if "top_p" in words and "top_p" in settings:
            if self._sends_top_p and settings["top_p"] != 1.0:
                _LOG.warning(
                    "the server %s refuses top_p (%s): sampling without it, with the server's own",
                    self._url,
                    words,
                )
            self._sends_top_p = False
            return True
        if protocol.refuses_system(words) and settings["messages"][0]["role"] == "system":
            if not self._merges_system:
                _LOG.warning(
                    "the server %s refuses system messages (%s): sending the text before the first "
                    "user message",
                    self._url,
                    words,
                )
            self._merges_system = True
            return True
        return False


def _message(message: Message) -> dict[str, Any]:
    """Return a message in the protocol's form."""
    found: dict[str, Any] = {"role": message.role, "content": well_formed(message.content)}
    if message.tool_call_id:
        found["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        # Some templates read the arguments as JSON and fail at what the model wrote instead.
        found["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": _NO_NAME.sub("_", call.name)[:_LONGEST_NAME] or "none",
                    "arguments": well_formed(call.arguments) if _is_object(call) else "{}",
                },
            }
            for call in message.tool_calls
        ]
    return found


def _is_object(call: ToolCall) -> bool:
    try:
        return isinstance(json.loads(call.arguments), dict)
    except (ValueError, RecursionError):
        return False


def _function(tool: Tool) -> dict[str, Any]:
    parameters = dict(tool.parameters)
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": parameters,
        },
    }
