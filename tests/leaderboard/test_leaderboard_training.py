"""Logs of trainings: what is read, what is refused, and the curves that come of it."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from command_line import recode_eval
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run
from made_trainings import PAPER, config, lines, make_training, report, write_log

from recode_eval.errors import DataError, ExitCode, UsageError
from recode_eval.leaderboard.ablation import ablations
from recode_eval.leaderboard.dynamics import groups, panels, reward_words, smoothed
from recode_eval.leaderboard.model_facts import read_facts
from recode_eval.leaderboard.plots import Cross, Curve, Span, crosses, panel, ticks
from recode_eval.leaderboard.site import build
from recode_eval.leaderboard.training import FREE_SETTINGS, SERIES, read_trainings

GRPO = config("grpo")


def log(folder: Path, *more: Any, **changes: Any) -> Path:
    """Write a sound log with further lines, and train.json with changes."""
    write_log(folder, {**report(GRPO), **changes}, [*lines(GRPO, {}), *more])
    return folder


def test_the_log_of_a_training_is_read(tmp_path: Path) -> None:
    make_training(tmp_path / "grpo", GRPO, {0: 0.3, 40: 0.8})
    (training,), broken = read_trainings([tmp_path])
    assert broken == []
    assert (training.where, training.base, training.last_step) == ("grpo", "Tiny-1B", 40)
    assert training.parts == ["es_star", "format"]
    assert set(training.series) == {*SERIES, "rewards/format/mean", "rewards/es_star/mean"}
    assert [(c.step, c.task, c.metric) for c in training.checkpoints] == [
        (0, "arena-mini", "pass@1"), (40, "arena-mini", "pass@1"),
    ]  # fmt: skip
    for checkpoint in training.checkpoints:
        assert checkpoint.proof is not None
        estimate = checkpoint.proof.evidence.estimate("pass@1")
        assert estimate["value"] == pytest.approx(checkpoint.value)


def test_a_log_is_read_without_its_evaluations_and_its_torn_last_line(tmp_path: Path) -> None:
    """A run may be going on: the last line is half written."""
    folder = log(tmp_path / "run", {"step": 41, "evaluation": {"migration": {"es": 0.5}}})
    with (folder / "train.jsonl").open("a") as file:
        file.write('{"step": 42, "rew')
    (training,), broken = read_trainings([tmp_path])
    assert broken == []
    (checkpoint,) = training.checkpoints
    assert (checkpoint.metric, checkpoint.value, checkpoint.proof) == ("es", 0.5, None)


def test_null_stands_for_what_was_not_finite(tmp_path: Path) -> None:
    log(tmp_path / "run", {"step": 50, "kl": None, "reward": 1})
    (training,), _ = read_trainings([tmp_path])
    assert training.series["kl"][-1][0] == 40
    assert training.series["reward"][-1] == (50, 1.0)


HOSTILE_LINES = [
    '{"step": 1, "reward": NaN}', '{"step": 1, "kl": Infinity}', '{"step": 1, "kl": 1e999}',
    '{"step": 1, "kl": 1e300}', '{"step": 1, "kl": "0.1"}', '{"step": 1, "kl": true}',
    '{"step": 1, "rewards/format/mean": [1]}', '{"step": -1}', '{"step": 1.5}', '{"step": true}',
    '{"step": 1' + "0" * 30 + "}", '{"kl": 1}', "[]", "null", "{", "\x00", '"step"',
    '{"step": 1, "evaluation": []}', '{"step": 1, "evaluation": {"t": 1}}',
    '{"step": 1, "evaluation": {"t": {"pass@1": 2}}}',
    '{"step": 1, "evaluation": {"t": {"pass@1": -0.1}}}',
    '{"step": 1, "evaluation": {"t": {"pass@1": "1"}}}',
    '{"step": 1, "evaluation": {"' + "t" * 200 + '": {"pass@1": 1}}}',
    '{"step": 1, "x": "' + "x" * 300_000 + '"}', "[" * 100_000,
    json.dumps({"step": 1, **{f"rewards/r{i}/mean": 0 for i in range(100)}}),
    json.dumps({"step": 1, "evaluation": {f"t{i}": {"pass@1": 0} for i in range(100)}}),
]  # fmt: skip


@pytest.mark.parametrize("line", HOSTILE_LINES, ids=range(len(HOSTILE_LINES)))
def test_a_line_that_no_training_writes_is_named_and_the_log_left_out(
    tmp_path: Path, line: str
) -> None:
    """NaN, wrong types, sizes, depth: the other training is still shown."""
    log(tmp_path / "good")
    folder = log(tmp_path / "bad")
    with (folder / "train.jsonl").open("a") as file:
        file.write(line + "\n")
    (training,), (broken,) = read_trainings([tmp_path])
    assert (training.where, broken.where) == ("good", "bad")
    assert re.search(r"line 41\b", broken.reason), broken.reason
    assert len(broken.reason) < 300


def nested(depth: int) -> Any:
    return {"x": nested(depth - 1)} if depth else 1


@pytest.mark.parametrize(
    "changes",
    [
        {"schema_version": 2}, {"config": None}, {"config": {**GRPO, "seed": True}},
        {"config": {**GRPO, "algorithm": 3}}, {"config": {**GRPO, "rewards": []}},
        {"config": {**GRPO, "rewards": {"format": "1"}}}, {"model": "x"}, {"data_hash": 3},
        {"finished": 1}, {"budgets": []}, {"config": {**GRPO, "trainer_args": nested(50)}},
        {"config": {**GRPO, "learning_rate": math.nan}}, {"steps": 10**40},
        {"config": {**GRPO, "rewards": {f"r{i}": 1 for i in range(100)}}},
    ],
    ids=range(14),
)  # fmt: skip
def test_a_report_that_no_training_writes_is_named(tmp_path: Path, changes: Any) -> None:
    log(tmp_path / "bad", **changes)
    trainings, (broken,) = read_trainings([tmp_path])
    assert trainings == []
    assert broken.reason.startswith("train.json")


@pytest.mark.parametrize("name", ["train.json", "train.jsonl"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_not_opened(tmp_path: Path, name: str, kind: str) -> None:
    """A link may lead anywhere, and a pipe never ends."""
    folder = log(tmp_path / "bad")
    path = folder / name
    path.unlink()
    if kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    trainings, broken = read_trainings([], [tmp_path])
    assert trainings == []
    # A folder of that name makes the place no training at all.
    assert [item.reason for item in broken] == (
        [] if kind == "folder" else [f"{name} is not a plain file."]
    )


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    folder = log(tmp_path / "bad")
    with (folder / "train.jsonl").open("r+b") as file:
        file.truncate(300_000_000)
    _, (broken,) = read_trainings([tmp_path])
    assert "too large" in broken.reason


def test_evaluations_of_another_training_give_no_interval(tmp_path: Path) -> None:
    """The log says 0.9; a run beside it says something else and is not taken for it."""
    folder = make_training(tmp_path / "grpo", GRPO, {40: 0.5})
    text = (folder / "train.jsonl").read_text()
    changed = re.sub(r'"pass@1": [0-9.]+', '"pass@1": 0.9', text)
    (folder / "train.jsonl").write_text(changed)
    (training,), _ = read_trainings([tmp_path])
    assert training.checkpoints[0].proof is None


def test_a_broken_evaluation_is_named_and_its_point_stays(tmp_path: Path) -> None:
    folder = make_training(tmp_path / "grpo", GRPO, {40: 0.5})
    next(folder.rglob("scores.jsonl")).write_text("{}\n")
    (training,), (broken,) = read_trainings([tmp_path])
    assert "evaluations" in broken.where
    assert training.checkpoints[0].proof is None


def test_places_without_a_training(tmp_path: Path) -> None:
    assert read_trainings([], [tmp_path]) == ([], [])
    with pytest.raises(UsageError, match="not a folder"):
        read_trainings([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match="No training"):
        read_trainings([tmp_path])


def test_free_settings_are_those_of_the_trainer() -> None:
    """Written down twice, since nothing of the trainer is imported there."""
    from recode_train import checkpoints

    assert checkpoints.FREE_SETTINGS == FREE_SETTINGS


def test_seeds_are_one_arm_and_other_settings_another(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_training(tmp_path / f"grpo{seed}", config("grpo", seed=seed, output=f"o{seed}"))
    make_training(tmp_path / "lr", config("grpo", learning_rate=1e-6))
    make_training(tmp_path / "sft", config("sft"))
    trainings, _ = read_trainings([tmp_path])
    (group,) = groups(trainings)
    assert [(arm.label, len(arm.trainings)) for arm in group.arms] == [
        ("SFT", 1), ("GRPO: learning_rate 5e-05", 2), ("GRPO: learning_rate 1e-06", 1),
    ]  # fmt: skip
    titles = [item.title for item in panels(group)]
    assert titles == [
        "Reward: format", "Reward: es_star", "Reward: weighted sum",
        "Share of groups without variance", "Length of completions", "KL divergence from the base",
        "Entropy of the next token", "Loss of SFT",
    ]  # fmt: skip


def test_other_pairs_or_another_base_are_another_group(tmp_path: Path) -> None:
    log(tmp_path / "a")
    log(tmp_path / "b", data_hash="e" * 64)
    log(tmp_path / "c", model={"sha256": "6" * 64})
    log(tmp_path / "d", model={"sha256": "5" * 64, "path": "/elsewhere"})
    trainings, _ = read_trainings([tmp_path])
    assert sorted(sum(len(arm.trainings) for arm in g.arms) for g in groups(trainings)) == [1, 1, 2]


def test_rewards_are_compared_only_where_all_else_is_equal(tmp_path: Path) -> None:
    chances = {0: 0.3, 40: 0.9}
    make_training(tmp_path / "paper", GRPO, chances)
    make_training(tmp_path / "format", config("grpo", rewards={"format": 1.0}), {0: 0.3, 40: 0.2})
    other = config("grpo", rewards={"em": 1.0}, learning_rate=1.0)
    make_training(tmp_path / "other", other, chances)
    trainings, _ = read_trainings([tmp_path])
    (table,) = ablations(groups(trainings), {})
    assert [row.words for row in table.rows] == ["format + es_star", "format"]
    paper, only_format = table.rows
    assert paper.gain is not None
    assert paper.gain.verdict == "up"
    assert paper.gain.value == pytest.approx(paper.after["value"] - paper.before["value"])
    assert paper.against is None
    assert only_format.against is not None
    assert only_format.against.verdict == "down"


def test_rewards_in_words() -> None:
    assert reward_words({"overlong": 1.0, **PAPER, "tests": 2.0, "em": 0.0}) == [
        "format", "es_star", "2 tests", "overlong",
    ]  # fmt: skip


FINITE = st.floats(-1e12, 1e12)


@given(st.lists(st.tuples(st.integers(0, 10**9), FINITE), max_size=20))
def test_smoothing_stays_within_the_values(points: list[tuple[int, float]]) -> None:
    found = smoothed(points)
    assert [step for step, _ in found] == [float(step) for step, _ in points]
    if points:
        low, high = min(v for _, v in points), max(v for _, v in points)
        # Relative, and absolute for values too small for a relative error to be a number.
        slack = 1e-9 * max(abs(low), abs(high)) + 1e-300
        assert all(low - slack <= value <= high + slack for _, value in found)
        assert found[0][1] == pytest.approx(points[0][1])


@given(FINITE, st.floats(1e-6, 1e12))
def test_ticks_are_round_few_and_inside(low: float, width: float) -> None:
    high = low + width
    if high - low < 1e-9 * max(abs(low), 1e-3):
        return  # Closer than a float can tell.
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    slack = 1e-6 * (high - low)
    assert all(low - slack <= value <= high + slack for value in found)


SPANS = st.builds(Span, FINITE, st.none() | FINITE, st.none() | FINITE)
LINES = st.lists(st.tuples(st.floats(0, 1e9), FINITE), max_size=8)


@given(
    st.lists(
        st.builds(
            Curve, st.text(max_size=9), st.integers(0, 40), LINES, st.lists(LINES, max_size=2),
            st.lists(st.tuples(st.floats(0, 1e9), SPANS), max_size=3),
        ),
        max_size=4,
    ),
    st.text(max_size=20),
)  # fmt: skip
def test_any_curves_make_sound_svg(curves: list[Curve], title: str) -> None:
    """Well-formed, without scripts, styles and numbers that are none."""
    text = str(panel(curves, title, "x", 100))
    root = ET.fromstring(text)
    assert not re.search(
        r"\bstyle=|<script|\bnan\b|\binf\b", re.sub(r"<(title|desc).*?</\1>", "", text)
    )
    lines = [item for item in root.iter() if item.tag == "polyline"]
    assert len(lines) == sum(bool(c.points) + sum(map(bool, c.faint)) for c in curves)


@given(st.lists(st.tuples(SPANS, SPANS), min_size=1, max_size=5))
def test_any_crosses_make_sound_svg(pairs: list[tuple[Span, Span]]) -> None:
    points = [Cross(i, f"<{i}>", i, x, y) for i, (x, y) in enumerate(pairs)]
    root = ET.fromstring(str(crosses(points, "t", "x", ("gain", "kept"))))
    assert len([item for item in root.iter() if item.tag == "circle"]) == len(points)


@pytest.mark.parametrize("value", [0.0, 0.001, 0.5, 1.0])
def test_an_axis_of_shares_stays_between_0_and_100(value: float) -> None:
    """A share that never moves had an axis from -0.1 to 0.1 %."""
    text = panel([Curve("GRPO", 0, [(0.0, value), (5.0, value)])], "t", "x", 5, percent=True)
    found = [float(number) for number in re.findall(r">([\d.-]+) %</text>", text)]
    assert len(found) >= 2
    assert min(found) >= 0
    assert max(found) <= 100


def test_a_chart_says_in_words_what_it_shows() -> None:
    curve = Curve("GRPO", 0, [(1.0, 0.25), (40.0, 0.5)])
    assert "GRPO: 25.0 % at step 1, 50.0 % at step 40" in panel([curve], "t", "x", 40, percent=True)
    cross = Cross(1, "A, SFT", 0, Span(0.1, 0.05, 0.15), Span(-0.2))
    text = crosses([cross], "t", "x", ("gain", "kept"))
    assert "1, A, SFT: gain +10.0 points, interval +5.0 to +15.0" in text
    assert "kept -20.0 points, no interval" in text


def test_a_long_line_is_thinned() -> None:
    curve = Curve("GRPO", 0, [(float(i), float(i)) for i in range(10_000)])
    points = re.search(r'points="([^"]*)"', panel([curve], "t", "x", 10_000))
    assert points is not None
    assert 150 <= len(points[1].split()) <= 300


def test_the_folder_of_a_training_must_be_text(tmp_path: Path) -> None:
    path = tmp_path / "facts.yaml"
    path.write_text("models: [{match: a, training: 3}]")
    with pytest.raises(DataError, match="entry 1: `training` must be text"):
        read_facts([path])
    path.write_text("models: [{match: a-7B, training: arms/x}]")
    known = read_facts([path]).find("a-7B")
    assert (known.training, known.size_b) == (tmp_path / "arms" / "x", 7.0)


def test_the_command_names_what_it_leaves_out(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "some", 0.5, n=1)
    log(tmp_path / "logs" / "good")
    log(tmp_path / "logs" / "bad", {"step": "x"})
    result = recode_eval(
        "leaderboard", "build", tmp_path / "runs", "--training", tmp_path / "logs",
        "--out", tmp_path / "site",
    )  # fmt: skip
    assert result.returncode == ExitCode.DATA
    assert "left out: bad: train.jsonl, line 41" in result.stderr
    page = (tmp_path / "site" / "training.html").read_text()
    assert "good" in page
    assert "Traceback" not in result.stderr


def test_the_page_says_nothing_of_somebodys_machine(tmp_path: Path) -> None:
    """train.json has whole paths of the model and the output."""
    make_run(tmp_path / "runs", "some", 0.5, n=1)
    log(tmp_path / "runs" / "logs")
    build([tmp_path / "runs"], tmp_path / "site")
    for name in ("training.html", "data/training.json"):
        assert "somebody" not in (tmp_path / "site" / name).read_text()
