"""The client of OpenAI-compatible servers, over real HTTP, against a server that misbehaves."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("openai", reason="needs pip install 'recode-eval[openai]'")

from protocol_server import ProtocolServer, answer, drop, fail, raw, truncate

from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.models import (
    FinishReason,
    Model,
    ModelOptions,
    Request,
    SamplingParameters,
    create_model,
)
from recode_eval.models import openai_protocol as protocol
from recode_eval.models.streaming import BackgroundLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLED = SamplingParameters(temperature=0.9, top_p=0.7, max_tokens=24, stop=("STOP",))
Requests = "Callable[..., list[Request]]"


@pytest.fixture
def server() -> Iterator[ProtocolServer]:
    with ProtocolServer() as running:
        yield running


def connect(server: ProtocolServer, **options: Any) -> Any:
    options.setdefault("max_retries", 2)
    return create_model("tiny", options=ModelOptions(base_url=server.url, **options))


def one(make_requests: Requests) -> list[Request]:
    return make_requests(samples=(0,))[:1]


def test_each_sample_is_a_request_with_its_seed(
    server: ProtocolServer, make_requests: Requests
) -> None:
    """Resuming needs exactly the missing samples; a server may ignore `n` or derive its seeds."""
    model = connect(server)
    assert isinstance(model, Model)
    requests = make_requests(samples=(0, 3))
    completions = list(model.generate(requests, SAMPLED))
    texts = {(c.problem_id, c.sample): c.text for c in completions}
    seeds = {
        (r.problem_id, s): seed
        for r in requests
        for s, seed in zip(r.samples, r.seeds, strict=True)
    }
    assert texts == {key: f"echo {seed}" for key, seed in seeds.items()}
    assert all("n" not in sent for sent in server.requests)
    assert {c.finish_reason for c in completions} == {FinishReason.STOP}
    assert {(c.prompt_tokens, c.completion_tokens) for c in completions} == {(7, 3)}
    assert all(c.seconds > 0 for c in completions)


def test_what_is_sent(server: ProtocolServer, make_requests: Requests) -> None:
    """The server's own defaults (repetition penalty of the checkpoint) must not add to ours."""
    (request,) = one(make_requests)
    list(connect(server).generate([request], SAMPLED))
    (sent,) = server.requests
    assert sent["messages"][-1] == {"role": "assistant", "content": request.prompt.prefill}
    assert sent["continue_final_message"] is True
    assert sent["add_generation_prompt"] is False
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0.9, 0.7, 24)
    assert (sent["stop"], sent["seed"], sent["model"]) == (["STOP"], 0, "tiny")
    assert (sent["repetition_penalty"], sent["top_k"]) == (1.0, -1)


@pytest.mark.parametrize(
    ("owner", "mode", "sent_prefill", "flags"),
    [
        ("vllm", "auto", True, True),
        ("vllm", "omit", False, False),
        ("llamacpp", "auto", True, False),
        ("somebody", "auto", False, False),
        ("somebody", "continue", True, True),
    ],
)
def test_prefill_only_where_the_server_continues_it(
    make_requests: Requests,
    caplog: pytest.LogCaptureFixture,
    owner: str,
    mode: str,
    sent_prefill: bool,
    flags: bool,
) -> None:
    """A server that does not continue a turn would answer *to* the prefill."""
    with ProtocolServer(owner=owner) as server:
        model = connect(server, server_prefill=mode)
        (completion,) = model.generate(one(make_requests), SAMPLED)
        (sent,) = server.requests
    assert (sent["messages"][-1]["role"] == "assistant") is sent_prefill
    assert ("continue_final_message" in sent) is flags
    assert completion.prefill == (None if sent_prefill else "")
    expected = "continued by the server" if sent_prefill else "omitted"
    assert model.info.details["prefill"] == model.info.identity["prefill"] == expected
    assert ("without their prefill" in caplog.text) is not sent_prefill


def test_concurrency_is_used_and_bounded(server: ProtocolServer, make_requests: Requests) -> None:
    server.delay = 0.05
    list(connect(server, concurrency=3).generate(make_requests(samples=range(4)), SAMPLED))
    assert server.most_busy == 3


