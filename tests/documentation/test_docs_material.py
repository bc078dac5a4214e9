"""What tasks have for each arm: no answer, no hidden test, the same choice every time."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import pytest
from arena_rows import write_rows

from recode_eval.documentation.arms import parse_arm
from recode_eval.documentation.docstrings import ApiFacts
from recode_eval.documentation.material import NOTHING, arms_of, gives_away, notes_of, of_task, put
from recode_eval.documentation.mixing import library_of
from recode_eval.documentation.shown import Shown
from recode_eval.errors import DataError
from recode_eval.scoring.leaks import leaked
from recode_eval.tasks.base import ApiDocs, OthersNote
from recode_eval.tasks.loading import LoadedTask, load_task
from recode_eval.tasks.release_docs import parent_of
from recode_eval.tasks.signatures import read_signatures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from recode_eval.documentation.docstrings import Key
    from recode_eval.tasks.base import Problem

BUNDLED = (
    "arena-mini", "arena-multi", "migration", "migration-validation", "migration-train",
    "migration-multi", "migration-js", "migration-js-train",
)  # fmt: skip
load = cache(load_task)


def answers(loaded: LoadedTask) -> list[str]:
    return [problem.solutions["reference"] for problem in loaded.problems]


def told(wanted: Iterable[Key], docstring: str = "It does something.") -> Mapping[Key, ApiFacts]:
    return {key: ApiFacts(f"{key[1].rpartition('.')[2]}(x)", docstring) for key in wanted}


def texts(name: str, arm: str, distractors: int = 4) -> dict[str, Shown | str]:
    loaded = load(name)
    everything = loaded.problems
    return of_task(loaded.task, parse_arm(arm), everything, everything, distractors, told)


def hidden_lines(problem: Problem) -> set[str]:
    """The lines of the tests that say what is right."""
    row = problem.payload
    tests = row.tests if hasattr(row, "tests") else row.unit_tests
    lines = {line.strip() for test in tests for line in test.code.splitlines()}
    return {line for line in lines if ("assert" in line or "expect" in line) and len(line) > 20}


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.parametrize("arm", ["signature", "changelog", "wrong-version", "mixed"])
def test_no_arm_of_a_bundled_task_gives_an_answer_away(name: str, arm: str) -> None:
    """What the note's own rules let through is the note's; signatures are facts of the API."""
    loaded = load(name)
    for key, shown in texts(name, arm).items():
        if isinstance(shown, str):
            continue
        problem = loaded.problem(key)
        own = loaded.task.documentation(problem, loaded.problems)
        allowed = [part for part in (*own["note"], *own.get(arm, ())) if isinstance(part, str)]
        signatures = [f"{part.lead}{part.signature}" for part in own.get(arm, ())
                      if isinstance(part, ApiDocs)]  # fmt: skip
        rest = shown.text
        for text in sorted((*allowed, *signatures), key=len, reverse=True):
            rest = rest.replace(text.strip(), "")
        assert not gives_away(problem, rest), key
        for line in hidden_lines(problem):
            assert line not in shown.text, key
        for line in problem.solutions["reference"].splitlines():
            if len(line.split()) > 4:
                assert line.strip() not in shown.text, key


def test_the_arms_of_each_kind_of_task() -> None:
    usual = ["none", "note", "signature", "changelog", "wrong-version", "mixed"]
    for name in BUNDLED:
        wanted = usual if "js" not in name else ["none", "note", "changelog", "mixed"]
        loaded = load(name)
        assert arms_of(loaded.task, loaded.problems) == wanted


def test_a_docstring_that_holds_the_answer_is_withheld() -> None:
    loaded = load("migration")
    [problem] = [one for one in loaded.problems if one.id == "numpy-trapz-energy"][:1] or [
        next(
            one for one in loaded.problems
            if isinstance(texts("migration", "signature")[one.id], Shown)
        )
    ]  # fmt: skip
    text = loaded.task.documentation(problem, loaded.problems)["signature"]
    keys = [(part.environment, part.path) for part in text if isinstance(part, ApiDocs)]
    answer = problem.solutions["reference"]
    shown = put(problem, text, told(keys, f"Example:\n\n{answer}"))
    assert isinstance(shown, Shown)
    assert shown.withheld == len(keys) > 0
    assert "Example" not in shown.text
    fine = put(problem, text, told(keys))
    assert isinstance(fine, Shown)
    assert "It does something." in fine.text


def test_another_problems_note_that_holds_the_answer_is_withheld() -> None:
    problem = load("migration").problems[0]
    note = OthersNote(problem.solutions["reference"])
    assert put(problem, ("own", note), {}) == Shown("own", (), 1)
    assert put(problem, (note,), {}) == NOTHING


def test_a_release_that_cannot_be_asked_leaves_a_problem_without_material() -> None:
    problem = load("migration").problems[0]
    part = ApiDocs("x.f", "x-1.0", "x.f: ")
    gone = {("x-1.0", "x.f"): ApiFacts(None, why="there are no wheels")}
    assert put(problem, ("own", part), gone) == "x.f in x-1.0: there are no wheels"
    absent = {("x-1.0", "x.f"): ApiFacts(None)}
    assert put(problem, (part,), absent) == NOTHING


def test_mixed_hides_the_right_note_among_others_of_other_clusters() -> None:
    loaded = load("migration")
    notes = notes_of(loaded.task, loaded.problems)
    by_id = {problem.id: problem for problem in loaded.problems}
    places: Counter[int] = Counter()
    for key, shown in texts("migration", "mixed").items():
        assert isinstance(shown, Shown)
        ids = [source.path for source in shown.sources]
        assert ids.count(key) == 1
        assert len(ids) == 5
        assert shown.text.split("\n\n---\n\n") == [notes[one] for one in ids]
        others = [by_id[one] for one in ids if one != key]
        assert all(one.cluster != by_id[key].cluster for one in others)
        same = [one for one in loaded.problems if library_of(one) == library_of(by_id[key])]
        choices = {notes[one.id] for one in same if one.cluster != by_id[key].cluster}
        from_library = sum(library_of(one) == library_of(by_id[key]) for one in others)
        assert from_library >= min(4, len(choices)) - shown.withheld
        places[ids.index(key)] += 1
    assert min(places[place] for place in range(5)) > 60  # of 614


def test_mixed_depends_on_the_problem_alone() -> None:
    loaded = load("arena-mini")
    few = loaded.problems[10:13]
    whole = texts("arena-mini", "mixed")
    part = of_task(loaded.task, parse_arm("mixed"), few, loaded.problems, 4, told)
    assert part == {problem.id: whole[problem.id] for problem in few}
    assert {len(one.sources) for one in texts("arena-mini", "mixed", 2).values()} == {3}


def test_the_changelog_names_each_change_of_the_release_once() -> None:
    loaded = load("migration")
    shown = texts("migration", "changelog")
    longest = max(shown.values(), key=lambda one: len(one.text))
    assert longest.text.count("\n\n- ") > 5
    for problem in loaded.problems:
        row, text = problem.payload, shown[problem.id].text
        assert f"- {row.update_info}" in text
        assert text.startswith(f"{row.dependency} {row.new_version}, what has changed since")
        entries = text.split("\n\n- ")[1:]
        assert len(set(entries)) == len(entries)


def test_signatures_say_what_is_gone_and_what_replaces_it() -> None:
    loaded = load("migration")
    known = read_signatures(loaded.task.spec.folder / "signatures.json")
    assert known["numpy-2.4.6"]["numpy.trapz"] is None
    assert known["numpy-2.4.6"]["numpy.trapezoid"] == "trapezoid(y, x=None, dx=1.0, axis=-1)"
    [problem, *_] = [one for one in load("migration-train").problems + loaded.problems
                     if one.payload.apis == ("numpy.trapz",)]  # fmt: skip
    row = problem.payload
    text = loaded.task.documentation(problem, loaded.problems)["signature"]
    assert (row.dependency, row.new_version) == ("numpy", "2.4.6")
    assert text[:2] == (
        f"numpy.trapz in numpy {row.old_version}: trapz(y, x=None, dx=1.0, axis=-1)",
        "numpy.trapz is not in numpy 2.4.6 any more.",
    )
    assert text[2] == ApiDocs(
        "numpy.trapezoid", "numpy-2.4.6", "numpy.trapezoid in numpy 2.4.6: ",
        "trapezoid(y, x=None, dx=1.0, axis=-1)",
    )  # fmt: skip
    [wrong] = loaded.task.documentation(problem, loaded.problems)["wrong-version"]
    assert isinstance(wrong, ApiDocs)
    assert (wrong.environment, wrong.lead) == (f"numpy-{row.old_version}", "numpy.trapz: ")


def test_every_signature_is_of_a_release_that_a_row_is_about() -> None:
    """A file of facts must not keep what no row asks for any more."""
    asked = {
        pair
        for name in BUNDLED[2:6]
        for problem in load(name).problems
        for pair in load(name).task.apis(problem)
    }
    known = read_signatures(load("migration").task.spec.folder / "signatures.json")
    kept = {(name, path) for name, apis in known.items() for path in apis}
    parents = {(name, parent_of(path)) for name, path in kept if known[name][path] is None}
    assert kept <= asked | parents | {(name, parent_of(path)) for name, path in parents}
    assert len(asked - kept) <= 10


@pytest.mark.parametrize("content", ["[]", '{"a": []}', '{"a": {"b": 1}}', "{", "\udcff"])
def test_a_damaged_file_of_signatures_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "signatures.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match="docs make"):
        read_signatures(file)


def test_a_lone_bracket_does_not_make_letters_into_tokens() -> None:
    """`DeepDiff(` at the end of a line was nine tokens, so every mention of it was a leak."""
    assert leaked("Call DeepDiff(a, b).", "x = 1\n", "x = DeepDiff(\n    a)\n") == ""


def test_rows_of_ones_own_ask_for_the_old_signature(tmp_path: Path) -> None:
    loaded = load_task("arena", write_rows(tmp_path / "rows.jsonl", 4))
    everything = loaded.problems
    shown = of_task(loaded.task, parse_arm("signature"), everything, everything, 4, told)
    for one in shown.values():
        assert isinstance(one, Shown)
        assert one.text == (
            "textwrap.dedent before: dedent(x)\n\n"
            "textwrap.dedent now: textwrap.dedent(text, times=1)\n\n"
            "`times` (default 1) repeats the text."
        )
