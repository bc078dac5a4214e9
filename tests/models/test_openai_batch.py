"""Batch jobs, over real HTTP, against a server whose batches end in odd ways."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("openai", reason="needs pip install 'recode-eval[openai]'")

from batch_server import BatchServer, Script, answered, refused

from recode_eval.errors import DataError, InfrastructureError, UsageError
from recode_eval.models import FinishReason, ModelOptions, SamplingParameters, create_model
from recode_eval.models import openai_batch as batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SAMPLED = SamplingParameters(temperature=0.9, max_tokens=24)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    monkeypatch.setattr(batches, "FIRST_WAIT", 0.001)
    with BatchServer() as running:
        yield running


class Client:
    """The model as one command after the other has it: all they share is the journal."""

    def __init__(self, server: BatchServer, place: Path, requests: Any) -> None:
        self.server, self.place, self.requests = server, place, requests
        self.told: list[str] = []

    def ask(self, requests: Any = None, **options: Any) -> dict[Any, Any]:
        options = {"max_retries": 0, **options}
        model = create_model("tiny", options=ModelOptions(base_url=self.server.url, **options))
        try:
            stream = model.batched(self.place, self.told.append).generate(
                self.requests if requests is None else requests, SAMPLED
            )
            return {(c.problem_id, c.sample): c for c in stream}
        finally:
            model.close()

    @property
    def journal(self) -> list[dict[str, Any]]:
        return json.loads(self.place.read_text())["batches"]


@pytest.fixture
def client(server: BatchServer, tmp_path: Path, make_requests: Callable[..., Any]) -> Client:
    return Client(server, tmp_path / "batches.json", make_requests(samples=(0, 1)))


def test_one_batch_answers_all_samples_as_live_requests_would(client: Client) -> None:
    found = client.ask(request={"reasoning_effort": "low"})
    seeds = {
        (r.problem_id, s): seed
        for r in client.requests
        for s, seed in zip(r.samples, r.seeds, strict=True)
    }
    assert {key: c.text for key, c in found.items()} == {k: f"echo {s}" for k, s in seeds.items()}
    assert {(c.prompt_tokens, c.completion_tokens, c.batched) for c in found.values()} == {
        (7, 3, True)
    }
    (uploaded,) = [v for k, v in client.server.files.items() if "batch" not in k]
    body = json.loads(uploaded.splitlines()[0])["body"]
    assert body["continue_final_message"] is True
    assert (body["reasoning_effort"], body["max_tokens"], body["seed"]) == ("low", 24, 0)
    assert "extra_body" not in body
    assert client.server.requests == []  # nothing was asked live
    assert [entry["state"] for entry in client.journal] == ["collected"]


def test_large_runs_are_split_at_the_limits(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST_LINES", 5)
    assert len(client.ask()) == 12
    assert len(client.server.batches) == 3
    assert set(client.server.paid.values()) == {1}


@given(st.lists(st.integers(1, 30), max_size=40), st.integers(1, 7), st.integers(30, 80))
def test_a_split_loses_nothing_and_keeps_the_limits(sizes: Any, most: int, size: int) -> None:
    lines = [(str(number), b"x" * length) for number, length in enumerate(sizes)]
    parts = list(batches.split(lines, most=most, size=size))
    assert [item for ids, _ in parts for item in ids] == [item for item, _ in lines]
    assert b"".join(text for _, text in parts) == b"".join(text for _, text in lines)
    assert all(0 < len(ids) <= most and len(text) <= size for ids, text in parts)


def odd(lines: Any) -> Script:
    """Out of order, twice, of nobody, malformed, refused, and one line missing."""
    (first, body), (second, other), (third, _), *rest = lines
    output: list[Any] = [answered(*line) for line in reversed(rest[1:])]
    output += [answered(second, other), answered(second, other, text="another answer")]
    output += [answered("nobody-asked", {}), b"{not json", b"[]", b'"text"', b"", b"\xff\xfe"]
    output += [{"custom_id": 7}, {"custom_id": ["x"]}, answered(first, body)]
    return Script(output=output, errors=[refused(third, 400, "blocked by our policy")])


def test_odd_files_lose_only_what_they_lack(client: Client) -> None:
    client.server.scripts = [odd]
    found = client.ask()
    lacking = {key: c for key, c in found.items() if c.finish_reason is FinishReason.UNANSWERED}
    assert len(found) == 12
    assert len(lacking) == 2
    assert {c.text for c in found.values()} - {""} <= {f"echo {1000 * p + s}"
            for p in range(6) for s in (0, 1)}  # fmt: skip
    told = sorted(c.detail for c in lacking.values())
    assert "blocked by our policy" in told[0] or "blocked by our policy" in told[1]
    assert any("has no line for it" in text for text in told)
    assert any("7 lines are malformed or of other requests" in text for text in client.told)
    again = client.ask(list(client.requests))  # the next command asks for these two alone
    assert all(c.finish_reason is FinishReason.STOP for c in again.values())
    assert sorted(client.server.paid.values()) == [1] * 10 + [2] * 2


@pytest.mark.parametrize("status", ["expired", "cancelled", "failed"])
def test_what_a_batch_has_is_taken_and_the_rest_is_asked_again_or_explained(
    client: Client, status: str
) -> None:
    client.server.scripts = [
        lambda lines: Script(status, [answered(*line) for line in lines[:7]], complaint="no quota")
    ]
    found = client.ask()
    lacking = [c for c in found.values() if c.finish_reason is FinishReason.UNANSWERED]
    if status == "expired":
        assert not lacking
        assert sorted(client.server.paid.values()) == [1] * 7 + [2] * 5
    else:
        assert len(lacking) == 5
        expected = "no quota" if status == "failed" else "is cancelled"
        assert all(expected in c.detail for c in lacking)


def test_a_batch_that_expires_again_and_again_ends(client: Client) -> None:
    client.server.scripts = [lambda _: Script("expired")] * 9
    found = client.ask()
    assert {c.finish_reason for c in found.values()} == {FinishReason.UNANSWERED}
    assert len(client.server.batches) == 3


def test_a_refused_parameter_is_left_out_in_the_next_batch(client: Client) -> None:
    words = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    client.server.scripts = [
        lambda lines: Script(errors=[refused(i, 400, words) for i, _ in lines])
    ]
    found = client.ask()
    assert {c.finish_reason for c in found.values()} == {FinishReason.STOP}
    uploads = [v for k, v in client.server.files.items() if "batch" not in k]
    assert b'"max_completion_tokens":24' in uploads[1]
    assert b'"max_tokens"' not in uploads[1]


def test_a_batch_that_vanishes_is_not_paid_again_unasked(client: Client) -> None:
    client.server.scripts = [lambda _: Script(vanishes=True)]
    found = client.ask()
    assert all("vanished from the server" in c.detail for c in found.values())
    assert set(client.server.paid.values()) == {1}
    assert {c.text[:4] for c in client.ask().values()} == {"echo"}


def test_a_batch_that_was_made_without_an_answer_is_found(client: Client) -> None:
    """The server made the batch and its answer was lost: sending it again would cost twice."""
    client.server.batches = {}
    client.server.create_status = ["lost"]
    assert {c.text[:4] for c in client.ask().values()} == {"echo"}
    assert set(client.server.paid.values()) == {1}


def test_a_batch_of_which_nobody_knows_is_looked_for_before_it_is_sent_again(
    client: Client,
) -> None:
    client.server.create_status = [502]
    with pytest.raises(InfrastructureError, match="looks for it before it sends another"):
        client.ask()
    assert [entry["state"] for entry in client.journal] == ["intended"]
    assert {c.text[:4] for c in client.ask().values()} == {"echo"}
    assert [entry["state"] for entry in client.journal] == ["never sent", "collected"]
    assert set(client.server.paid.values()) == {1}


def test_a_full_queue_waits_for_the_batches_that_run(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST_LINES", 6)
    client.server.create_status = [200, 429]
    assert len(client.ask()) == 12
    assert set(client.server.paid.values()) == {1}
    client.server.create_status = [429]
    client.place.unlink()
    with pytest.raises(InfrastructureError, match="429"):
        client.ask()


def test_lost_answers_are_read_again_and_not_paid_again(client: Client) -> None:
    first = client.ask()
    assert client.ask() == first
    assert set(client.server.paid.values()) == {1}


def test_a_server_without_batches_and_a_damaged_journal_are_named(client: Client) -> None:
    client.server.create_status = [404]
    with pytest.raises(UsageError, match=r"has no batch jobs .* leave out --batch"):
        client.ask()
    client.server.list_of_batches = 404
    model = create_model("tiny", options=ModelOptions(base_url=client.server.url, max_retries=0))
    with pytest.raises(UsageError, match="has no batch jobs"):
        model.check_batches()
    model.close()
    client.place.write_text('{"schema_version": 1, "batches": [{"key": 3, "ids": []}]}')
    with pytest.raises(DataError, match="which batch jobs were paid for"):
        client.ask()


def test_the_key_of_a_batch_is_found_on_a_later_page(client: Client) -> None:
    client.ask()
    journal = client.journal
    for number in range(5):  # other batches of the same account
        client.server.batches[f"other_{number}"] = {"id": f"other_{number}", "metadata": None}
    journal[0].update(state="intended", batch=None)
    client.place.write_text(json.dumps({"schema_version": 1, "batches": journal}))
    assert {c.text[:4] for c in client.ask().values()} == {"echo"}
    assert set(client.server.paid.values()) == {1}
