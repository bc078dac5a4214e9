"""Whole runs with `--tools`: what a model may call and is told, and what is its own mistake."""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING, Any

import pytest
from arena_rows import REFERENCE, STALE
from hypothesis import given
from hypothesis import strategies as st
from talk_server import calls, fenced

from recode_eval.conversations.tools import MalformedError, parsed, schemas
from recode_eval.errors import ExitCode
from recode_eval.models.base import Completion, FinishReason, ModelInfo
from recode_eval.run import preflight, session
from recode_eval.sandbox.base import SandboxCrashError

if TYPE_CHECKING:
    from conftest import Talks

REAL = {"sandbox": "bubblewrap"}


def once(*wanted: tuple[str, Any], code: str = REFERENCE) -> Any:
    """A model that calls these tools in its first message, and then answers."""

    def model(body: dict[str, Any]) -> str | dict[str, Any]:
        asked = any(m.get("tool_calls") for m in body["messages"])
        return fenced(code) if asked else calls(*wanted)

    return model


def results_of(body: dict[str, Any]) -> list[str]:
    """What the tools gave, in order."""
    return [m["content"] for m in body["messages"] if m["role"] == "tool"]


def test_run_and_read_in_the_real_sandbox(talks: Talks) -> None:
    """The update is in force, a failure has its traceback, and a budget says its end."""
    wanted = [
        ("run", {"code": "import textwrap\nprint(textwrap.dedent('a', times=3))"}),
        ("run", {"code": "def g():\n    return [][1]\n\ng()\n"}),
        ("read", {"name": "textwrap.dedent"}),
        ("read", {"name": "no.such.thing"}),
        ("read", {"name": "../../../etc/passwd"}),
        ("read", {"name": "textwrap"}),
    ]
    server = talks.serve(once(*wanted))
    assert talks.run(server, "--tools", "run,read", "--limit", "1", **REAL) == ExitCode.OK
    first, second = server.requests
    names = [tool["function"]["name"] for tool in first["tools"]]
    assert names == ["run", "read"]
    printed, failed, read, missing, outside, module = results_of(second)
    assert "aaa" in printed
    assert 'File "program.py", line 2, in g\n    return [][1]' in failed
    assert "IndexError: list index out of range" in failed
    assert "dedent(text, times=1)" in read
    assert "(no docstring)" not in read, "an invented update is documented in its row"
    assert "It has: " in module
    assert "dedent" in module
    assert missing == "no.such.thing: there is no module no."
    assert outside.startswith("Error: name must be a dotted name")
    answers = [m for m in second["messages"] if m.get("tool_calls")]
    assert [m["tool_call_id"] for m in second["messages"] if m["role"] == "tool"] == [
        call["id"] for call in answers[0]["tool_calls"]
    ]
    assert talks.results["tools"] == {"calls": 6, "malformed": 1, "budget_ended": 0}
    (record,) = talks.lines("completions.jsonl")
    assert (record["tool_calls"], record["turns"], record["completion_tokens"]) == (6, 1, 6)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("run", "{", "the arguments are not JSON"),
        ("run", "[1]", "the arguments are not a JSON object"),
        ("run", {}, "run needs the argument code"),
        ("run", {"code": 7}, "code must be a text"),
        ("run", {"code": "a", "more": 1}, "run has no argument 'more': code"),
        ("run", {"code": "print(1)\0"}, "code holds a NUL character"),
        ("run", {"code": " "}, "code is empty"),
        ("run", json.dumps({"code": "#" * 100_001}), "more than 100000 characters"),
        ("rm", {"code": "a"}, "there is no tool 'rm': run, read"),
        ("", "", "there is no tool '': run, read"),
        ("read", {"name": "a", "first_line": True}, "first_line must be a whole number from 1"),
        ("read", {"name": "a", "first_line": 3, "last_line": 2}, "first_line is after last_line"),
        ("read", {"name": "/etc/passwd"}, "name must be a dotted name"),
        ("read", {"name": "a/../../b.py"}, "name must be a dotted name"),
        ("read", {"name": "a" * 301}, "name is longer than 300 characters"),
    ],
)
def test_a_malformed_call_is_the_models(
    talks: Talks, fake: Any, name: str, arguments: Any, said: str
) -> None:
    fake()
    server = talks.serve(once((name, arguments)))
    assert talks.run(server, "--tools", "run,read", "--limit", "1") == ExitCode.OK
    (told,) = results_of(server.requests[-1])
    assert told.startswith("Error: ")
    assert said in told
    assert talks.results["tools"]["malformed"] == 1
    assert talks.results["metrics"]["pass@1"]["value"] == 1.0


