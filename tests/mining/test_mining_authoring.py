"""`mine --author`: drafts of a scripted model, and what becomes of each."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from migration_rows import migration_row

from recode_eval.errors import DataError, InfrastructureError, StorageError, UsageError
from recode_eval.files import lock_folder
from recode_eval.mining.authoring import writing
from recode_eval.mining.authoring.drafts import DraftError, parse_draft, row_of, writable
from recode_eval.mining.authoring.judging import Verdict
from recode_eval.mining.authoring.texts import near_duplicate
from recode_eval.mining.authoring.writing import Authored, AuthorSettings, write_pairs, yields
from recode_eval.mining.candidates import Candidate, Evidence, Note
from recode_eval.models.base import (
    Completion,
    FinishReason,
    ModelInfo,
    Request,
    SamplingParameters,
)
from recode_eval.sandbox import open_router
from recode_eval.scoring.leaks import leaked
from recode_eval.tasks.migration import parse_row
from recode_eval.tasks.registry import create_task

OLD = """import numpy as np

def marked(stops, closed):
    hits = np.in1d(stops, closed)
    return [stop.upper() if hit else stop for stop, hit in zip(stops, hits)]
"""
NEW = OLD.replace("np.in1d", "np.isin")
TESTS = """def test_some():
    assert marked(["a", "b", "c"], ["b"]) == ["a", "B", "c"]

def test_none():
    assert marked(["a"], []) == ["a"]

def test_nothing():
    assert marked([], ["a"]) == []
"""


def candidate(number: int = 1, **changes: object) -> Candidate:
    fields: dict[str, object] = {
        "id": f"numpy-1.26.4-2.4.6-removed-{number:08d}",
        "library": "numpy",
        "old_version": "1.26.4",
        "new_version": "2.4.6",
        "old_uploaded": "2024-02-05",
        "new_uploaded": "2026-05-18",
        "license": "BSD-3-Clause",
        "api": "numpy.in1d",
        "kind": "removed",
        "note": Note("2.4.0", "Expired deprecations", "Removed in1d", "2.4.0-notes.rst"),
        "evidence": (Evidence("probe", "runs", "AttributeError", "numpy.in1d"),),
        "executed": True,
    }
    return Candidate(**{**fields, **changes})  # type: ignore[arg-type]


def answer(**parts: str) -> str:
    """A model's answer; a part is replaced, or left out where it is empty."""
    sections = {
        "Description": "marked(stops, closed) returns the stops, closed ones in capitals.",
        "Note": "in1d is gone; isin takes its place and keeps the shape.",
        "Old program": f"```python\n{OLD}```",
        "New program": f"```python\n{NEW}```",
        "Tests": f"```python\n{TESTS}```",
        "Patterns": "old: numpy.in1d\nnew: `numpy.isin`",
    }
    named = {key.replace("_", " ").capitalize(): value for key, value in parts.items()}
    return "\n".join(f"### {name}\n{text}" for name, text in {**sections, **named}.items() if text)


class Scripted:
    """A model that answers with texts by the request's name; an exception is raised."""

    def __init__(self, answers: Mapping[str, str | Exception]) -> None:
        self.answers = dict(answers)
        self.asked: list[Request] = []

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("scripted", "test", {"name": "scripted"})

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        for request in requests:
            self.asked.append(request)
            text = self.answers[request.problem_id]
            if isinstance(text, Exception):
                raise text
            yield Completion(request.problem_id, 0, text, FinishReason.STOP)

    def close(self) -> None:
        pass


