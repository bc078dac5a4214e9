"""The study of ways to train: what it prints from results whose truth is known, and a miniature."""

from __future__ import annotations

import argparse
import json
import random
import re
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.study import packs, report, smollm2
from benchmarks.study.cpu import MINIATURE, main
from benchmarks.study.design import ARMS, BASE, Job, Sizes, compared_jobs, tuning_jobs
from benchmarks.study.jobs import Study, config_start
from recode_eval import cli, load_task
from recode_eval.errors import DataError
from recode_train.comparing.starts import over_starts

if TYPE_CHECKING:
    from pathlib import Path


def test_any_part_of_the_jobs_is_balanced():
    """Seeds are the outer loop: what is done when the hours end has every start and arm."""
    jobs = list(compared_jobs(Sizes()))
    assert len(jobs) == len(set(jobs)) == 5 + 5 * 3 * len(ARMS)
    first = [job for job in jobs if job.seed == 1]
    assert {(job.start, job.arm) for job in first} == {
        (start, arm.name) for start in range(1, 6) for arm in ARMS
    }
    assert all(job.tries for job in tuning_jobs(Sizes()))
    assert not any(job.tries for job in jobs)


def test_an_arm_after_another_makes_the_rest_of_the_updates():
    after = next(arm for arm in ARMS if arm.start)
    assert config_start(after, Sizes()) == 8
    assert config_start(ARMS[0], Sizes()) == 0


def write_result(folder: Path, job: Job, passed: list[int], **more: Any) -> None:
    test = {"n": 16, "passed": {f"p{i}": n for i, n in enumerate(passed)}, "copied": 0.25}
    part = {"n": 1, "passed": {"p": 1}, "mean": 1.0, "copied": 0.0}
    content = {
        "job": {"start": job.start, "arm": job.arm, "seed": job.seed, "rate": None},
        "final": {"test": test, "greedy": part, "untaught": part},
        "points": [{"updates": 0, "validation": 0.5}],
        "budgets": {"tokens_generated": 0, "tokens_trained": 10, "groups_sampled": 0,
                    "cpu_seconds": 3.0},
        "learning_rate": 1e-3, "kept": 7,
    }  # fmt: skip
    if job.arm != BASE:
        content["points"] = [{"updates": 4, "validation": 0.75, "tokens_generated": 0,
                              "tokens_trained": 10, "cpu_seconds": 2.0}]  # fmt: skip
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / f"{job.name}.json").write_text(json.dumps({**content, **more}))


def test_the_tables_of_results_that_are_known(tmp_path):
    rng = random.Random(1)
    for start in (1, 2, 3):
        base = [rng.randint(3, 5) for _ in range(20)]
        write_result(tmp_path, Job(start), base)
        for seed in (1, 2):
            for arm, gain in (("sft", 8), ("grpo", 8)):
                moved = [n + gain + rng.randint(-1, 1) for n in base]
                write_result(tmp_path, Job(start, arm, seed), moved)
    write_result(tmp_path, Job(1, "dapo", 1), [], stopped="The training diverged.")
    write_result(tmp_path, Job(0, "sft", 0, 1e-3), [16])  # a try, which is no result
    text = "\n".join(report.tables(tmp_path))
    assert "3 starts; trainings: grpo 6, sft 6. Ended early: start1-dapo-seed1." in text
    starts = text.split("### Start by start")[1]
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.count("|") > 4}
    [grpo] = [line for line in starts.splitlines() if line.startswith("| grpo |")][:1]
    assert re.fullmatch(r"\| grpo( \| \d+\.\d \(\d+\.\d-\d+\.\d\)){3} \|", grpo)
    assert "different" in lines["sft - base"]
    assert "different" in lines["grpo - base"]
    assert "not distinguishable" in lines["grpo - sft"]
    assert " +50." in lines["sft - base"] or " +49." in lines["sft - base"]
    found = report.contrast(report.read(tmp_path)[0], "sft", BASE, report.sampled(1))
    assert found is not None
    assert found.starts == 3
    assert found.value == pytest.approx(0.5, abs=0.03)