@pytest.mark.parametrize(
    "trouble",
    [fail(429, "slow down"), fail(500), fail(503), drop, truncate],
    ids=["429", "500", "503", "dropped", "truncated"],
)
def test_trouble_that_passes_is_retried(
    server: ProtocolServer, make_requests: Requests, trouble: Any
) -> None:
    server.behaviours = [trouble, trouble]
    (completion,) = connect(server).generate(one(make_requests), SAMPLED)
    assert completion.text == "echo 0"
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (fail(429, "quota exceeded"), "HTTP 429: quota exceeded.*lower --concurrency"),
        (fail(500, "engine dead"), "HTTP 500: engine dead.*after 2 retries"),
        (drop, "refuses or drops the connection.*is it running"),
        (truncate, "refuses or drops the connection"),
    ],
    ids=["429", "500", "dropped", "truncated"],
)
def test_trouble_that_stays_is_the_infrastructures(
    server: ProtocolServer, make_requests: Requests, trouble: Any, message: str
) -> None:
    server.always = trouble
    with pytest.raises(InfrastructureError, match=message) as caught:
        list(connect(server).generate(one(make_requests), SAMPLED))
    assert server.url in str(caught.value)
    assert len(server.requests) == 3


def test_what_came_before_the_trouble_stays(
    server: ProtocolServer, make_requests: Requests
) -> None:
    model = connect(server, concurrency=1, max_retries=0)
    server.behaviours = [answer, answer, fail(500)]
    stream = model.generate(make_requests(), SAMPLED)
    assert [next(stream).text, next(stream).text] == ["echo 0", "echo 1"]
    with pytest.raises(InfrastructureError):
        next(stream)


def test_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    options = ModelOptions(base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)
    with pytest.raises(InfrastructureError, match=rf"127\.0\.0\.1:{port}.*is it running"):
        create_model("tiny", options=options)


def test_no_answer_in_time(server: ProtocolServer, make_requests: Requests) -> None:
    model = connect(server, request_timeout=0.2, max_retries=1)
    server.delay = 1.0
    with pytest.raises(InfrastructureError, match=r"within 0.2 s, after 1 retries"):
        list(model.generate(one(make_requests), SAMPLED))


def test_a_trickle_is_no_answer_in_time(make_requests: Requests) -> None:
    """A byte now and then restarted the HTTP library's timeout: such a request never ended."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def trickle() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not stop.wait(0.1):
                    try:
                        connection.sendall(b"{")
                    except OSError:
                        break

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    options = ModelOptions(
        base_url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1",
        request_timeout=0.6,
        max_retries=0,
    )
    began = time.monotonic()
    try:
        with pytest.raises(InfrastructureError, match="did not answer within"):
            list(create_model("tiny", options=options).generate(one(make_requests), SAMPLED))
    finally:
        stop.set()
        listener.close()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("url", ["http://[bad", "http://host:port/v1", "http://", "ftp://x/v1"])
def test_what_is_no_address_is_said(url: str) -> None:
    """An unclosed bracket came out as a traceback."""
    with pytest.raises(UsageError, match="base_url must look like"):
        ModelOptions(base_url=url)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome</html>",
        b"[]",
        b"null",
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": 3}}]}',
        b'{"choices": [{"message": {"content": [1]}}], "usage": 3}',
        b'{"choices": [{"message": {"content": "\xff"}}]}',
        b"[" * 100_000,
    ],
)
def test_nonsense_with_status_200(
    server: ProtocolServer, make_requests: Requests, body: bytes
) -> None:
    server.always = raw(body)
    with pytest.raises(InfrastructureError, match="other than a chat completion") as caught:
        list(connect(server).generate(one(make_requests), SAMPLED))
    assert len(str(caught.value)) < 900


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "message", "content", "usage", "finish_reason", "reasoning"]
                ),
                x,
            )
        ),
    )
)
def test_any_json_is_an_answer_or_an_error(content: Any) -> None:
    try:
        text = protocol.parse_answer(json.dumps(content).encode(), "url").content
    except InfrastructureError:
        text = ""
    assert isinstance(text, str)
    assert protocol.parse_models(json.dumps({"data": content}).encode()) == []


def test_hostile_text_arrives_as_it_is(server: ProtocolServer, make_requests: Requests) -> None:
    server.always = raw(b'{"choices": [{"message": {"content": "a\\u0000\\ud800"}}]}')
    (completion,) = connect(server).generate(one(make_requests), SAMPLED)
    assert completion.text == "a\x00\ud800"
    assert completion.prompt_tokens is None


def test_lone_surrogate_in_a_prompt_is_replaced(
    server: ProtocolServer, make_requests: Requests
) -> None:
    """The JSON encoder of the client library dies of it."""
    (completion,) = connect(server).generate(make_requests(["a\ud800b"], samples=(0,)), SAMPLED)
    assert completion.text == "echo 0"
    assert server.requests[0]["messages"][1]["content"] == "a\ufffdb"


def test_a_wrong_name_lists_the_right_ones(make_requests: Requests) -> None:
    with (
        ProtocolServer(names=("big", "small")) as server,
        pytest.raises(UsageError, match="no model 'tiny'; it has big, small"),
    ):
        connect(server)
    with ProtocolServer(owner="proxy", names=("big", "small")) as server:
        model = connect(server)  # such a list need not be complete
        server.always = fail(404, "The model `tiny` does not exist")
        with pytest.raises(UsageError, match="no model 'tiny'; it has big, small"):
            list(model.generate(one(make_requests), SAMPLED))


@pytest.mark.parametrize("status", [404, 405, 500])
def test_a_server_that_cannot_list_its_models_may_still_answer(
    server: ProtocolServer, make_requests: Requests, status: int
) -> None:
    """`transformers serve` fails at its list when the hub's cache folder does not exist."""
    server.list_status = status
    (completion,) = connect(server).generate(one(make_requests), SAMPLED)
    assert (completion.text, completion.prefill) == ("echo 0", "")
    server.always = fail(404, "no such model")
    with pytest.raises(UsageError, match="no model 'tiny', or no chat completions"):
        list(connect(server).generate(one(make_requests), SAMPLED))
    server.list_status = 401
    with pytest.raises(UsageError, match="refuses access"):
        connect(server)