def written(
    folder: Path, model: Scripted, candidates: Sequence[Candidate], **settings: int
) -> Authored:
    with open_router("landlock", workers=2) as sandbox:
        return write_pairs(candidates, model, sandbox, folder, AuthorSettings(**settings))


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def authored(tmp_path_factory: pytest.TempPathFactory) -> Authored:
    """One draft for each way to fail, and one that is kept."""
    candidates = [candidate(number) for number in range(1, 11)]
    spy = (
        "import gc\nimport numpy as np\n\n"
        "def spied(x):\n    gc.get_objects()\n    return np.{}(x, x)\n"
    )
    both = "def flagged(birds, rare):\n    return [bird + '!' for bird in birds if bird in rare]\n"
    barred = (
        "import numpy as np\n\n"
        "def barred(gates, shut):\n    count = int(np.{}(gates, shut).sum())\n"
        "    if count > 3:\n        return 'mostly'\n    return 'partly' if count else 'open'\n"
    )
    answers = [
        answer(),
        answer(tests=""),
        answer(old_program="```python\ndef (\n```"),
        answer(note="Write hits = np.isin(stops, closed) instead."),
        answer(description="Another one altogether, of the same program."),
        answer(
            old_program=spy.format("in1d"),
            new_program=spy.format("isin"),
            tests="def test_it():\n    assert spied([1]).all()\n",
            description="spied(x) compares x with itself.",
        ),
        answer(
            old_program=both,
            new_program=both,
            tests="def test_it():\n    assert flagged(['owl'], ['owl']) == ['owl!']\n",
            description="flagged(birds, rare) returns the rare birds with a mark.",
            patterns="",
        ),
        answer(
            old_program=barred.format("in1d"),
            new_program=barred.format("isin"),
            tests="def test_it():\n    assert barred([], []) == 'open'\n",
            description="barred(gates, shut) says in a word how many gates are shut.",
        ),
        answer(old_program="", new_program=""),
        "I would rather not.",
    ]
    names = [f"{one.id}-1" for one in candidates]
    model = Scripted(dict(zip(names, answers, strict=True)))
    folder = tmp_path_factory.mktemp("authored")
    with pytest.MonkeyPatch.context() as patched:
        # The bundled pairs about numpy.in1d grow, and a fourth one would be one too many.
        patched.setattr(writing, "_bundled", list)
        return written(folder, model, candidates)


def test_a_proven_pair_is_kept_with_its_provenance(authored: Authored) -> None:
    [row] = authored.pairs
    assert row["id"] == "numpy-1.26.4-2.4.6-removed-00000001-1"
    assert (row["changed_after"], row["changed_on"]) == ("2024-02-05", "2026-05-18")
    assert row["license"] == "BSD-3-Clause"
    assert "Expired deprecations" in str(row["provenance"])
    assert (row["old_use"], row["new_use"]) == (["numpy.in1d"], ["numpy.isin"])
    data = create_task("migration").load(str(authored.folder / "pairs.jsonl"))
    assert [problem.id for problem in data.problems] == [row["id"]]


def test_every_other_draft_is_stored_with_its_stage_and_reason(authored: Authored) -> None:
    rejected = {str(row["id"])[-3:-2]: row for row in lines(authored.folder / "rejected.jsonl")}
    stages = {number: row["stage"] for number, row in rejected.items()}
    assert stages == {
        "2": "answer",
        "3": "schema",
        "4": "leak",
        "5": "duplicate",
        "6": "suspicious",
        "7": "proof",
        "8": "mutants",
        "9": "answer",
        "0": "answer",
    }
    assert "Tests is missing" in str(rejected["2"]["reason"])
    assert "np . isin ( stops , closed )" in str(rejected["4"]["reason"])
    assert "must fail" in str(rejected["7"]["reason"])
    assert all(row["answer"] for row in rejected.values())


def test_the_yield_is_given_stage_by_stage(authored: Authored) -> None:
    counts = [(one.stage, one.given, one.passed) for one in authored.stages]
    assert counts == [
        ("answer", 10, 7),
        ("schema", 7, 6),
        ("leak", 6, 5),
        ("duplicate", 5, 4),
        ("suspicious", 4, 3),
        ("proof", 3, 2),
        ("mutants", 2, 1),
    ]
    first = authored.stages[0]
    assert first.low is not None
    assert first.high is not None
    assert 0.3 < first.low < 0.7 < first.high < 0.95