@given(st.text(), st.dictionaries(st.text(string.printable), st.integers() | st.text()))
def test_any_arguments_are_read_or_refused(text: str, content: dict[str, Any]) -> None:
    for tool in schemas(["run", "read", "search"], "python"):
        for arguments in (text, json.dumps(content)):
            try:
                found = parsed(arguments, tool)
            except MalformedError:
                continue
            assert set(found) <= set(tool.parameters["properties"])


def test_a_model_that_calls_for_ever_ends(talks: Talks, fake: Any) -> None:
    fake()
    endless = talks.serve(lambda _: calls(("run", {"code": "pass"}), ("run", {"code": "1"})))
    words = ["--tools", "run", "--tool-calls", "5", "--limit", "1"]
    assert talks.run(endless, *words) == ExitCode.OK
    assert ["tools" in body for body in endless.requests] == [True, True, True, False]
    told = results_of(endless.requests[-1])
    assert told[-1] == (
        "There are no more tools: all 5 calls are made. Give your answer now.\n\n"
        "There are no more tools: all 5 calls are made. Give your answer now."
    )
    assert talks.results["tools"]["budget_ended"] == 1
    assert talks.results["counts"]["no_code"] == 1


def test_the_budget_of_tokens_ends_the_tools(talks: Talks, fake: Any) -> None:
    fake()
    server = talks.serve(lambda _: calls(("run", {"code": "pass"})))
    words = ["--tools", "run", "--tool-tokens", "4", "--limit", "1"]
    assert talks.run(server, *words) == ExitCode.OK
    assert ["tools" in body for body in server.requests] == [True, True, False]
    assert "all 4 tokens are written" in results_of(server.requests[-1])[-1]


def test_neither_text_nor_calls_is_an_empty_answer(talks: Talks, fake: Any) -> None:
    fake()
    server = talks.serve(lambda _: {"content": None, "tool_calls": []})
    assert talks.run(server, "--tools", "run", "--turns", "2", "--limit", "1") == ExitCode.OK
    assert len(server.requests) == 2
    assert talks.results["counts"]["no_code"] == 1


def test_tools_within_turns(talks: Talks, fake: Any) -> None:
    fake()

    def model(body: dict[str, Any]) -> str | dict[str, Any]:
        last = body["messages"][-1]
        if last["role"] == "user":
            return calls(("run", {"code": "print(1)"}), text="Let me see.")
        return fenced(REFERENCE if len(results_of(body)) > 1 else STALE)

    server = talks.serve(model)
    assert talks.run(server, "--tools", "run", "--turns", "2", "--limit", "1") == ExitCode.OK
    kinds = [line["kind"] for line in talks.lines()]
    assert kinds == ["answer", "tool", "answer", "feedback", "answer", "tool", "answer"]
    assert [turn["completion_tokens"] for turn in talks.results["turns"]] == [6, 6]
    assert talks.results["metrics"]["turn2_pass@1"]["value"] == 1.0


def test_a_broken_tool_is_no_failure(talks: Talks, fake: Any) -> None:
    broken = {"now": True}

    def fail(program: Any) -> Exception | None:
        mine = "probe" in program.candidate
        return SandboxCrashError("the machine is on fire") if broken["now"] and mine else None

    fake(fail=fail)
    server = talks.serve(once(("run", {"code": "probe = 1"})))
    assert talks.run(server, "--tools", "run") == ExitCode.INCOMPLETE
    assert talks.results["counts"]["unscored"] == 4
    broken["now"] = False
    assert talks.run(server, "--tools", "run") == ExitCode.OK
    assert max(server.asked().values()) == 1


