"""Replay of saved completions: every accepted form, and every way a file can be wrong."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import DataError, UsageError
from recode_eval.models import (
    Completion,
    FinishReason,
    Message,
    Prompt,
    Request,
    SamplingParameters,
    create_model,
)
from recode_eval.models.replay import ReplayModel

if TYPE_CHECKING:
    from pathlib import Path


def save(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def ask(model: Any, problem_id: str, samples: int = 1) -> list[Completion]:
    wanted = tuple(range(samples))
    request = Request(problem_id, Prompt((Message("user", "?"),)), wanted, wanted)
    return list(model.generate([request], SamplingParameters()))


def test_lines_of_a_problem_are_its_samples_in_order(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.jsonl",
        {"problem_id": "p", "completion": "one"},
        {"task_id": "q", "text": "other"},
        {"prog_syn_id": "p", "completion": "two"},
    )
    model = create_model(f"replay:{path}")
    assert [c.text for c in ask(model, "p", 2)] == ["one", "two"]
    assert [c.text for c in ask(model, "q")] == ["other"]


@pytest.mark.parametrize("key", ["completions", "generated_texts"])
def test_a_list_holds_all_samples(tmp_path: Path, key: str) -> None:
    path = save(tmp_path / "a.jsonl", {"task_id": 7, key: ["a", "b"]}, {"task_id": 7, key: ["c"]})
    assert [c.text for c in ask(ReplayModel(path), "7", 3)] == ["a", "b", "c"]


def test_a_given_index_wins_over_the_order(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.jsonl",
        {"problem_id": "p", "sample": 1, "completion": "one"},
        {"problem_id": "p", "sample": 0, "completion": "zero"},
    )
    assert [c.text for c in ask(ReplayModel(path), "p", 2)] == ["zero", "one"]


def test_a_solution_is_bare_code(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.jsonl",
        {"task_id": "HumanEval/0", "solution": "def f(): ..."},
        {"task_id": "HumanEval/1", "completion": "```python\n```"},
    )
    model = ReplayModel(path)
    assert ask(model, "HumanEval/0")[0].is_code
    assert not ask(model, "HumanEval/1")[0].is_code


def test_an_absent_sample_is_a_record_of_its_own_kind(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", {"problem_id": "p", "completion": "x"})
    found, absent = ask(ReplayModel(path), "p", 2)
    assert found.finish_reason is FinishReason.STOP
    assert (absent.finish_reason, absent.text) == (FinishReason.MISSING, "")


def test_counts_of_our_own_records_are_kept(tmp_path: Path) -> None:
    row = {
        "problem_id": "p",
        "sample": 0,
        "completion": "x",
        "finish_reason": "length",
        "prompt_tokens": 12,
        "completion_tokens": True,
        "seconds": 0.5,
    }
    (only,) = ask(ReplayModel(save(tmp_path / "a.jsonl", row)), "p")
    assert (only.finish_reason, only.prompt_tokens, only.seconds) == (FinishReason.LENGTH, 12, 0.5)
    assert only.completion_tokens is None


@pytest.mark.parametrize("seconds", ["1e400", "NaN", "-1", "9" * 400, "true", '"3"'])
def test_a_nonsense_duration_is_none(tmp_path: Path, seconds: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"problem_id": "p", "text": "x", "seconds": {seconds}}}')
    assert ask(ReplayModel(path), "p")[0].seconds is None


def test_a_record_says_what_its_text_continues(tmp_path: Path) -> None:
    """A foreign file's answers were graded as if they stood in the think block of our prefill."""
    path = save(
        tmp_path / "a.jsonl",
        {"problem_id": "p", "sample": 0, "text": "x", "prefill": "<think>", "is_code": True},
        {"problem_id": "q", "completion": "x", "prefill": None},
    )
    model = ReplayModel(path)
    assert (ask(model, "p")[0].prefill, ask(model, "p")[0].is_code) == ("<think>", True)
    assert (ask(model, "q")[0].prefill, ask(model, "q")[0].is_code) == ("", False)


