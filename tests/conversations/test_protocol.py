"""Tool calls on the wire: whatever a server sends is read, and what goes back is in order."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.conversations.tools import schemas
from recode_eval.errors import InfrastructureError
from recode_eval.models.base import Message, Prompt, SamplingParameters, ToolCall
from recode_eval.models.openai_dialect import Dialect
from recode_eval.models.openai_protocol import parse_answer
from recode_eval.models.options import ModelOptions

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def parsed(tool_calls: Any) -> tuple[ToolCall, ...]:
    message = {"role": "assistant", "content": None, "tool_calls": tool_calls}
    choice = {"message": message, "finish_reason": "tool_calls"}
    return parse_answer(json.dumps({"choices": [choice]}).encode(), "url").tool_calls


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (None, ()),
        ([], ()),
        ("run", ()),
        ([None, 3, {}, {"function": "run"}], ()),
        (
            [{"id": "a", "type": "function", "function": {"name": "run", "arguments": "{}"}}],
            (ToolCall("a", "run", "{}"),),
        ),
        (
            [{"function": {"name": "run", "arguments": {"code": "1"}}}],
            (ToolCall("", "run", '{"code": "1"}'),),
        ),
        ([{"id": 7, "function": {"name": None}}], (ToolCall("", "", "null"),)),
    ],
)
def test_calls_in_every_form(sent: Any, expected: tuple[ToolCall, ...]) -> None:
    assert parsed(sent) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_any_calls_are_read(sent: Any) -> None:
    assert all(isinstance(call, ToolCall) for call in parsed(sent))


def test_nonsense_beside_them_is_still_the_servers() -> None:
    with pytest.raises(InfrastructureError):
        parse_answer(b'{"choices": [{"tool_calls": []}]}', "url")


@given(st.text(), st.text())
def test_what_goes_back_is_something_that_servers_take(name: str, arguments: str) -> None:
    """A name that a model made up made a hosted server refuse the whole conversation."""
    dialect = Dialect("m", "vllm", ModelOptions(base_url="http://x/v1"), "http://x/v1")
    messages = (
        Message("user", "Do it."),
        Message("assistant", "", (ToolCall("c", name, arguments),)),
        Message("tool", "\ud800", tool_call_id="c"),
    )
    tools = schemas(["run"], "python")
    settings = dialect.settings(Prompt(messages), 1, SamplingParameters(), 5, tools)
    json.dumps(settings, ensure_ascii=False).encode()
    _, asked, gave = settings["messages"]
    function = asked["tool_calls"][0]["function"]
    assert NAME.fullmatch(function["name"])
    assert isinstance(json.loads(function["arguments"]), dict)
    assert gave["tool_call_id"] == asked["tool_calls"][0]["id"]
    assert settings["tool_choice"] == "auto"
    assert "tools" not in dialect.settings(Prompt(messages), 1, SamplingParameters(), 5)