def test_a_broken_off_call_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Neither a stored answer nor a stored verdict is asked for again."""
    pair = [candidate(1), candidate(2)]
    names = [f"{one.id}-1" for one in pair]
    first = Scripted({names[0]: answer(), names[1]: InfrastructureError("the server is gone")})
    with pytest.raises(InfrastructureError):
        written(tmp_path, first, pair)
    second = Scripted({names[1]: answer()})
    done = written(tmp_path, second, pair)
    assert [request.problem_id for request in second.asked] == [names[1]]
    assert len(done.pairs) == 1
    with (tmp_path / "verdicts.jsonl").open("a") as file:
        file.write('{"id": "cut o')  # what a killed process leaves
    third = Scripted({})
    assert written(tmp_path, third, pair).pairs == done.pairs
    assert third.asked == []


def test_another_models_folder_is_refused(tmp_path: Path) -> None:
    written(tmp_path, Scripted({}), [])
    colder = AuthorSettings(sampling=SamplingParameters(temperature=0.1))
    with (
        open_router("landlock", workers=1) as sandbox,
        pytest.raises(DataError, match="another model, prompt or sampling"),
    ):
        write_pairs([], Scripted({}), sandbox, tmp_path, colder)


def test_the_prompt_shows_the_evidence_and_never_asks_about_what_still_works(
    tmp_path: Path,
) -> None:
    told = candidate(deprecation="use isin", new_api="numpy.isin", old_signature="(a, b)")
    model = Scripted({f"{told.id}-1": "", f"{told.id}-2": ""})
    deprecated = candidate(2, kind="newly-deprecated")
    done = written(tmp_path, model, [told, deprecated], attempts=2)
    assert not writable(deprecated)
    assert done.skipped == 1
    texts = ["\n".join(m.content for m in request.prompt.messages) for request in model.asked]
    assert len(texts) == 2
    for part in ("numpy.in1d", "2.4.6", "use isin", "(a, b)", "Removed in1d", "AttributeError"):
        assert part in texts[0]
    assert texts[0] != texts[1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Description is missing"),
        (answer(note=""), "Note is missing"),
        (answer() + "\n### Note\nagain", "Note occurs twice"),
        (answer(tests="```python\n```"), "Tests is missing"),
    ],
)
def test_what_is_no_draft_is_said(text: str, reason: str) -> None:
    with pytest.raises(DraftError, match=reason):
        parse_draft(text)


def test_thoughts_and_other_dressing_are_no_part_of_a_draft() -> None:
    text = "<think>\n### Note\nhm\n</think>\n" + answer().replace("### Note", "## **Note:**")
    assert parse_draft(text).note.startswith("in1d is gone")
    bare = answer(old_program=OLD, new_program=NEW)
    assert parse_draft(bare.replace("\n", "\r\n")).old_code == OLD


@given(st.text(max_size=300))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        draft = parse_draft(text)
    except DraftError:
        return
    assert draft.old_code.strip()


def test_a_wrong_pattern_is_dropped_and_a_missing_one_made() -> None:
    draft = parse_draft(answer(patterns="old: np.(\nnew: numpy.in1d"))
    row = row_of(candidate(), draft, 1, "test")
    assert row["old_use"] == []
    assert row["new_use"] == []
    assert row_of(candidate(), parse_draft(answer(patterns="")), 1, "test")["old_use"] == [
        "numpy.in1d"
    ]


def test_layout_does_not_hide_a_leak() -> None:
    new = "value = frame.map(abs, na_action='ignore', extra=1)\n"
    note = "Call frame.map( abs,\n na_action = 'ignore', extra=1 ) now."
    assert leaked(note, "x = 1\n", new)
    assert not leaked("Use frame.map with na_action.", "x = 1\n", new)
    assert not leaked(note, new, new)  # nothing of it is new


def test_a_fourth_pair_about_one_api_is_one_too_many() -> None:
    rows = [
        parse_row(
            migration_row(
                id=f"numpy-{word}",
                description=f"{word * 9}(a, b) tells which {word}s b holds.",
                new_code=f"import numpy as np\n\ndef {word * 9}(a, b):\n    return {number} + "
                f"sum(np.isin(a, b, assume_unique={number % 2 == 0}))\n",
                tests="def test_it():\n    assert numpy\n",
            )
        )
        for number, word in enumerate(("owl", "jay", "tern", "wren"))
    ]
    assert near_duplicate(rows[3], rows[:2]) == ""
    assert "3 pairs are about numpy.in1d" in near_duplicate(rows[3], rows[:3])


def test_an_empty_yield_has_no_interval() -> None:
    assert all(one.low is None for one in yields([Verdict("a", "undecided")]))


@pytest.mark.parametrize(
    "text",
    [
        "# note" + " " * 300 + "x\n",
        answer(patterns="old: a" + " " * 90_000 + "b"),
        "### Old program\n" + "``` x\n" * 15_000,
        answer() * 20_000,
    ],
)
def test_no_answer_takes_long_to_read(text: str) -> None:
    """Three hundred spaces in a heading took hours: five repetitions could share them."""
    started = time.process_time()
    with contextlib.suppress(DraftError):
        parse_draft(text)
    assert time.process_time() - started < 2


def test_a_section_of_a_books_length_is_no_draft() -> None:
    """Looking for a leak in a note of 50 000 characters took minutes."""
    with pytest.raises(DraftError, match="Note has more than 4000"):
        parse_draft(answer(note="f(a, b) + " * 5000))
    with pytest.raises(DraftError, match="New program has more than 20000"):
        parse_draft(answer(new_program="```\n" + "x = 1\n" * 5000 + "```"))
    started = time.process_time()
    assert leaked("f(a, b) + " * 400, "", "x = " + "f(a, b) + " * 2000 + "1\n")
    assert time.process_time() - started < 5


def test_a_verdict_counts_for_the_row_it_is_about(tmp_path: Path) -> None:
    """A lost line of answers.jsonl made another answer `kept` by the first one's verdict."""
    one = candidate(1)
    name = f"{one.id}-1"
    assert len(written(tmp_path, Scripted({name: answer()}), [one]).pairs) == 1
    (tmp_path / "answers.jsonl").write_text('{"id": "' + name)  # what a killed process leaves
    wrong = answer(tests="```\ndef test_some():\n    assert marked([], []) == 1\n```")
    done = written(tmp_path, Scripted({name: wrong}), [one])
    assert done.pairs == ()
    assert [row["id"] for row in lines(tmp_path / "answers.jsonl")] == [name]