def test_hostile_text_is_served_as_it_is(tmp_path: Path) -> None:
    """NUL bytes and lone surrogates are for the scorer to grade, not for the reader to die of."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"problem_id": "p", "completion": "a\\u0000\\ud800"}\r\n\n')
    assert ask(ReplayModel(path), "p")[0].text == "a\x00\ud800"


def test_an_altered_gzip_file_is_a_clear_error(tmp_path: Path) -> None:
    """A flipped bit amid the data is an error of zlib's own, which ended in a trace."""
    whole = gzip.compress(bytes(range(256)) * 50)
    for place in range(12, len(whole) - 8):
        path = tmp_path / "a.jsonl.gz"
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with pytest.raises(DataError, match="not a complete gzip file"):
            ReplayModel(path)


def test_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"problem_id": "p", "completion": "x"}\n'))
    assert ask(create_model(str(path)), "p")[0].text == "x"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="not a complete gzip file"):
        ReplayModel(path)


def test_identity_is_the_content_not_the_path(tmp_path: Path) -> None:
    row = {"problem_id": "p", "completion": "x"}
    first = ReplayModel(save(tmp_path / "a.jsonl", row)).info
    second = ReplayModel(save(tmp_path / "b.jsonl", row)).info
    changed = ReplayModel(save(tmp_path / "a.jsonl", {**row, "completion": "y"})).info
    assert first.identity == second.identity != changed.identity


GOOD = b'{"problem_id": "p", "completion": "x"}\n'


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"problem_id": "p"', "not JSON"),
        (b'{"problem_id": "p", "completion": "\xff"}', "not UTF-8"),
        (b"[1, 2]", "expected a JSON object, found a list"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"completion": "x"}', "no problem id"),
        (b'{"problem_id": true, "completion": "x"}', "no problem id"),
        (b'{"problem_id": "q"}', "no completion"),
        (b'{"problem_id": "q", "completion": 3}', "'completion' must be a string, not a int"),
        (b'{"problem_id": "q", "completions": ["a", null]}', "must be a list of strings"),
        (b'{"problem_id": "q", "completion": "x", "sample": -1}', "whole number from 0"),
        (b'{"problem_id": "q", "completion": "x", "sample": "0"}', "whole number from 0"),
        (b'{"problem_id": "q", "completions": ["x"], "sample": 0}', None),
        (b'{"problem_id": "q", "completions": ["x", "y"], "sample": 0}', "not with a list"),
        (b'{"problem_id": "p", "completion": "x", "sample": 0}', "already given"),
        (b'{"problem_id": "p", "completion": "x", "sample": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: bytes, complaint: str | None) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD + b"\n" + line + b"\n")
    if complaint is None:
        assert ask(ReplayModel(path), "q")[0].text == "x"
        return
    with pytest.raises(DataError, match="line 3: ") as caught:
        ReplayModel(path)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.jsonl"
    path.write_bytes(GOOD + raw)
    try:
        texts = [completion.text for completion in ask(ReplayModel(path), "p")]
    except DataError as error:
        texts = [] if "line" in str(error) else ["refused without a line number"]
    assert texts in ([], ["x"])


def test_the_wrong_file_is_not_scored_as_zero(tmp_path: Path) -> None:
    """Completions of another benchmark gave pass@1 = 0 without a word."""
    path = save(tmp_path / "a.jsonl", {"task_id": "HumanEval/0", "solution": "x"})
    with pytest.raises(DataError, match=r"of no problem of the task.*HumanEval/0.*arena-1"):
        create_model(f"replay:{path}", answers={"arena-1": {}})


@pytest.mark.parametrize("name", ["", "/none.jsonl"])
def test_a_path_that_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"folder|no completions file"):
        create_model(f"{tmp_path}{name}", backend="replay")


def test_a_file_without_completions(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n\n")
    with pytest.raises(DataError, match="holds no completions"):
        ReplayModel(path)
