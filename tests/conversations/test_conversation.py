"""The state of one sample: entries lead to it, whatever a model does; and asking in rounds."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from arena_rows import REFERENCE, STALE, write_rows
from fake_sandbox import FakeSandbox
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.api import evaluate
from recode_eval.conversations.conversation import (
    Ask,
    Check,
    Conversation,
    Done,
    OutOfOrderError,
    Use,
    step_seed,
)
from recode_eval.conversations.history import said
from recode_eval.conversations.journal import (
    Checked,
    ToolUsed,
    parse_line,
    read_journal,
    to_line,
)
from recode_eval.conversations.settings import ConversationSettings
from recode_eval.conversations.tools import schemas
from recode_eval.errors import DataError, UsageError
from recode_eval.models.base import (
    Completion,
    FinishReason,
    Message,
    ModelInfo,
    Prompt,
    ToolCall,
)
from recode_eval.models.feed import Feed
from recode_eval.models.streaming import BackgroundLoop
from recode_eval.run.config import RunConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = ConversationSettings(3, ("run", "read"), tool_calls=4, tool_seconds=9, tool_tokens=99)
PROMPT = Prompt((Message("user", "Do it."),), "```python\n")


def begun(settings: ConversationSettings = SETTINGS) -> Conversation:
    tools = schemas(settings.tools, "python")
    return Conversation("p", 1, 7, PROMPT, "hash", settings, tools)


texts = st.text(max_size=30) | st.sampled_from(["", "\ud800", "\0", "<think>", "```python\nx"])
tool_calls = st.builds(ToolCall, texts, st.sampled_from(["run", "read", ""]) | texts, texts)
completions = st.builds(
    Completion,
    st.just("p"),
    st.just(1),
    texts,
    st.sampled_from([r for r in FinishReason if r.is_sample]),
    completion_tokens=st.none() | st.integers(0, 60),
    tool_calls=st.lists(tool_calls, max_size=5).map(tuple),
)


@given(st.data())
def test_the_journal_alone_leads_to_the_same_state(data: st.DataObject) -> None:
    """And every conversation ends, whatever the model writes and the tools give."""
    conversation, lines = begun(), []
    place = {"problem_id": "p", "sample": 1, "prompt_hash": "hash"}
    for _ in range(200):
        match conversation.next:
            case Done():
                break
            case Ask():
                entry: Any = conversation.entry(data.draw(completions))
            case Check():
                ends, text = data.draw(st.booleans()), data.draw(texts)
                entry = Checked(**place, step=conversation.step, ends=ends, text=text)
            case Use(call, index, left, refusal):
                assert left >= 0
                status = "refused" if refusal else data.draw(st.sampled_from(["ok", "malformed"]))
                seconds = 0.0 if refusal else data.draw(st.floats(0, 5))
                entry = ToolUsed(
                    **place, step=conversation.step, index=index, name=call.name, status=status,
                    text=data.draw(texts), seconds=seconds,
                )  # fmt: skip
        line = (json.dumps(to_line(entry)) + "\n").encode()
        assert parse_line(line) == entry
        lines.append(line)
        conversation.apply(entry)
    assert isinstance(conversation.next, Done)
    again = begun()
    for line in lines:
        again.apply(parse_line(line))
    assert isinstance(again.next, Done)
    assert again.request() == conversation.request()
    for name in ("turn", "step", "answers", "calls", "malformed", "seconds", "tokens"):
        assert getattr(again, name) == getattr(conversation, name)
    ids = [m.tool_call_id for m in conversation.request().prompt.messages if m.role == "tool"]
    assert all(ids)


def test_an_entry_at_a_wrong_place_is_refused() -> None:
    conversation = begun()
    entry = conversation.entry(Completion("p", 1, "x", FinishReason.STOP))
    conversation.apply(entry)
    with pytest.raises(OutOfOrderError):
        conversation.apply(entry)


def test_seeds_of_steps_differ_and_the_first_is_the_samples() -> None:
    seeds = [step_seed(7, step) for step in range(50)]
    assert seeds[0] == 7
    assert len(set(seeds)) == 50
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize(
    ("text", "prefill", "reason", "expected"),
    [
        ("<think>a</think>b", "", "stop", "b"),
        ("a</think>b", "<think>", "stop", "b"),
        ("<think>never ends", "", "length", ""),
        ("x = 1", "```python\n", "stop", "```python\nx = 1\n```"),
        ("x = 1", "```python\n", "length", "```python\nx = 1"),
        ("", "", "stop", ""),
    ],
)
def test_what_the_history_holds(text: str, prefill: str, reason: str, expected: str) -> None:
    assert said(text, prefill, "python", reason) == expected


def test_a_prompt_that_no_longer_fits_ends_it() -> None:
    conversation = begun(ConversationSettings(3))
    too_long = Completion("p", 1, "", FinishReason.PROMPT_TOO_LONG)
    conversation.apply(conversation.entry(too_long))
    assert isinstance(conversation.next, Done)


def test_settings_come_back_from_a_stored_identity() -> None:
    for settings in (ConversationSettings(3), SETTINGS):
        stored = json.loads(json.dumps(settings.identity("4f")))
        assert ConversationSettings.from_identity(stored) == settings
    assert ConversationSettings.from_identity(None) is None
    with pytest.raises(ValueError, match="form 2"):
        ConversationSettings.from_identity({"form": 2, "turns": 2})


def test_a_damaged_journal_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "turns.jsonl"
    conversation = begun()
    good = json.dumps(to_line(conversation.entry(Completion("p", 1, "x", FinishReason.STOP))))
    file.write_text(f'{good}\n{{"kind": "answer"}}\n')
    with pytest.raises(DataError, match="line 2 is damaged"):
        list(read_journal(file))
    file.write_text(f"{good}\n{good[:40]}")
    assert len(list(read_journal(file))) == 1


class Local:
    """An engine that answers a list of requests; right in the second turn."""

    def __init__(self) -> None:
        self.info = ModelInfo("local", "test", {"weights": "w"})
        self.rounds: list[list[tuple[str, tuple[int, ...], tuple[int, ...]]]] = []
        self.skip: set[tuple[str, int]] = set()
        self.twice = False

    def generate(self, requests: Any, parameters: Any) -> Iterator[Completion]:
        del parameters
        self.rounds.append([(r.problem_id, r.samples, r.seeds) for r in requests])
        for request in requests:
            turn = 1 + sum(m.role == "assistant" for m in request.prompt.messages)
            code = REFERENCE if turn > 1 else STALE
            for sample in request.samples:
                if (request.problem_id, sample) in self.skip:
                    continue
                text = f"```python\n{code}# {sample}\n```"
                completion = Completion(request.problem_id, sample, text, FinishReason.STOP)
                yield from [completion] * (2 if self.twice else 1)

    def close(self) -> None:
        pass


def config(tmp_path: Path, model: Any, **more: Any) -> RunConfig:
    rows = write_rows(tmp_path / "rows.jsonl", 2)
    return RunConfig(
        model=model, tasks=["arena"], data={"arena": rows}, n=3, prompt="plain", k=[1],
        sandbox={"tier": "landlock"}, isolation="program", timeout_s=5, out=tmp_path / "runs",
        conversation={"turns": 2, **more},
    )  # fmt: skip


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = FakeSandbox("landlock")
    monkeypatch.setattr("recode_eval.sandbox.open_router", lambda *_, **__: sandbox)


@pytest.mark.usefixtures("fake")
def test_other_models_are_asked_in_rounds(tmp_path: Path) -> None:
    """In the first, samples of a problem share a request, as in a run of single answers."""
    model = Local()
    model.twice = True
    (result,) = evaluate(config(tmp_path, model)).contents()
    first, second = model.rounds
    assert [len(samples) for _, samples, _ in first] == [3, 3]
    assert sorted(samples for _, samples, _ in second) == [(0, 1, 2)] * 2 or len(second) == 6
    assert result["metrics"]["turn1_pass@1"]["value"] == 0.0
    assert result["metrics"]["pass@1"]["value"] == 1.0
    assert result["turns"][1]["samples"] == 6


@pytest.mark.usefixtures("fake")
def test_an_engine_that_leaves_a_sample_out(tmp_path: Path) -> None:
    model = Local()
    (result,) = evaluate(config(tmp_path, model, turns=1, tools=())).contents()
    model = Local()
    model.skip = {(result["problems"][0]["id"], 1)}
    (result,) = evaluate(config(tmp_path, model)).contents()
    assert result["counts"]["unscored"] == 1
    assert result["unscored"][0]["reason"] == "the model gave no answer"
    model.skip.clear()
    (result,) = evaluate(config(tmp_path, model)).contents()
    assert result["counts"]["unscored"] == 0


@pytest.mark.usefixtures("fake")
def test_tools_of_an_engine_without_tool_calls(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no tool calls"):
        evaluate(config(tmp_path, Local(), tools=["run"]))


def test_a_feed_hands_over_from_any_thread() -> None:
    loop, feed = BackgroundLoop("test"), Feed[int]()

    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    def put() -> None:
        for number in range(1, 101):
            feed.put(number)
        time.sleep(0.05)
        feed.put(101)
        feed.close()
        feed.put(999)

    threading.Thread(target=put).start()
    assert sorted(loop.follow(feed, double, 7)) == [2 * n for n in range(1, 102)]
    loop.close()


def test_a_cancelled_feed_ends_what_runs() -> None:
    loop, feed = BackgroundLoop("test"), Feed[int]()

    async def never(number: int) -> int:
        await asyncio.sleep(3600)
        return number

    feed.put(1)
    threading.Timer(0.1, feed.cancel).start()
    started = time.monotonic()
    assert list(loop.follow(feed, never, 2)) == []
    assert time.monotonic() - started < 30
    loop.close()


@pytest.mark.parametrize(
    ("task", "settings", "said"),
    [
        ("migration-js", ConversationSettings(tools=("read",)), "migration-js is in JavaScript"),
        ("recode-train-data", ConversationSettings(2), "has no tests"),
    ],
)
def test_tasks_that_cannot_be_talked_about(
    task: str, settings: ConversationSettings, said: str
) -> None:
    from recode_eval.tasks.registry import create_task

    with pytest.raises(UsageError, match=said):
        settings.identity_of(create_task(task), [])
