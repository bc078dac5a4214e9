"""Lifts: which runs are arms of each other, what is compared with what, and how it is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from stored_runs import store_run

from recode_eval.cli import run as command
from recode_eval.comparison.comparability import comparability_key, facts
from recode_eval.comparison.comparability import differences as field_differences
from recode_eval.comparison.lift import lifts
from recode_eval.comparison.lift_report import (
    arm_rows,
    cautions,
    headings,
    lift_markdown,
    shown_tags,
)
from recode_eval.conversations.settings import ConversationSettings
from recode_eval.documentation.arms import arm_of
from recode_eval.errors import UsageError
from recode_eval.run.results_file import read_run
from recode_eval.schemas.base import json_schema
from recode_eval.schemas.lift import LiftOutput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recode_eval.run.results_file import ResultsFile

RATES = {"none": 2, "note": 8, "signature": 5, "wrong-version": 2}
"""Of ten samples, how many are right in every problem but those of the first cluster."""


def stored(
    folder: Path, arm: str, *, model: str = "m", right: int | None = None, **fields: Any
) -> Path:
    """Store a run of an arm, as `--docs` does: the identity names the arm and its texts."""
    rate = RATES[arm] if right is None else right

    def answers(problem: int, sample: int) -> bool:
        return sample < (rate if problem % 5 else 10 - rate // 2)

    place = store_run(folder / model / arm, model, answers, problems=20, **fields)
    content = json.loads((place / "results.json").read_text())
    content["prompt"]["update_note"] = content["identity"]["update_note"] = arm == "note"
    if arm not in {"none", "note"}:
        docs = content["identity"]["docs"] = {"arm": arm, "hash": "ab" * 32}
        content["prompt"]["docs"] = {**docs, "problems": 20, "mean_tokens": 9, "max_tokens": 9}
    for number, problem in enumerate(content["problems"]):
        problem["measures"] = {"stale_api": 1 - rate / 10 if number % 3 else 0.5}
        problem["tags"]["update_type"] = "renamed" if number < 10 else "removed"
    content["metrics"]["stale_api"] = {**content["metrics"]["pass@1"], "value": 1 - rate / 10}
    (place / "results.json").write_text(json.dumps(content))
    return place


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ResultsFile]:
    folder = tmp_path_factory.mktemp("arms")
    return {arm: read_run(stored(folder, arm) / "results.json") for arm in RATES}


def test_every_arm_is_compared_with_both_references(runs: dict[str, ResultsFile]) -> None:
    [found] = lifts(list(runs.values()))
    assert [arm.name for arm in found.arms] == ["none", "note", "signature", "wrong-version"]
    assert [(x.arm, x.reference) for x in found.effects] == [
        ("note", "none"), ("signature", "none"), ("wrong-version", "none"),
        ("signature", "note"), ("wrong-version", "note"),
    ]  # fmt: skip
    for effect in found.effects:
        assert effect.primary.metric == "pass@1"
        mine, other = runs[effect.arm], runs[effect.reference]
        known = [
            (mine.scores[key].passed or 0) / 10 - (other.scores[key].passed or 0) / 10
            for key in other.scores
        ]
        assert effect.primary.estimate.mean == pytest.approx(sum(known) / len(known))
        assert effect.comparison.cautions == ()


def test_holm_counts_every_primary_comparison_and_no_other(runs: dict[str, ResultsFile]) -> None:
    [found] = lifts(list(runs.values()))
    p_values = sorted(x.primary.p_value for x in found.effects if x.primary.p_value is not None)
    smallest = min(x.primary.p_holm for x in found.effects if x.primary.p_holm is not None)
    assert len(p_values) == 5
    assert smallest == pytest.approx(min(1.0, 5 * p_values[0]))
    assert {str(x.primary.family) for x in found.effects} == {"primary"}
    assert {str(item.family) for x in found.effects for item in x.comparison.differences[1:]} == {
        "exploratory"
    }


def test_the_order_in_which_runs_are_named_changes_nothing(runs: dict[str, ResultsFile]) -> None:
    one, other = lifts(list(runs.values())), lifts(list(reversed(runs.values())))
    assert [(x.arm, x.reference, x.primary.estimate) for x in one[0].effects] == [
        (x.arm, x.reference, x.primary.estimate) for x in other[0].effects
    ]


def test_an_arm_with_fewer_problems_is_paired_on_those_of_both_sides(
    runs: dict[str, ResultsFile], tmp_path: Path
) -> None:
    """What an arm has no text for it leaves out: that is no caution, and no failure of the arm."""
    place = stored(tmp_path, "signature")
    content = json.loads((place / "results.json").read_text())
    kept = content["problems"][4:]
    content["problems"], content["counts"]["problems"] = kept, len(kept)
    content["task"]["skipped"] = [f"p{i}: no signature" for i in range(4)]
    (place / "results.json").write_text(json.dumps(content))
    part = read_run(place / "results.json")
    [found] = lifts([runs["none"], part])
    assert found.effects[0].primary.estimate.n == 16
    assert found.effects[0].comparison.cautions == ()
    assert arm_rows(found)[1][1] == "16 (4 left out)"


def test_the_second_question_and_the_groups(runs: dict[str, ResultsFile]) -> None:
    [found] = lifts([runs["none"], runs["note"]])
    [effect] = found.effects
    stale = effect.metric("stale_api")
    assert stale is not None
    assert stale.estimate.mean is not None
    assert stale.estimate.mean < 0
    groups = {
        group.value: group.difference for group in effect.groups if group.tag == "update_type"
    }
    assert {name: item.estimate.n for name, item in groups.items()} == {
        "renamed": 10,
        "removed": 10,
    }
    weighted = sum(item.estimate.mean * item.estimate.n for item in groups.values()) / 20  # type: ignore[operator]
    assert weighted == pytest.approx(effect.primary.estimate.mean)
    assert "update_type" in shown_tags(found, None)
    assert shown_tags(found, []) == []
    assert "stale API used" in headings(found)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda runs, _: [runs["signature"], runs["wrong-version"]], "no two arms"),
        (lambda runs, _: [runs["none"]], "no two arms"),
        (lambda runs, _: [runs["none"], runs["note"], runs["none"]], "there twice"),
        (
            lambda runs, folder: [
                runs["none"], read_run(stored(folder, "note", model="other") / "results.json")
            ],
            "no two arms",
        ),
        (
            lambda runs, folder: [
                runs["none"], read_run(stored(folder, "note", temperature=0.1) / "results.json")
            ],
            "no two arms",
        ),
    ],
)  # fmt: skip
def test_what_is_no_lift_is_refused(
    runs: dict[str, ResultsFile],
    tmp_path: Path,
    change: Callable[[dict[str, ResultsFile], Path], list[ResultsFile]],
    problem: str,
) -> None:
    with pytest.raises(UsageError, match=problem):
        lifts(change(runs, tmp_path))


def test_other_grading_is_a_caution(runs: dict[str, ResultsFile], tmp_path: Path) -> None:
    place = stored(tmp_path, "note")
    content = json.loads((place / "results.json").read_text())
    content["scoring"]["hash"] = "0" * 16
    (place / "results.json").write_text(json.dumps(content))
    [found] = lifts([runs["none"], read_run(place / "results.json")])
    assert any("grading" in text for text in found.effects[0].comparison.cautions)


def test_an_arm_is_a_condition_of_every_other_comparison(runs: dict[str, ResultsFile]) -> None:
    """Runs with other documentation must not share a board, nor be compared unseen."""
    assert [arm_of(run.results) for run in runs.values()] == list(RATES)
    for arm in ("signature", "note"):
        found = field_differences(facts(runs["none"]), facts(runs[arm]), ("", ""))
        [item] = [x for x in found if x.what in {"docs", "update_note"}]
        assert item.what == ("update_note" if arm == "note" else "docs")
    keys = [
        json.dumps(comparability_key(run.results, str), sort_keys=True) for run in runs.values()
    ]
    assert len(set(keys)) == len(RATES)
    assert "docs" not in json.loads(keys[0])


def test_the_command_prints_all_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs"
    for arm in ("none", "note"):
        for model in ("m", "k"):
            place = stored(tmp_path / "made", arm, model=model)
            target = out / model / f"{arm}-0123456789ab"
            target.parent.mkdir(parents=True, exist_ok=True)
            place.rename(target)
    assert command(["lift", str(out)]) == 0
    text = capsys.readouterr().out
    assert "note is" in text
    assert "against none" in text
    assert "Does it stop the old API?" in text
    alone = stored(tmp_path / "more", "signature", model="alone")
    assert command(["lift", str(out), str(alone)]) == 0
    assert "arm signature of alone on arena): no other arm" in capsys.readouterr().err
    assert command(["lift", str(out), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    Draft202012Validator(json_schema(LiftOutput, "lift")).validate(content)
    assert sorted(item["model"] for item in content["lifts"]) == ["k", "m"]
    assert command(["lift", str(out), "--markdown", "--by", "update_type"]) == 0
    assert "| `renamed` |" in capsys.readouterr().out
    assert command(["lift", str(out), "--by", "update_tipe"]) == 2
    assert "Did you mean update_type?" in capsys.readouterr().err
    assert command(["lift", str(out), "--metrics", "pas@1"]) == 2
    assert "Did you mean pass@1?" in capsys.readouterr().err


def test_hostile_names_stay_text(runs: dict[str, ResultsFile], tmp_path: Path) -> None:
    """An arm is named after a file of the user's, and a file may be called anything."""
    place = stored(tmp_path, "signature")
    content = json.loads((place / "results.json").read_text())
    hostile = "`<img src=x>` | [x](javascript:1)\x1b[2J\n# head"
    content["identity"]["docs"]["arm"] = content["prompt"]["docs"]["arm"] = hostile
    (place / "results.json").write_text(json.dumps(content))
    [found] = lifts([runs["none"], read_run(place / "results.json")])
    text = lift_markdown(found)
    assert "\x1b" not in text
    assert "\n# head" not in text
    assert all("<img" not in line or "`" in line for line in text.splitlines())