@pytest.mark.parametrize(
    ("text", "temperature", "suspicious"),
    [("always this", 0.9, True), ("always this", 0.0, False), (None, 0.9, False), ("", 0.9, False)],
)
def test_server_that_ignores_the_temperature_is_noticed(
    server: ProtocolServer,
    make_requests: Requests,
    caplog: pytest.LogCaptureFixture,
    text: str | None,
    temperature: float,
    suspicious: bool,
) -> None:
    """`transformers serve` decodes greedily whatever it is asked: five equal samples each."""
    server.always = partial(answer, text=text)
    parameters = SamplingParameters(temperature=temperature, max_tokens=9)
    model = connect(server)
    assert len(list(model.generate(make_requests(samples=range(3)), parameters))) == 18
    assert ("pass@k is meaningless" in caplog.text) is suspicious
    assert ("sampling" in model.info.details) is suspicious


def test_key_is_sent_and_never_shown(
    server: ProtocolServer,
    make_requests: Requests,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server that repeats the key in its complaint must not bring it into our messages."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    model = connect(server, api_key_env="MY_KEY")
    list(model.generate(one(make_requests), SAMPLED))
    assert server.keys == ["Bearer sk-very-secret"]
    server.always = fail(401, "wrong key sk-very-secret")
    with pytest.raises(
        UsageError, match=r"wrong key \*\*\*.*environment variable MY_KEY"
    ) as caught:
        list(model.generate(one(make_requests), SAMPLED))
    assert "secret" not in str(caught.value)
    assert "secret" not in str(model.info)
    assert "sk-very-secret" not in caplog.text
    monkeypatch.setenv("MY_KEY", "line\nbreak")
    with pytest.raises(UsageError, match="MY_KEY has characters"):
        connect(server, api_key_env="MY_KEY")


@pytest.mark.parametrize("url", ["http://me:secret@h/v1", "http://h/v1?key=secret"])
def test_a_key_in_the_url_is_refused(url: str) -> None:
    """The URL is part of the stored identity."""
    with pytest.raises(UsageError, match="environment variable") as caught:
        ModelOptions(base_url=url)
    assert "secret" not in str(caught.value)


def test_server_without_seeds_or_max_tokens(
    server: ProtocolServer, make_requests: Requests, caplog: pytest.LogCaptureFixture
) -> None:
    """Reasoning models of the original server want `max_completion_tokens` and know no seed."""

    def picky(handler: Any, body: dict[str, Any]) -> None:
        if "max_tokens" in body:
            fail(400, "use 'max_completion_tokens' instead")(handler, body)
        elif "seed" in body:
            fail(422, "Extra inputs are not permitted: seed")(handler, body)
        else:
            answer(handler, body, text=str(body["max_completion_tokens"]))

    server.always = picky
    model = connect(server)
    texts = [c.text for c in model.generate(make_requests(), SAMPLED)]
    assert texts == ["24"] * 12
    assert model.info.details["seeds"] == "refused by the server"
    assert "are not reproducible" in caplog.text


def test_other_refusals_are_the_users(server: ProtocolServer, make_requests: Requests) -> None:
    server.always = fail(400, "temperature must be 1")
    with pytest.raises(UsageError, match="HTTP 400: temperature must be 1"):
        list(connect(server).generate(one(make_requests), SAMPLED))


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 16 tokens. However, your prompt contains 99",
        "the request exceeds the available context size",
        "Input is too long for requested model",
    ],
)
def test_prompt_too_long_is_a_record(
    server: ProtocolServer, make_requests: Requests, words: str
) -> None:
    server.always = fail(400, words)
    completions = list(connect(server).generate(make_requests(), SAMPLED))
    assert {c.finish_reason for c in completions} == {FinishReason.PROMPT_TOO_LONG}
    assert {c.text for c in completions} == {""}
    assert len(completions) == 12


