"""Whole runs with `--turns`: what the model is told, what is stored, and what is counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from arena_rows import REFERENCE, STALE
from talk_server import fenced, turn_of

from recode_eval import cli
from recode_eval.errors import ExitCode
from recode_eval.sandbox.base import SandboxCrashError

if TYPE_CHECKING:
    from conftest import Talks


def learns(body: dict[str, Any]) -> str:
    """A model that is right from its second turn on."""
    return fenced(REFERENCE if turn_of(body) > 1 else STALE)


def test_a_second_turn_mends_the_first(talks: Talks, fake: Any) -> None:
    fake()
    server = talks.serve(learns)
    assert talks.run(server, "--turns", "3") == ExitCode.OK
    results = talks.results
    values = {name: results["metrics"][name]["value"] for name in ("pass@1", "turn1_pass@1")}
    assert values == {"pass@1": 1.0, "turn1_pass@1": 0.0}
    assert results["metrics"]["turn2_pass@1"]["value"] == 1.0
    assert results["metrics"]["turn3_pass@1"]["value"] == 1.0
    figures = {"samples": 4, "prompt_tokens": 28, "completion_tokens": 12}
    assert results["turns"] == [{"turn": 1, **figures}, {"turn": 2, **figures}]
    assert results["usage"]["completion_tokens"] == 24
    stored = talks.lines("completions.jsonl")
    assert {record["turns"] for record in stored} == {2}
    assert {record["completion_tokens"] for record in stored} == {6}
    assert all("times=2" in record["text"] for record in stored)


def test_what_the_model_is_told(talks: Talks) -> None:
    """The traceback with its own lines and the visible test, and nothing of the hidden one."""
    server = talks.serve(learns)
    assert talks.run(server, "--turns", "2", "--limit", "1", sandbox="bubblewrap") == ExitCode.OK
    first, second = server.requests
    assert second["messages"][: len(first["messages"])] == first["messages"]
    mine, told = second["messages"][len(first["messages"]) :]
    assert mine == {"role": "assistant", "content": fenced(STALE)}
    text = told["content"]
    assert told["role"] == "user"
    assert "does not pass the test test_a: AssertionError" in text
    assert "assert f('a') == 'aa'" in text
    assert 'File "visible_test.py", line 2, in test_a' in text
    assert "test_empty" not in text
    assert "/" not in text.replace("File", "")
    assert first["seed"] != second["seed"]


def test_turn_one_is_what_a_run_of_one_turn_asks(talks: Talks, fake: Any) -> None:
    fake()
    alone, several = talks.serve(learns), talks.serve(learns)
    assert talks.run(alone) == ExitCode.OK
    words = ["--turns", "2", "--out", str(talks.folder / "several")]
    assert talks.run(several, *words) == ExitCode.OK
    firsts = [body for body in several.requests if turn_of(body) == 1]
    assert sorted(map(json.dumps, firsts)) == sorted(map(json.dumps, alone.requests))


def test_a_run_of_one_turn_has_no_journal(talks: Talks, fake: Any) -> None:
    fake()
    assert talks.run(talks.serve(learns)) == ExitCode.OK
    assert not (talks.place / "turns.jsonl").exists()
    assert "conversation" not in talks.results["identity"]
    assert "turns" not in talks.results


def test_a_model_that_never_learns_stops_at_the_last_turn(talks: Talks, fake: Any) -> None:
    fake()
    server = talks.serve(lambda _: "I cannot do that.")
    assert talks.run(server, "--turns", "3") == ExitCode.OK
    assert len(server.requests) == 12
    told = [m["content"] for m in server.requests[-1]["messages"] if m["role"] == "user"]
    assert "Your answer holds no program: no code block and not a program." in told[-1]
    assert talks.results["counts"]["no_code"] == 4


def test_thoughts_are_not_sent_back(talks: Talks, fake: Any) -> None:
    fake()
    server = talks.serve(lambda body: f"<think>secret {turn_of(body)}</think>" + fenced(STALE))
    assert talks.run(server, "--turns", "2") == ExitCode.OK
    assert "secret" not in json.dumps([body["messages"] for body in server.requests])
    assert all("secret" in line["text"] for line in talks.lines() if line["kind"] == "answer")


def test_a_sandbox_in_trouble_is_no_failure(talks: Talks, fake: Any) -> None:
    """The sample is unscored; the next call goes on with the answer that is there."""
    broken = {"now": True}

    def fail(program: Any) -> Exception | None:
        alone = len(program.tests) == 1 and "def f" in program.candidate
        return SandboxCrashError("the machine is on fire") if broken["now"] and alone else None

    fake(fail=fail)
    server = talks.serve(learns)
    assert talks.run(server, "--turns", "2") == ExitCode.INCOMPLETE
    assert talks.results["counts"]["unscored"] == 4
    assert "on fire" in json.dumps(talks.results["unscored"])
    assert len(server.requests) == 4
    broken["now"] = False
    assert talks.run(server, "--turns", "2") == ExitCode.OK
    assert talks.results["counts"]["unscored"] == 0
    assert len(server.requests) == 8
    assert max(server.asked().values()) == 1


def test_grading_again_keeps_the_turns(talks: Talks, fake: Any) -> None:
    fake()
    server = talks.serve(learns)
    assert talks.run(server, "--turns", "2") == ExitCode.OK
    before = talks.results
    asked = len(server.requests)
    words = ["score", str(talks.place), "--all", "--sandbox", "landlock"]
    assert cli.run(words) == ExitCode.OK
    assert talks.results["turns"] == before["turns"]
    assert talks.results["problems"] == before["problems"]
    assert talks.results["identity"] == before["identity"]
    assert len(server.requests) == asked


def test_a_pack_carries_the_journal(talks: Talks, fake: Any) -> None:
    fake()
    assert talks.run(talks.serve(learns), "--turns", "2") == ExitCode.OK
    pack, again = talks.folder / "run.tar.zst", talks.folder / "unpacked"
    assert cli.run(["pack", str(talks.place), "--out", str(pack)]) == ExitCode.OK
    assert cli.run(["pack", "--extract", str(pack), "--out", str(again)]) == ExitCode.OK
    (found,) = again.rglob("turns.jsonl")
    assert found.read_bytes() == (talks.place / "turns.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [
        ("baseline:reference", ["--turns", "2"], "has its answers already"),
        ("baseline:reference", ["--tools", "run"], "has its answers already"),
    ],
)
def test_models_without_conversations(
    talks: Talks, fake: Any, capsys: pytest.CaptureFixture[str], model: str, words: list[str],
    said: str,
) -> None:  # fmt: skip
    fake()
    told = ["--model", model, "--tasks", "arena-mini", "--out", str(talks.folder / "runs")]
    assert cli.run([*told, *words, "--sandbox", "landlock"]) == ExitCode.USAGE
    assert said in " ".join(capsys.readouterr().err.split())


def test_the_gate_draws_a_candidate_in_the_same_conversations(talks: Talks, fake: Any) -> None:
    """Turns are the baseline's; a run of single answers cannot be compared with it."""
    fake()
    server = talks.serve(learns, names=("tiny", "other"))
    assert talks.run(server, "--turns", "2", "--n", "2") == ExitCode.OK
    asked = len(server.requests)
    words = ["gate", "--baseline", str(talks.place), "--model", "other", "--base-url", server.url]
    words += ["--data", f"arena={talks.rows}", "--sandbox", "landlock", "--json"]
    words += ["--runs", str(talks.folder / "gate"), "--out", str(talks.folder / "verdict")]
    assert cli.run(words) in {0, 3}
    new = server.requests[asked:]
    assert {body["model"] for body in new} == {"other"}
    assert {turn_of(body) for body in new} == {1, 2}
    (candidate,) = (talks.folder / "gate").rglob("results.json")
    identity = json.loads(candidate.read_text())["identity"]
    assert identity["conversation"] == talks.results["identity"]["conversation"]


def test_a_higher_limit_goes_on_with_the_same_run(talks: Talks, fake: Any) -> None:
    """The identity held the visible tests of the selected problems alone.

    So another --limit was another run, which asked and paid again for what the first one had, and
    documentation arms that leave problems out were no arms of one lift.
    """
    fake()
    server = talks.serve(lambda _: fenced(REFERENCE))
    assert talks.run(server, "--turns", "2", "--limit", "1") == ExitCode.OK
    assert talks.run(server, "--turns", "2") == ExitCode.OK
    assert talks.results["counts"]["samples"] == len(server.requests) == 4