def test_a_caution_of_all_comparisons_is_told_once(
    runs: dict[str, ResultsFile], tmp_path: Path
) -> None:
    """Six comparisons told the same six times, and named metrics that nobody had asked for."""
    others = []
    for arm in ("note", "signature"):
        place = stored(tmp_path, arm)
        content = json.loads((place / "results.json").read_text())
        content["scoring"]["hash"] = "0" * 16
        (place / "results.json").write_text(json.dumps(content))
        others.append(read_run(place / "results.json"))
    [found] = lifts([runs["none"], *others], references=["none"])
    [text] = cautions(found)
    assert text.startswith("the limits or the rules of grading differ")
    [found] = lifts([runs["none"], *others])
    [text] = cautions(found)
    assert text.startswith("note against none, signature against none: the limits")
    [found] = lifts([runs["none"], runs["note"]], metrics=["pass@1", "new_api"])
    assert any("neither run has a value" in text for text in cautions(found))


def test_lifts_of_one_model_say_what_tells_them_apart(
    runs: dict[str, ResultsFile], tmp_path: Path
) -> None:
    """With turns and without, two lifts of a model had the same heading."""
    talks = []
    for arm in ("none", "note"):
        place = stored(tmp_path, arm)
        content = json.loads((place / "results.json").read_text())
        content["identity"]["conversation"] = ConversationSettings(3).identity("4f" * 32)
        (place / "results.json").write_text(json.dumps(content))
        talks.append(read_run(place / "results.json"))
    alone, turns = lifts([runs["none"], runs["note"], *talks])
    assert (alone.sampling, alone.conversation) == ("n = 10", "")
    assert turns.conversation == "up to 3 turns (visible tests 4f4f4f4f4f4f)"
    assert lift_markdown(alone).startswith("### `m` on `arena`, n = 10\n")
    assert lift_markdown(turns).startswith(
        "### `m` on `arena`, n = 10, `up to 3 turns (visible tests 4f4f4f4f4f4f)`\n"
    )


def test_a_difference_without_a_p_value_has_none_in_the_table(tmp_path: Path) -> None:
    """With one cluster there is no p-value, and the table said `0.0 p -`."""
    runs = []
    for arm in ("none", "note"):
        place = stored(tmp_path, arm) / "results.json"
        content = json.loads(place.read_text())
        for problem in content["problems"]:
            problem["cluster"] = "one"
        place.write_text(json.dumps(content))
        runs.append(read_run(place))
    (found,) = lifts(runs)
    assert found.effects[0].primary.p_holm is None
    assert " p" not in "".join(arm_rows(found)[1])