def test_server_that_counts_max_tokens_in(server: ProtocolServer, make_requests: Requests) -> None:
    """Prompt of 7 and context of 16 leave 9; asking for 24 made the whole sample too long."""

    def strict(handler: Any, body: dict[str, Any]) -> None:
        if 7 + body["max_tokens"] > 16:
            fail(400, "maximum context length is 16 tokens, you requested 31")(handler, body)
        else:
            answer(handler, body, text=f"{body['max_tokens']}", finish="length")

    server.always = strict
    (completion,) = connect(server).generate(one(make_requests), SAMPLED)
    assert (completion.text, completion.finish_reason) == ("9", FinishReason.LENGTH)


def test_stop_strings_are_trimmed_here_too(server: ProtocolServer, make_requests: Requests) -> None:
    server.always = partial(answer, text="abc STOP def", finish="length")
    (completion,) = connect(server).generate(one(make_requests), SAMPLED)
    assert (completion.text, completion.finish_reason) == ("abc ", FinishReason.STOP)


@pytest.mark.parametrize(
    ("owner", "content", "finish", "expected"),
    [
        ("vllm", "code", "stop", "why</think>code"),
        ("vllm", None, "length", "why"),
        ("other", "code", "stop", "<think>why</think>code"),
        ("other", None, "length", "<think>why"),
    ],
)
def test_reasoning_in_a_field_of_its_own_is_put_back(
    make_requests: Requests, owner: str, content: str | None, finish: str, expected: str
) -> None:
    """Servers with a reasoning parser cut the think block out of the text."""
    with ProtocolServer(owner=owner) as server:
        message = {"content": content, "reasoning_content": "why"}
        server.always = partial(answer, message=message, finish=finish)
        (completion,) = connect(server).generate(one(make_requests), SAMPLED)
    assert completion.text == expected


def test_closing_the_stream_cancels_what_runs(
    server: ProtocolServer, make_requests: Requests
) -> None:
    """An interrupted run waited for every request in flight."""
    model = connect(server, concurrency=2)
    server.behaviours = [answer]
    server.always = lambda handler, body: (time.sleep(20), answer(handler, body))[1]
    started = time.perf_counter()
    stream = model.generate(make_requests(), SAMPLED)
    next(stream)
    stream.close()
    model.close()
    model.close()
    assert time.perf_counter() - started < 10
    assert len(server.requests) <= 3


def test_needs_a_url() -> None:
    with pytest.raises(UsageError, match="give --base-url"):
        create_model("openai:tiny")


def test_loop_stops_its_thread() -> None:
    loop = BackgroundLoop("a-test-loop")

    async def double(number: int) -> int:
        return 2 * number

    jobs = (partial(double, number) for number in range(5))
    assert sorted(loop.stream(jobs, 2)) == [0, 2, 4, 6, 8]
    loop.close()
    loop.close()
    assert "a-test-loop" not in {thread.name for thread in threading.enumerate()}
