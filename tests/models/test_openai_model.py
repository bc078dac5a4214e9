"""The client of OpenAI-compatible servers, over real HTTP, against a server that misbehaves."""

from __future__ import annotations

import json
import logging
import socket
import sys
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
    # Two retries, and one request that asks whether the server works.
    assert len(server.requests) == (3 if "429" in message else 4)


def test_what_came_before_the_trouble_stays(
    server: ProtocolServer, make_requests: Requests
) -> None:
    model = connect(server, concurrency=1, max_retries=0)
    server.behaviours = [answer, answer]
    server.always = fail(500)
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
        b'{"choices": {}}',
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
    except (InfrastructureError, protocol.NoAnswerError):
        text = ""
    assert isinstance(text, str)
    assert protocol.parse_models(json.dumps({"data": content}).encode()) == []


BAD = "print hello"
"""The prompt of `make_requests` that the servers below do not answer."""

NO_ANSWERS = {
    "filter": fail(400, "The response was filtered: content management policy"),
    "policy": fail(403, "your input was flagged"),
    "legal": fail(451),
    "empty": raw(b'{"choices": []}'),
    "error": raw(b'{"error": {"message": "engine fault", "code": 500}}'),
    "broken off": raw(b'{"choices": [{"finish_reason": "error", "message": {"content": "x"}}]}'),
    "nonsense": raw(b"<html>"),
    "withheld": raw(b'{"choices": [{"finish_reason": "content_filter", "message": {}}]}'),
    "500": fail(500, "assertion failed"),
    "dropped": drop,
}


def only_for(bad: str, trouble: Any) -> Any:
    def behave(handler: Any, body: dict[str, Any]) -> None:
        hit = any(message["content"] == bad for message in body["messages"])
        (trouble if hit else answer)(handler, body)

    return behave


