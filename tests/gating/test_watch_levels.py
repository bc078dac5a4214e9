"""A training's verdicts share alpha, whatever is killed when; a promoted reference is resampled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_watch import Training, checkpoint, training

from recode_eval.gating.history import HISTORY, next_spending, read_history, reference_runs
from recode_eval.gating.rule import Verdict
from recode_eval.gating.spending import Spending
from recode_eval.gating.watcher import Reference

pytestmark = pytest.mark.slow
__all__ = ["training"]


def lines(training: Training) -> list[dict[str, Any]]:
    return read_history(training.out / HISTORY)


def test_each_line_says_what_it_has_spent(training: Training) -> None:
    for step, model in enumerate(("base", "better", "worse"), 1):
        checkpoint(training.place, step, model=model)
    training.go()
    first, *gated = lines(training)
    assert "spending" not in first
    for number, line in enumerate(gated, 1):
        found = line["spending"]
        assert found["number"] == number
        assert found["alpha"] == 0.05
        assert found["level"] == pytest.approx(0.05 * 10 / ((number + 9) * (number + 10)))
        assert found["spent"] == pytest.approx(0.05 * number / (number + 10))
        assert found["promotion_level"] is None
        report = training.out / "gate" / line["checkpoint"]
        verdict = json.loads((report / "verdict.json").read_text())
        assert verdict["spending"] == found
        assert f"Verdict {number} of this training" in (report / "summary.md").read_text()
    assert any("verdict 2 of the training, level 0.0038" in note for note in training.notes)
    # A regression at the training's level, not at the policy's.
    (check,) = verdict["checks"]
    assert verdict["verdict"] == "regress"
    assert check["p_drop_holm"] <= gated[-1]["spending"]["level"]


def test_a_restart_goes_on_counting(training: Training) -> None:
    for step, model in enumerate(("base", "better", "noisy"), 1):
        checkpoint(training.place, step, model=model)
        training.go()
    training.codes = [70] * 3  # the machine fails: no verdict, nothing spent
    checkpoint(training.place, 4, model="worse")
    watcher = training.watch()
    with watcher.opened():
        for _ in range(3):
            watcher.go_through()
    training.go()
    numbers = [line.get("spending", {}).get("number") for line in lines(training)]
    assert numbers == [None, 1, 2, None, 3]


def test_a_verdict_that_a_kill_left_is_taken_with_its_level(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is there and its line is not: the same place in the training, no second look."""
    checkpoint(training.place, 1)
    checkpoint(training.place, 2, model="better")
    training.go()
    file = training.out / HISTORY
    text = file.read_text().splitlines(keepends=True)
    file.write_text(text[0])
    calls = len(training.calls)
    training.go()
    assert len(training.calls) == calls
    again, before = json.loads(file.read_text().splitlines()[1]), json.loads(text[1])
    assert again["spending"] == before["spending"]


def test_the_full_level_for_each_checkpoint_must_be_asked_for(training: Training) -> None:
    checkpoint(training.place, 1)
    checkpoint(training.place, 2, model="worse")
    training.go(per_checkpoint=True)
    _, line = lines(training)
    assert (line["status"], line["spending"]) == ("regress", None)
    report = training.out / "gate" / line["checkpoint"]
    assert json.loads((report / "verdict.json").read_text())["spending"] is None
    # Its look counts, should the training's level be wanted after all.
    assert next_spending(lines(training), promotes=False) == Spending(2)


def test_a_promoted_checkpoint_is_sampled_again_with_a_new_seed(training: Training) -> None:
    """Its winning samples were selected: against them, equally good checkpoints look worse."""
    for step, model in enumerate(("base", "better", "better"), 1):
        checkpoint(training.place, step, model=model)
    training.go(Reference.BEST)
    first, second, third = lines(training)
    assert (second["status"], second["improved"]) == ("pass", True)
    assert second["promoted"] != second["runs"]
    assert third["reference"] == second["promoted"]
    seeds = [
        json.loads((Path(line) / "results.json").read_text())["sampling"]["seed"]
        for line in (*first["runs"], *second["runs"], *second["promoted"], *third["runs"])
    ]
    assert seeds == [0, 0, 1, 1]
    found = second["spending"]
    assert found["level"] == found["promotion_level"] == pytest.approx(0.05 / 11 / 2)
    assert "promoted" not in third


def test_a_promoted_checkpoint_that_is_gone_is_no_reference(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(training.place, 1)
    checkpoint(training.place, 2, model="better")
    call = training.call

    def fails_again(job: Any, out: Path, lock: int) -> int:
        return 2 if out.parent.name == "again" else call(job, out, lock)

    monkeypatch.setattr(training, "call", fails_again)
    training.go(Reference.BEST)
    first, second = lines(training)
    assert second["promoted"] == []
    assert reference_runs(lines(training), Reference.BEST) == first["runs"]
    assert any("the old reference stays" in note for note in training.notes)


def test_after_the_machine_failed_only_the_resampling_is_repeated(training: Training) -> None:
    checkpoint(training.place, 1)
    checkpoint(training.place, 2, model="better")
    call, codes = training.call, [69]

    def fails_once(job: Any, out: Path, lock: int) -> int:
        if out.parent.name == "again" and codes:
            return codes.pop()
        return call(job, out, lock)

    training.call = fails_once  # type: ignore[method-assign]
    training.go(Reference.BEST)
    assert len(lines(training)) == 1
    training.go(Reference.BEST)
    assert lines(training)[-1]["promoted"]
    assert len([job for job in training.calls if "gate" in job]) == 1


def test_histories_of_older_versions_are_read() -> None:
    old = [
        {"checkpoint": "a", "status": "reference", "runs": ["r"]},
        {"checkpoint": "b", "status": "pass", "improved": True, "runs": ["s"]},
        {"checkpoint": "c", "status": "invalid", "runs": []},
    ]
    assert reference_runs(old, Reference.BEST) == ["s"]
    assert reference_runs(old, Reference.FIRST) == ["r"]
    assert reference_runs(old, Reference.PREVIOUS) == ["s"]
    assert next_spending(old, promotes=True).number == 2
    assert str(Verdict.PASS) == "pass"