def test_search_looks_in_the_folder_and_its_content_is_identity(talks: Talks, fake: Any) -> None:
    fake()
    docs = talks.folder / "docs"
    docs.mkdir()
    (docs / "text.md").write_text("textwrap.dedent has a new argument `times`.\n\x1b[31mred")
    (docs / "other.md").write_text("Nothing of interest.")
    (docs / "link.md").symlink_to("/etc/passwd")
    server = talks.serve(once(("search", {"query": "times dedent"}), ("search", {"query": "zzz"})))
    words = ["--tools", "search", "--tool-docs", str(docs), "--limit", "1"]
    assert talks.run(server, *words) == ExitCode.OK
    found, nothing = results_of(server.requests[-1])
    assert found.startswith("[text.md]\ntextwrap.dedent has a new argument `times`.")
    assert "\\x1b[31mred" in found
    assert "root:" not in found
    assert nothing == "Nothing fits these words."
    (docs / "other.md").write_text("Something else.")
    assert talks.run(server, *words) == ExitCode.OK
    assert len(list(talks.folder.glob("runs/*/*/results.json"))) == 2


def test_documentation_that_changes_under_way_is_told(
    talks: Talks, fake: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder was hashed for the identity and read again for the search.

    So a run could search in other texts than those that its identity names.
    """
    fake()
    docs = talks.folder / "docs"
    docs.mkdir()
    (docs / "text.md").write_text("one word")
    create = session.create_run

    def then_changed(*given: Any) -> Any:
        run = create(*given)
        (docs / "text.md").write_text("another word")
        return run

    monkeypatch.setattr(preflight, "create_run", then_changed)
    server = talks.serve(once(("search", {"query": "word"})))
    words = ["--tools", "search", "--tool-docs", str(docs), "--limit", "1"]
    assert talks.run(server, *words) == ExitCode.USAGE
    assert "the documents changed while the run began" in capsys.readouterr().err
    assert server.requests == []


def test_a_prefill_and_its_stop_are_left_out_with_tools(talks: Talks, fake: Any) -> None:
    """A stop string that belongs to the prefill would end the answer before its first line."""
    fake()
    template = talks.folder / "own.jinja2"
    template.write_text(
        "{% block user %}{{ problem }}{% endblock %}{% block assistant %}```python{% endblock %}"
    )
    server = talks.serve(once(("run", {"code": "1"})))
    words = ["--tools", "run", "--limit", "1", "--prompt", str(template), "--stop", "```"]
    assert talks.run(server, *words) == ExitCode.OK
    assert all(body["messages"][-1]["role"] != "assistant" for body in server.requests)
    assert all("stop" not in body for body in server.requests)
    assert talks.results["metrics"]["pass@1"]["value"] == 1.0


def test_only_servers_have_tools() -> None:
    from recode_eval.conversations.settings import ConversationSettings
    from recode_eval.errors import UsageError

    class Local:
        info = ModelInfo("m", "transformers")

        def generate(self, *_: Any) -> Any:
            yield Completion("p", 0, "", FinishReason.STOP)

        def close(self) -> None:
            pass

    with pytest.raises(UsageError, match="transformers has no tool calls; --tools needs one of op"):
        ConversationSettings(tools=("run",)).check_model(Local())
    ConversationSettings(turns=2).check_model(Local())


def test_a_server_that_refuses_tools_ends_the_run(talks: Talks, fake: Any) -> None:
    """Every sample would be unscored, one by one, for a reason that is the server's alone."""
    from protocol_server import fail

    fake()
    server = talks.serve(lambda _: "")
    refuse = fail(400, '"auto" tool choice requires --enable-auto-tool-choice')
    server.always = refuse
    assert talks.run(server, "--tools", "run") != ExitCode.OK
    assert len(server.requests) < 12


def test_a_refused_call_is_none_of_the_budget(talks: Talks, fake: Any) -> None:
    """Of a message with many calls, those above the budget counted: 64 of at most 5."""
    fake()
    server = talks.serve(once(*[("run", {"code": "x = 1"})] * 1000))
    assert talks.run(server, "--tools", "run", "--tool-calls", "5", "--limit", "1") == ExitCode.OK
    assert talks.results["tools"] == {"calls": 5, "malformed": 0, "budget_ended": 1}
    assert {record["tool_calls"] for record in talks.lines("completions.jsonl")} == {5}
    results = results_of(server.requests[-1])
    assert len(results) == 64
    assert sum("There are no more tools" in text for text in results) >= 59