@pytest.mark.parametrize("trouble", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_one_prompt_without_an_answer_does_not_end_the_run(
    server: ProtocolServer,
    make_requests: Requests,
    caplog: pytest.LogCaptureFixture,
    trouble: Any,
) -> None:
    """A content filter, an empty answer or a crash at one prompt ended every run for ever."""
    server.always = only_for(BAD, trouble)
    completions = list(connect(server, max_retries=1).generate(make_requests(), SAMPLED))
    lost = [c for c in completions if c.finish_reason is FinishReason.UNANSWERED]
    assert len(completions) == 12
    assert {c.problem_id for c in lost} == {"p3"}
    assert len(lost) == 2
    assert all(server.url in c.detail and c.text == "" for c in lost)
    assert not FinishReason.UNANSWERED.is_sample
    assert caplog.text.count("a sample of p3 stays unscored") == 1


@pytest.mark.parametrize("name", ["filter", "empty", "error", "nonsense", "500", "dropped"])
def test_a_server_that_answers_nothing_is_an_error_at_once(
    server: ProtocolServer, make_requests: Requests, name: str
) -> None:
    """Telling one bad prompt from a server that is down must not take a retry per prompt."""
    server.always = NO_ANSWERS[name]
    many = make_requests(["x"] * 200, samples=(0,))
    with pytest.raises((InfrastructureError, UsageError)):
        list(connect(server, max_retries=1, concurrency=2).generate(many, SAMPLED))
    assert len(server.requests) <= 8


def test_a_server_that_only_says_hello_is_down(
    server: ProtocolServer, make_requests: Requests
) -> None:
    """Each prompt failed after all retries, while the check by a harmless one went well."""

    def behave(handler: Any, body: dict[str, Any]) -> None:
        harmless = body["messages"][-2]["content"] == "Say hello."
        (answer if harmless else fail(500, "engine fault"))(handler, body)

    server.always = behave
    many = make_requests([f"x{number}" for number in range(200)], samples=(0,))
    with pytest.raises(InfrastructureError, match="engine fault"):
        list(connect(server, max_retries=3, concurrency=2).generate(many, SAMPLED))
    assert len(server.requests) < 80


def test_a_parameter_that_is_refused_is_not_the_prompts_fault(
    server: ProtocolServer, make_requests: Requests
) -> None:
    def behave(handler: Any, body: dict[str, Any]) -> None:
        (fail(400, "length above 20") if body["max_tokens"] > 20 else answer)(handler, body)

    server.always = behave
    with pytest.raises(UsageError, match="HTTP 400: length above 20"):
        list(connect(server).generate(one(make_requests), SAMPLED))


def test_an_answer_that_the_filter_cut_off_says_so(
    server: ProtocolServer, make_requests: Requests
) -> None:
    """`content_filter` was recorded as `stop`."""
    server.always = partial(answer, text="half an ans", finish="content_filter")
    (completion,) = connect(server).generate(one(make_requests), SAMPLED)
    assert (completion.text, completion.finish_reason) == (
        "half an ans", FinishReason.CONTENT_FILTER,
    )  # fmt: skip
    assert completion.finish_reason.is_sample


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"content": [{"type": "output_text", "text": "a"}, {"type": "image_url"}, "b"]}, "ab"),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "why"}]},
                    {"type": "text", "text": "a"},
                ]
            },
            "why</think>a",
        ),
        ({"content": [{"type": "thinking", "thinking": "why"}, "a"]}, "why</think>a"),
        ({"content": "a", "reasoning": [{"type": "text", "text": "why"}]}, "why</think>a"),
        (
            {"content": "a", "reasoning_details": [{"type": "reasoning.text", "text": "why"}]},
            "why</think>a",
        ),
        ({"content": None, "refusal": "I cannot help."}, "I cannot help."),
        ({"content": []}, ""),
    ],
)
def test_content_in_parts(
    server: ProtocolServer, make_requests: Requests, message: dict[str, Any], text: str
) -> None:
    """A list of parts was "something other than a chat completion"."""
    server.always = partial(answer, message=message)
    (completion,) = connect(server).generate(one(make_requests), SAMPLED)
    assert completion.text == text


def test_a_stop_string_in_separate_thoughts_cuts_nothing(
    server: ProtocolServer, make_requests: Requests
) -> None:
    """The thoughts were put before the text first: a fence in them cut the answer off."""
    message = {"content": "code\n```\nmore", "reasoning_content": "a draft:\n```\nx"}
    server.always = partial(answer, message=message)
    parameters = SamplingParameters(max_tokens=24, stop=("\n```",))
    (completion,) = connect(server).generate(one(make_requests), parameters)
    assert completion.text == "a draft:\n```\nx</think>code"


@pytest.mark.parametrize(("mode", "sent"), [("omit", ["END"]), ("continue", ["\n```", "END"])])
def test_a_stop_string_goes_with_the_prefill_that_it_belongs_to(
    server: ProtocolServer,
    make_requests: Requests,
    caplog: pytest.LogCaptureFixture,
    mode: str,
    sent: list[str],
) -> None:
    """Without the prefill that opens a fence the answer opens it, and was cut off there: 0 %."""
    server.always = partial(answer, text="Sure:\n```python\nx = 1\nEND")
    parameters = SamplingParameters(max_tokens=24, stop=("\n```", "END"))
    requests = make_requests(samples=(0,), prefill="```python\n")[:1]
    model = connect(server, server_prefill=mode)
    (completion,) = model.generate(requests, parameters)
    assert server.requests[0]["stop"] == sent
    assert completion.text == ("Sure:\n```python\nx = 1\n" if mode == "omit" else "Sure:")
    assert ("stop_left_out" in model.info.details) is (mode == "omit")
    assert ("are left out" in caplog.text) is (mode == "omit")