def test_starts_that_differ_widen_the_interval():
    """Intervals counted problems only, and a second run of the demonstration lay outside them."""
    keys = [f"p{i}" for i in range(40)]
    rng = random.Random(3)
    noise = {key: rng.uniform(-0.1, 0.1) for key in keys}
    alike = over_starts([{key: 0.3 + noise[key] for key in keys}] * 4)
    apart = over_starts(
        [{key: mean + noise[key] for key in keys} for mean in (0.1, 0.25, 0.35, 0.5)]
    )
    assert alike.value == pytest.approx(apart.value, abs=1e-9)
    assert alike.low is not None
    assert apart.low is not None
    assert alike.low > 0.2
    assert apart.low < 0.1
    assert (apart.starts_share or 0) > 0.9


def test_one_start_says_nothing_about_others():
    found = over_starts([{"a": 0.5, "b": 0.25, "c": 0.3}])
    assert found.starts_share is None
    assert found.low is not None


@pytest.mark.parametrize("starts", [[], [{}], [{"a": 1.0}, {"b": 1.0}]])
def test_starts_without_common_problems_are_refused(starts):
    with pytest.raises(ValueError, match="start"):
        over_starts(starts)


@pytest.mark.slow
def test_a_miniature_of_the_study_runs_and_goes_on(tmp_path, capsys, monkeypatch):
    """Everything once, with sizes that mean nothing; no hours at first, then all of it."""
    pytest.importorskip("trl", reason="training needs the extra train")
    words = [str(tmp_path / "study"), "--miniature", "--processes", "1"]
    assert main([*words, "--hours", "0"]) == 75
    assert "not whole" in capsys.readouterr().out
    assert main(words) == 0
    study = Study(tmp_path / "study", MINIATURE)
    done = [json.loads(file.read_text()) for file in study.results.glob("*.json")]
    assert len(done) == 1 + 2 + 1 + 2
    tried = [item for item in done if item["job"]["start"] == 0]
    assert not any("final" in item for item in tried), "a try looked at the test names"
    [after] = [i for i in done if i["job"]["arm"] == "sft-grpo" and i["job"]["start"] == 1]
    assert "stopped" in after or after["updates_before"] == 2
    capsys.readouterr()
    assert main([*words, "--hours", "0"]) == 0, "a whole study is not done again"
    assert "CPU s" not in capsys.readouterr().out
    report.main([str(tmp_path / "study")])
    assert "### What the arms reach" in capsys.readouterr().out
    monkeypatch.setattr(packs, "ARMS", {"sft": "SFT by hand"})
    monkeypatch.setattr(packs, "SEEDS", (1,))
    packs.main([str(tmp_path / "study"), str(tmp_path / "packs"), "--starts", "1"])
    assert capsys.readouterr().out.startswith("2 packs, ")
    site = tmp_path / "site"
    build = ["leaderboard", "build", str(tmp_path / "packs"), "--out", str(site), "--no-reported"]
    assert cli.run([*build, "--models", str(tmp_path / "packs" / "models.yaml")]) == 0
    assert "SFT by hand" in (site / "methods.html").read_text(encoding="utf-8")
    with pytest.raises(DataError, match="0 runs of start2-base"):
        packs.of_study(tmp_path / "study", 2)


def test_the_real_models_problems_are_spread_over_the_libraries(tmp_path):
    """The first problems of a task are those of two libraries."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"task_id": "HumanEval/{n}"}}\n' for n in range(7)))
    words = argparse.Namespace(tasks="migration", every=40, humaneval=rows, folder=tmp_path / "new")
    tasks, ids = smollm2.evaluated_tasks(words)
    assert tasks == ["migration", f"humaneval={tmp_path / 'new' / 'humaneval-40.jsonl'}"]
    assert (tmp_path / "new" / "humaneval-40.jsonl").read_text() == '{"task_id": "HumanEval/0"}\n'
    problems = {problem.id: problem.tags for problem in load_task("migration").problems}
    chosen = [problems[name] for name in ids if name in problems]
    assert len(chosen) == -(-len(problems) // 40)
    assert len({tags["dependency"] for tags in chosen}) > 10
    assert {tags["training_library"] for tags in chosen} == {"seen", "unseen"}
