"""Answers that a run recorded: which can be learnt from, in which form, and why the others not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from answered import BAD, GOOD, store
from migration_rows import write_pairs
from training_pairs import NEW, OLD, PREFILL, pair_set, training_row, turn

from recode_eval.errors import DataError, UsageError
from recode_eval.models.base import FinishReason
from recode_train.config import TrainConfig
from recode_train.data import PairSet, load_pairs
from recode_train.recorded import Keep, Recorded, keep_rule, read_recorded, to_learn, to_prefer

TESTS = Keep("tests", 1.0)


def rows_of(count: int) -> list[dict[str, Any]]:
    return [training_row(id=f"pair-{n}", apis=[f"numpy.f{n}"]) for n in range(count)]


def read(place: Path, pairs: PairSet, keep: Keep = TESTS, **more: Any) -> Recorded:
    prefills = {pair.id: PREFILL for pair in pairs.pairs}
    return read_recorded(str(place), pairs, prefills, keep, **more)


def test_each_answer_is_learnt_or_counted(tmp_path: Path) -> None:
    answers = [
        GOOD,
        BAD,
        GOOD,
        turn(NEW, "other thoughts"),
        turn(NEW, "and others"),
        (turn(NEW, "too")[:-9], FinishReason.LENGTH),
        "I give up.</think>",
    ]
    pairs = pair_set(tmp_path, *rows_of(2))
    folder = store(tmp_path / "runs", pairs, lambda _, i: answers[i], n=len(answers))
    found = read(folder, pairs)
    assert found.samples == 14
    assert found.tokens == 2 * sum(len(a if isinstance(a, str) else a[0]) for a in answers)
    used = to_learn(found, 2)
    assert [(a.pair_id, a.sample, a.text) for a in used.answers] == [
        (name, at, answers[at]) for name in ("pair-0", "pair-1") for at in (0, 3)
    ]
    assert sum(used.left_out.values()) + len(used.answers) == 14
    assert {name: used.left_out[name] for name in ("repeated", "cut off", "of another form")} == {
        "repeated": 2, "cut off": 2, "of another form": 2,
    }  # fmt: skip
    assert used.left_out["beyond completions_per_problem"] == 2
    assert used.left_out["failed"] == 2
    assert "4 answers to 2 pairs used; left out: " in str(used)
    assert read(folder / "completions.jsonl", pairs).answers == found.answers


def test_only_answers_to_these_pairs(tmp_path: Path) -> None:
    """A row may have changed since: the verdict is then that of another problem."""
    pairs = pair_set(tmp_path, *rows_of(3))
    folder = store(tmp_path / "runs", pairs, lambda *_: GOOD, n=1)
    changed = rows_of(2)
    changed[1]["update_info"] = "Something else."
    found = read(folder, pair_set(tmp_path, *changed))
    assert [a.pair_id for a in found.answers] == ["pair-0"]
    assert found.left_out == {"of no training pair": 1, "asked with another text": 1}


def test_a_turn_opened_in_another_way_still_continues_the_prompt(tmp_path: Path) -> None:
    """Another model may have been asked without a prefill (distillation)."""
    pairs = pair_set(tmp_path, *rows_of(1))
    own = [f"<think>{GOOD}", f"Well.\n<think>{GOOD}", f"```python\n{NEW}```"]
    folder = store(tmp_path / "runs", pairs, lambda _, i: own[i], n=3, prompt="plain")
    found = read(folder, pairs)
    assert [(a.sample, a.text, a.good) for a in found.answers] == [(0, GOOD, True), (1, GOOD, True)]
    assert found.left_out == {"of another form": 1}
    plain = read_recorded(str(folder), pairs, {"pair-0": ""}, TESTS)
    assert [a.text for a in plain.answers] == own


def test_an_answer_that_is_test_data_is_refused(tmp_path: Path) -> None:
    """The pairs are checked, and an answer could be a held-out program all the same."""
    held_out = load_pairs("migration", limit=1)
    tested = next(iter(recorded_codes(held_out)))
    pairs = pair_set(tmp_path, *rows_of(1))
    folder = store(tmp_path / "runs", pairs, lambda _, i: [turn(tested), GOOD][i], n=2)
    with pytest.raises(DataError, match=r"pair-0 equals the code of the test problem .+--skip-bad"):
        read(folder, pairs)
    found = read(folder, pairs, skip_copies=True)
    assert (len(found.answers), found.left_out) == (1, {"copy of test data": 1})


def recorded_codes(pairs: PairSet) -> Any:
    from recode_train.data import tested_codes

    return tested_codes(pairs)


def test_pairs_without_tests_have_a_similarity(tmp_path: Path) -> None:
    rows = [{"dependency": "x", "update_info": "n", "old_code": "z = 0", "new_code": NEW}]
    pairs = load_pairs(str(write_pairs(tmp_path / "text.jsonl", *rows)))
    close = turn(NEW.replace("text", "word"))
    folder = store(tmp_path / "runs", pairs, lambda _, i: [GOOD, close, BAD][i], n=3)
    task = pairs.task_object

    def rule(**settings: Any) -> Keep:
        return keep_rule(TrainConfig(algorithm="sft", model="m", **settings), task)

    assert rule() == Keep("em_star", 2.0)
    assert [a.good for a in read(folder, pairs, rule()).answers] == [True, False, False]
    lower = rule(keep_reward="es_star", keep_at_least=1.0)
    assert [a.good for a in read(folder, pairs, lower).answers] == [True, True, True]
    with pytest.raises(UsageError, match="needs pairs with tests"):
        rule(keep_reward="tests")
    tested = pair_set(tmp_path, *rows_of(1)).task_object
    assert keep_rule(TrainConfig(algorithm="sft", model="m"), tested) == TESTS
    with pytest.raises(UsageError, match="keep_at_least needs a similarity"):
        keep_rule(TrainConfig(algorithm="sft", model="m", keep_at_least=1), tested)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    pairs = pair_set(tmp_path, *rows_of(1))
    folder = store(tmp_path / "runs", pairs, lambda *_: GOOD, n=1)
    with pytest.raises(UsageError, match=r"It holds runs; name one of them: .*told"):
        read(tmp_path / "runs", pairs)
    with pytest.raises(UsageError, match="no graded run of recode-eval"):
        read(tmp_path, pairs)
    (folder / "scores.jsonl").write_text("")
    assert read(folder, pairs).left_out == {"not graded": 1}
    (folder / "completions.jsonl").write_text('{"problem_id": 1}\n')
    with pytest.raises(DataError, match="line 1 is damaged"):
        read(folder, pairs)


def test_suspicious_answers_are_not_learnt(tmp_path: Path) -> None:
    """A program that tampers with its tests may pass them; training on it teaches that."""
    pairs = pair_set(tmp_path, *rows_of(1))
    folder = store(tmp_path / "runs", pairs, lambda *_: GOOD, n=1)
    line = json.loads((folder / "scores.jsonl").read_text())
    line["flags"] = ["defines __eq__"]
    (folder / "scores.jsonl").write_text(json.dumps(line) + "\n")
    assert read(folder, pairs).left_out == {"suspicious": 1}


def test_a_verdict_of_another_text_does_not_count(tmp_path: Path) -> None:
    pairs = pair_set(tmp_path, *rows_of(1))
    folder = store(tmp_path / "runs", pairs, lambda *_: GOOD, n=1)
    line = json.loads((folder / "completions.jsonl").read_text())
    before = read(folder, pairs).content_hash
    line["text"] = turn(NEW, "edited")
    (folder / "completions.jsonl").write_text(json.dumps(line) + "\n")
    found = read(folder, pairs)
    assert found.left_out == {"not graded": 1}
    assert found.content_hash != before


def test_pairs_of_a_good_and_a_bad_answer(tmp_path: Path) -> None:
    answers = {
        "pair-0": [GOOD, BAD, turn(NEW, "b"), turn(OLD, "b"), turn(OLD, "c"), BAD],
        "pair-1": [GOOD, turn(NEW, "b"), GOOD, GOOD, GOOD, GOOD],
        "pair-2": [BAD] * 6,
    }
    pairs = pair_set(tmp_path, *rows_of(3))
    folder = store(tmp_path / "runs", pairs, lambda p, i: answers[p][i], n=6)
    used, chosen = to_prefer(read(folder, pairs), 5)
    texts = [(good.text, bad.text) for good, bad in chosen]
    zero = answers["pair-0"]
    # Three bad answers and two good ones: the first good one comes again.
    assert texts == [(zero[0], zero[1]), (zero[2], zero[3]), (zero[0], zero[4])]
    assert {a.pair_id for a in used.answers} == {"pair-0"}
    assert len(used.answers) == 5
    # Of each other pair one text is left, or two equal in verdict; the rest repeats them.
    assert used.left_out == {"repeated": 1 + 4 + 5, "without an answer to compare with": 3}
    assert len(to_prefer(read(folder, pairs), 2)[1]) == 2
    assert OLD not in {good.text for good, _ in chosen}