def test_an_empty_stop_string_is_refused() -> None:
    """It occurs at the start of every text: all answers were empty."""
    with pytest.raises(UsageError, match="must not be empty"):
        SamplingParameters(stop=("x", ""))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "System role not supported"),
        (422, "Conversation roles must alternate user/assistant/user/assistant/..."),
        (500, "Jinja error: system message is not supported"),
        (400, "Unsupported value: 'messages[0].role' does not support 'system'"),
    ],
)
def test_a_server_that_refuses_system_messages(
    server: ProtocolServer,
    make_requests: Requests,
    caplog: pytest.LogCaptureFixture,
    status: int,
    words: str,
) -> None:
    """Local engines merge the system message; behind a server the same model was refused."""

    def picky(handler: Any, body: dict[str, Any]) -> None:
        system = any(message["role"] == "system" for message in body["messages"])
        (fail(status, words) if system else answer)(handler, body)

    server.always = picky
    model = connect(server, max_retries=0)
    assert len(list(model.generate(make_requests(), SAMPLED))) == 12
    assert server.requests[-1]["messages"][0]["content"].startswith("You write code.\n\n")
    assert model.info.details["system_message"] == "put before the first user message"
    assert caplog.text.count("refuses system messages") == 1


def test_a_server_that_takes_temperature_or_top_p(
    server: ProtocolServer, make_requests: Requests, caplog: pytest.LogCaptureFixture
) -> None:
    """Such a server could not be evaluated at all."""

    def picky(handler: Any, body: dict[str, Any]) -> None:
        both = "temperature" in body and "top_p" in body
        words = "`temperature` and `top_p` cannot both be specified for this model"
        (fail(400, words) if both else answer)(handler, body)

    server.always = picky
    model = connect(server)
    assert len(list(model.generate(make_requests(), SAMPLED))) == 12
    assert model.info.details["top_p"] == "refused by the server"
    assert caplog.text.count("refuses top_p") == 1


def test_what_a_server_tells_of_its_model_is_part_of_the_identity(
    server: ProtocolServer, make_requests: Requests
) -> None:
    """A model replaced behind the same name got the stored answers of the one before."""
    assert "served" not in connect(server).info.identity
    server.traits = {"root": "/models/step-1", "created": 17, "meta": {"n_params": 5, "x": 1}}
    model = connect(server)
    assert model.info.identity["served"] == {"root": "/models/step-1", "n_params": 5}
    server.traits = {"root": "tiny"}  # no more than the name
    assert "served" not in connect(server).info.identity
    body = {"choices": [{"message": {"content": "x"}}], "system_fingerprint": "fp_1"}
    server.always = raw(json.dumps(body).encode())
    list(model.generate(one(make_requests), SAMPLED))
    assert model.info.details["system_fingerprint"] == ["fp_1"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ALL_PROXY", "socks5://127.0.0.1:9"), ("https_proxy", "nonsense://u:secret@h"),
     ("SSL_CERT_FILE", "/no/such/file.pem")],
)  # fmt: skip
def test_what_keeps_a_client_from_being_made_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """A SOCKS proxy without its package, or a missing certificate file, was "a bug"."""
    if value.startswith("socks"):
        monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=variable) as caught:
        create_model("tiny", options=ModelOptions(base_url="https://a.invalid/v1"))
    assert "secret" not in str(caught.value)


def test_no_proxy_for_this_machine(
    server: ProtocolServer, make_requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY was used for 127.0.0.1, and the server "refused the connection"."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    (completion,) = connect(server).generate(one(make_requests), SAMPLED)
    assert completion.text == "echo 0"


def test_a_proxy_in_between_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    options = ModelOptions(base_url="http://a.invalid/v1", max_retries=0)
    with pytest.raises(InfrastructureError, match=r"through the proxy in .* HTTP_PROXY"):
        create_model("tiny", options=options)


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
    # The request that found out how long the prompt is was paid for, and counted nowhere.
    assert (completion.prompt_tokens, completion.completion_tokens) == (14, 6)


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
