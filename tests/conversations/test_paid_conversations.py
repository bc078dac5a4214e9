"""Conversations within a budget, and by batch jobs: nothing too much, nothing paid twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from arena_rows import REFERENCE, STALE
from batch_server import BatchServer, answered
from talk_server import calls, fenced, turn_of

from recode_eval.conversations.conversation import Conversation
from recode_eval.conversations.driving import Driver, Stopped
from recode_eval.conversations.journal import Checked
from recode_eval.conversations.settings import ConversationSettings
from recode_eval.conversations.tools import schemas
from recode_eval.costs.spending import Budget, Spending, estimate_tokens
from recode_eval.errors import ExitCode
from recode_eval.models.base import (
    Completion,
    FinishReason,
    Message,
    ModelInfo,
    Prompt,
    SamplingParameters,
    ToolCall,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conftest import Talks

    from recode_eval.models.base import Request


def learns(body: dict[str, Any]) -> str:
    """A model that is right from its second turn on."""
    return fenced(REFERENCE if turn_of(body) > 1 else STALE)


def spent(server: Any) -> int:
    """Tokens of the prompts and answers that a server was paid for: 7 and 3 each."""
    return 10 * len(server.requests)


@pytest.mark.parametrize("limit", [1, 1500, 3000, 6000, 9000])
def test_a_budget_is_never_exceeded_and_the_rest_waits(talks: Talks, fake: Any, limit: int) -> None:
    """Follow-ups of conversations were asked for without a look at the budget."""
    fake()
    server = talks.serve(learns)
    words = ("--turns", "2", "--max-tokens", "500", "--max-tokens-total", str(limit))
    code = talks.run(server, *words)
    first = spent(server)
    assert first <= limit
    unscored = talks.results["unscored"]
    assert (code == ExitCode.INCOMPLETE) == bool(unscored)
    assert all("the budget of" in item["reason"] for item in unscored)
    asked = server.asked()
    assert talks.run(server, "--turns", "2", "--max-tokens", "500") == ExitCode.OK
    assert max(server.asked().values()) == 1, "nothing is paid twice"
    assert spent(server) == 80
    assert not asked - server.asked()


def test_what_was_paid_in_an_unfinished_conversation_counts(talks: Talks, fake: Any) -> None:
    """Only finished samples are in completions.jsonl; their first turns were free."""
    fake()
    server = talks.serve(learns)
    words = ["--turns", "2", "--max-tokens", "500", "--limit", "1"]
    assert talks.run(server, *words, "--max-tokens-total", "1000") == ExitCode.INCOMPLETE
    assert len(server.requests) == 1
    assert talks.run(server, *words, "--max-tokens-total", "505") == ExitCode.INCOMPLETE
    assert len(server.requests) == 1
    assert talks.run(server, *words, "--max-tokens-total", "5000") == ExitCode.OK
    assert len(server.requests) == 2


def test_the_cost_of_a_stopped_run_holds_its_unfinished_conversations(
    talks: Talks, fake: Any
) -> None:
    """The table said a fifth of what had been paid: only finished samples were added up."""
    fake()
    prices = talks.folder / "prices.yaml"
    prices.write_text(
        "currency: EUR\nmodels:\n"
        "  - {model: tiny, as_of: 2026-01-31, source: a list, input: 1000, output: 1000}\n"
    )
    server = talks.serve(learns)
    words = ["--turns", "2", "--max-tokens", "500", "--limit", "1", "--prices", str(prices)]
    assert talks.run(server, *words, "--max-tokens-total", "1000") == ExitCode.INCOMPLETE
    usage = talks.results["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (7, 3)
    assert usage["cost"] is None, "no sample is finished"
    assert talks.run(server, *words) == ExitCode.OK
    usage = talks.results["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (14, 6)
    assert usage["cost"]["total"] == usage["cost"]["per_sample"] == 0.02
    words[5] = "2"
    assert talks.run(server, *words, "--max-tokens-total", "1000") == ExitCode.INCOMPLETE
    usage = talks.results["usage"]
    assert usage["cost"]["total"] == 0.01 * len(server.requests)
    assert usage["cost"]["per_sample"] == 0.02


def test_turns_by_batch_jobs_are_a_batch_a_round(talks: Talks, fake: Any) -> None:
    fake()
    with BatchServer() as server:
        server.answer = lambda item, body: answered(item, body, learns(body))
        assert talks.run(server, "--turns", "3", "--batch") == ExitCode.OK  # type: ignore[arg-type]
        assert talks.results["metrics"]["turn2_pass@1"]["value"] == 1.0
        assert len(server.batches) == 2
        assert set(server.paid.values()) == {1}
        assert talks.run(server, "--turns", "3", "--batch") == ExitCode.OK  # type: ignore[arg-type]
        assert len(server.batches) == 2
        paid = json.loads((talks.place / "completions.jsonl").read_text().splitlines()[0])
        assert paid["batched"] is True


def test_tools_by_batch_jobs_are_refused(talks: Talks, capsys: pytest.CaptureFixture[str]) -> None:
    server = talks.serve(learns)
    assert talks.run(server, "--tools", "run", "--batch") == ExitCode.USAGE
    assert "Tools need answers at once" in capsys.readouterr().err
    assert server.requests == []


class InRounds:
    """An engine that is asked in rounds, and counts."""

    def __init__(self, tokens: int) -> None:
        self.info = ModelInfo("rounds", "test")
        self.tokens, self.asked = tokens, 0

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        del parameters
        for request in requests:
            for sample in request.samples:
                self.asked += 1
                yield Completion(request.problem_id, sample, "x", FinishReason.STOP,
                                 prompt_tokens=1, completion_tokens=self.tokens)  # fmt: skip

    def close(self) -> None:
        pass


def test_rounds_keep_the_budget_too() -> None:
    settings = ConversationSettings(3, (), 1, 1.0, 1)
    prompt = Prompt((Message("user", "say it"),))
    conversations = [
        Conversation(f"p{i}", 0, 1, prompt, "hash", settings, (), "python") for i in range(6)
    ]
    budget = Budget(None, 700)
    spending, model = Spending(budget, None), InRounds(10)

    def never(conversation: Conversation, step: Any) -> Checked:
        del step
        return Checked(problem_id=conversation.problem_id, sample=0, prompt_hash="hash",
                       step=conversation.step, ends=False, text="again")  # fmt: skip

    driver = Driver(conversations, never, lambda _: None, workers=2, spending=spending)
    ended = list(driver.drive(model, SamplingParameters(max_tokens=100)))
    assert len(ended) == 6
    stopped = [item for item in ended if isinstance(item, Stopped)]
    assert all("the budget of 700 tokens leaves no room" in item.reason for item in stopped)
    assert model.asked * 11 == budget.tokens <= 700
    assert model.asked > 6, "what answers left of their worst case is used"
    assert not budget.flying


def test_calls_and_tools_are_part_of_a_prompt() -> None:
    """Only texts counted, so a model that wrote long programs as tool calls overran its budget."""
    call = ToolCall("c1", "run", json.dumps({"code": "x = 1\n" * 1000}))
    plain = Prompt((Message("user", "Hi."), Message("assistant", "")))
    called = Prompt((Message("user", "Hi."), Message("assistant", "", (call,))))
    assert estimate_tokens(called) >= estimate_tokens(plain) + 3000
    tools = schemas(["run", "read"], "python")
    assert estimate_tokens(plain, tools) >= estimate_tokens(plain) + 200


@pytest.mark.parametrize("talk", [(), ("--turns", "2")])
def test_answers_without_a_count_are_spent_after_a_restart_too(
    talks: Talks, fake: Any, talk: tuple[str, ...]
) -> None:
    """They counted as their worst case when they came, and as no token in the next command.

    So by repeating it one asked for everything, with any budget.
    """
    fake()
    server = talks.serve(learns)
    server.always = lambda handler, body: handler.send(
        200, {"choices": [{"message": {"content": learns(body)}}]}
    )
    words = (*talk, "--max-tokens", "500", "--max-tokens-total", "2000")
    assert talks.run(server, *words) == ExitCode.INCOMPLETE
    asked = len(server.requests)
    assert 0 < 500 * asked < 2000
    for _ in range(3):
        assert talks.run(server, *words) == ExitCode.INCOMPLETE
    assert len(server.requests) == asked


@pytest.mark.parametrize("talk", [(), ("--turns", "2"), ("--tools", "run")])
@pytest.mark.parametrize("count", [2**53 + 1, 10**400, -1, 1.5, "7", True])
def test_a_count_that_is_none_harms_nothing(
    talks: Talks, fake: Any, talk: tuple[str, ...], count: Any
) -> None:
    """A count above 2**53 was written to turns.jsonl, which no command could read any more."""
    fake()
    server = talks.serve(learns)
    usage = {"prompt_tokens": count, "completion_tokens": count}
    server.always = lambda handler, body: handler.send(
        200, {"choices": [{"message": {"content": learns(body)}}], "usage": usage}
    )
    for _ in range(2):
        assert (
            talks.run(server, *talk, "--limit", "1", "--max-tokens-total", "99999") == ExitCode.OK
        )
    assert talks.results["usage"]["prompt_tokens"] is None


def test_arguments_are_written_tokens(talks: Talks, fake: Any) -> None:
    """Where a server does not count, only the text beside the calls did, which is mostly empty."""
    fake()
    message = calls(("run", {"code": "x = 1\n" * 100}))
    server = talks.serve(learns)
    server.always = lambda handler, body: handler.send(
        200, {"choices": [{"message": message if body.get("tools") else {"content": "No."}}]}
    )
    assert (
        talks.run(server, "--tools", "run", "--tool-tokens", "300", "--limit", "1") == ExitCode.OK
    )
    assert talks.results["tools"]["calls"] == 1, "the second one comes too late"


def test_the_same_id_twice_is_told_apart(talks: Talks, fake: Any) -> None:
    """Strict servers refuse a history in which two calls have one id, at every repetition."""
    fake()
    message = calls(*[("run", {"code": "x = 1"})] * 3)
    for call, name in zip(message["tool_calls"], ("a", "a", "a-1"), strict=True):
        call["id"] = name
    server = talks.serve(lambda body: "No." if body["messages"][-1]["role"] == "tool" else message)
    assert talks.run(server, "--tools", "run", "--limit", "1") == ExitCode.OK
    *_, said, first, second, third = server.requests[-1]["messages"]
    names = [call["id"] for call in said["tool_calls"]]
    assert len(set(names)) == 3
    assert names == [item["tool_call_id"] for item in (first, second, third)]


def test_a_preflight_counts_every_turn(
    talks: Talks, fake: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """It said what one answer per sample costs at most; three turns cost more than three times."""
    fake()
    server = talks.serve(learns)
    found = []
    for more in ((), ("--turns", "3"), ("--tools", "run", "--tool-calls", "4")):
        assert talks.run(server, "--max-tokens", "500", "--preflight", "--json", *more) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [item["requests"] for item in found] == [4, 12, 20]
    assert [item["answer_tokens"] for item in found] == [2000, 6000, 10000]
    assert found[1]["prompt_tokens"] > 3 * found[0]["prompt_tokens"] + 4 * 3 * 500
    assert talks.run(server, "--max-tokens", "500", "--preflight", "--turns", "3") == 0
    assert "requests: at most 12 (0 answers are stored)" in capsys.readouterr().out