def test_two_processes_never_write_to_one_folder(tmp_path: Path) -> None:
    """Both asked for every answer, and their lines ran into each other."""
    descriptor = lock_folder(tmp_path)
    with pytest.raises(UsageError, match="Another process"):
        written(tmp_path, Scripted({}), [])
    os.close(descriptor)
    written(tmp_path, Scripted({}), [])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("answers.jsonl", b'{"id": "a", "text": 3}\n'),
        ("answers.jsonl", b'{"text": "a"}\n'),
        ("verdicts.jsonl", b'{"id": "a", "other": 1}\n'),
        ("author.json", b"\xff"),
    ],
)
def test_a_folder_of_something_else_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    written(tmp_path, Scripted({}), [])
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="not a folder of"):
        written(tmp_path, Scripted({}), [])
    os.close(lock_folder(tmp_path))


def test_damaged_lines_and_a_path_that_is_a_file_end_without_a_traceback(tmp_path: Path) -> None:
    written(tmp_path / "a", Scripted({}), [])
    (tmp_path / "a" / "answers.jsonl").write_bytes(b"\xff\xfe\n" + b"[" * 100_000 + b"\n")
    assert written(tmp_path / "a", Scripted({}), []).pairs == ()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Cannot use the folder"):
        written(tmp_path / "file", Scripted({}), [])
