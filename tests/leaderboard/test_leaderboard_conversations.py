"""Conversations on a problem's page, in a real browser: in order, and inert whatever they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chromium import Browser
from hostile import CORPUS
from made_runs import make_run

from recode_eval.conversations.journal import Answered, Call, ToolUsed, to_line
from recode_eval.conversations.settings import ConversationSettings
from recode_eval.leaderboard.answers import AnswerFile
from recode_eval.leaderboard.loading import load_run
from recode_eval.leaderboard.site import build

SETTINGS = ConversationSettings(2, ("run",))


def test_runs_with_conversations_have_a_board_of_their_own(tmp_path: Path) -> None:
    from recode_eval.comparison.comparability import mismatches

    alone = make_run(tmp_path, "A", 0.5)
    turns = make_run(tmp_path, "B", 0.5, conversation=SETTINGS)
    a, b = (load_run(folder, folder.name).stored for folder in (alone, turns))
    (found,) = mismatches(a, b)
    assert found.text.startswith("conversation differs: None and up to 2 turns (visible tests ")
    assert found.text.endswith("tools run (16 calls, 120 s, 16384 tokens)")
    entry = load_run(turns, "B")
    lines = [line["kind"] for line in entry.raw_samples(0)[0][0]["conversation"]]
    assert lines == ["answer", "tool", "answer", "feedback", "answer"]
    (turns / "turns.jsonl").write_text("{}\n")
    from recode_eval.errors import DataError

    with pytest.raises(DataError, match="line 1 is damaged"):
        load_run(turns, "B")


@pytest.mark.browser
def test_a_conversation_is_shown_turn_by_turn_and_inert(tmp_path: Path) -> None:
    texts = ["let me look", *CORPUS[:-1]]
    make_run(tmp_path / "runs", "Talker", 0.5, n=len(texts), texts=texts, conversation=SETTINGS)
    build([tmp_path / "runs"], tmp_path / "site")
    page = sorted((tmp_path / "site" / "problems").rglob("*.html"))[0]
    window = Browser()
    try:
        window.open(page)
        window.click("details.run > summary")
        window.click("details.run[open] details.sample > summary")
        window.wait_for("details.sample[open] details")
        window.run(
            "for (const d of document.querySelectorAll('details.sample, details.sample details'))"
            " { d.open = true; d.dispatchEvent(new Event('toggle')); }"
        )
        window.run(
            "for (const d of document.querySelectorAll('details.sample details'))"
            " { d.open = true; d.dispatchEvent(new Event('toggle')); }"
        )
        window.wait_for("ol.talk")
        first = "return [...document.querySelector('ol.talk').querySelectorAll('{}')].map"
        titles = window.run(first.format("h4") + "((e) => e.textContent)")
        assert titles == [
            "Turn 1: the model",
            "Turn 1: the model calls let me look",
            "Turn 1: let me look gives (ok)",
            "Turn 1: the model",
            "Turn 1: what the model was told",
            "Turn 2: the model",
        ]
        said = window.run(first.format("pre") + "((e) => e.textContent)")
        assert said[3:5] == ["first let me look", "told let me look"]
        talks = window.run("return document.querySelectorAll('ol.talk').length")
        assert talks == len(texts)
        assert window.run("return window.pwned") is None
        inner = "return document.querySelectorAll('ol.talk pre *, ol.talk h4 *').length"
        assert window.run(inner) == 0
        assert window.complaints() == []
    finally:
        window.close()


def test_turns_and_tools_stand_wherever_conditions_do(tmp_path: Path) -> None:
    """The pages told nothing of them: two boards differed in what no page said."""
    make_run(tmp_path / "runs", "Alone", 0.5, n=1)
    make_run(tmp_path / "runs", "Talker", 0.5, n=1, conversation=SETTINGS)
    make_run(tmp_path / "runs", "Talker", 0.5, n=1, conversation=SETTINGS, update_note=False)
    make_run(tmp_path / "runs", "Talker", 0.5, n=1)
    make_run(tmp_path / "runs", "Talker", 0.5, n=1, update_note=False)
    build([tmp_path / "runs"], tmp_path / "site", reported=False)
    site = tmp_path / "site"
    words = "up to 2 turns (visible tests "
    row = f"<dt>Turns and tools</dt><dd>{words}"
    assert (site / "index.html").read_text().count(row) == 2
    [task] = (site / "tasks").glob("*.html")
    assert task.read_text().count(row) == 2
    [talker] = (site / "models").glob("talker*.html")
    assert talker.read_text().count(f"<p>Turns and tools: {words}") == 2
    [alone] = (site / "models").glob("alone*.html")
    assert "Turns and tools" not in alone.read_text()
    lift = (site / "lift.html").read_text()
    assert lift.count('<span class="detail">n = 1</span></th>') == 2
    assert lift.count(f'<span class="detail">n = 1, {words}') == 2


def test_what_a_call_gave_stands_below_it() -> None:
    """All calls of an answer came first, then all results: which was whose had to be counted."""
    place: dict[str, Any] = {"problem_id": "p", "sample": 0, "prompt_hash": "h"}
    said: dict[str, Any] = {**place, "seed": 1, "finish_reason": "stop", "completion_tokens": 2}
    calls = tuple(Call(name, name, f"{{{name}}}") for name in ("run", "read", "search"))
    lines = [
        Answered(**said, step=0, turn=1, text="", calls=calls, offered=True),
        ToolUsed(**place, step=0, index=2, name="search", status="refused", text="third"),
        ToolUsed(**place, step=0, index=0, name="run", status="ok", text="first"),
        ToolUsed(**place, step=0, index=7, name="odd", status="ok", text="of no call"),
        Answered(**said, step=1, turn=1, text="done", calls=calls[:1], offered=True),
        ToolUsed(**place, step=1, index=0, name="run", status="ok", text="again"),
    ]
    record = {
        "sample": 0, "finish_reason": "stop", "text": "done",
        "conversation": [to_line(line) for line in lines],
    }  # fmt: skip
    file = AnswerFile("python")
    file.add("r", [(record, None)], 0)
    talk = [(title.removeprefix("Turn 1: "), file.texts[text])
            for title, text in file.runs["r"][0]["talk"]]  # fmt: skip
    assert talk == [
        ("the model calls run", "{run}"), ("run gives (ok)", "first"),
        ("the model calls read", "{read}"),
        ("the model calls search", "{search}"), ("search gives (refused)", "third"),
        ("odd gives (ok)", "of no call"),
        ("the model", "done"),
        ("the model calls run", "{run}"), ("run gives (ok)", "again"),
    ]  # fmt: skip


@pytest.mark.parametrize("lines", [None, 3, ["t"], {"t": "4"}, {"t": True}, {"t": -1}, {"t": 1e9}])
def test_only_lines_of_a_test_reach_a_page(lines: object) -> None:
    condition = {"passed": False, "tests": [["t", "failed", "x"]], "lines": lines, "cpu_s": 0.0}
    score = {
        "extraction": "answer", "extraction_detail": "", "code": "x = 1", "similarity": {},
        "conditions": {"with_update": condition},
    }  # fmt: skip
    sample = {"sample": 0, "finish_reason": "stop", "text": "x = 1"}
    file = AnswerFile("python")
    file.add("r", [(sample, score)], 0)
    assert "lines" not in file.conditions[0]
    condition["lines"] = {"t": 4, "other": "4"}
    file.add("s", [(sample, score)], 0)
    assert file.conditions[1]["lines"] == {"t": 4}
