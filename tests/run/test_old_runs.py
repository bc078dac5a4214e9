"""Runs, packs, verdicts and sites that version 0.1.0 (commit da04b05) wrote still work.

`tests/data/da04b05` holds two packs of four-file runs (six problems of arena-mini), a verdict of
the gate, and what marks a site; all were written by that commit.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from recode_eval import (
    RescoreConfig,
    RunConfig,
    SandboxOptions,
    cli,
    compare,
    evaluate,
    rescore,
)
from recode_eval.gating.decision import decide
from recode_eval.gating.policy import load_policy
from recode_eval.run.archive import unpack
from recode_eval.run.results_file import load_runs
from recode_eval.run.store import COMPLETIONS, RESULTS, SCORES

OLD = Path(__file__).parents[1] / "data" / "da04b05"
LANDLOCK = SandboxOptions(tier="landlock")


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """Unpack both runs to where the commit had stored them."""
    places = {
        "baseline-stale": tmp_path / "runs/baseline-stale/arena-mini-61966f234dae",
        "replay-answers": tmp_path / "runs/replay-answers.jsonl/arena-mini-d7f8b0ac677e",
    }
    for name, place in places.items():
        place.parent.mkdir(parents=True)
        unpack(OLD / f"{name}.tar.zst", place)
    return places


def lines(folder: Path) -> dict[str, int]:
    return {name: (folder / name).read_bytes().count(b"\n") for name in (COMPLETIONS, SCORES)}


def test_an_old_run_resumes_without_generating_anything_again(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    """Its folder is found by the same identity. Other rules graded it, so it is graded anew."""
    before = lines(runs["baseline-stale"])
    told: list[str] = []
    [result] = evaluate(
        RunConfig(
            model="baseline:stale",
            tasks=["arena-mini"],
            prompt="recode",
            limit=6,
            k=[1],
            sandbox=LANDLOCK,
            out=tmp_path / "runs",
        ),
        progress=lambda event: told.append(event.message),
    )
    assert result.folder == runs["baseline-stale"]
    assert "Running the references of 6 problems once, to set the time limits." in told
    assert lines(runs["baseline-stale"]) == {COMPLETIONS: before[COMPLETIONS], SCORES: 12}
    assert result.value("pass@1") == 0


def test_an_old_run_is_scored_again_with_the_same_figures(runs: dict[str, Path]) -> None:
    folder = runs["replay-answers"]
    old = json.loads((folder / RESULTS).read_text())
    [again] = rescore(folder, RescoreConfig(everything=True, sandbox=LANDLOCK))
    values = [
        {name: item and item["value"] for name, item in content["metrics"].items()}
        for content in (again.content, old)
    ]
    assert values[0] == values[1]
    assert again.content["problems"] == old["problems"]


def test_old_packs_compare_and_gate_as_they_did() -> None:
    packs = [OLD / "replay-answers.tar.zst", OLD / "baseline-stale.tar.zst"]
    [found] = compare(*packs, metrics=["pass@1", "es_star"])
    assert [item.metric for item in found.differences] == ["pass@1", "es_star"]
    assert found.differences[0].baseline == pytest.approx(0.5)
    [old] = load_runs(packs[:1])
    # The same figures from another seed: a run is no candidate against itself.
    sampling = {**old.results.identity["sampling"], "seed": 1}
    identity = {**old.results.identity, "sampling": sampling}
    again = msgspec.structs.replace(old.results, identity=identity)
    decision = decide([old], [replace(old, results=again)], load_policy())
    stored = json.loads((OLD / "verdict.json").read_text())
    assert str(decision.verdict) == stored["verdict"]


def test_an_old_site_is_replaced_and_shows_old_runs_with_the_same_figures(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    shutil.copy(OLD / ".recode-eval-site", site)
    assert len(runs) == 2
    (site / "index.html").write_text("old")
    assert cli.run(["leaderboard", "build", str(tmp_path / "runs"), "--out", str(site)]) == 0
    assert "replay:answers.jsonl" in (site / "index.html").read_text()
    old = json.loads((OLD / "leaderboard.json").read_text())
    new = json.loads((site / "data" / "leaderboard.json").read_text())
    assert _figures(new) == _figures(old)


def _figures(content: object) -> list[tuple[str, float]]:
    """Return every number below a key `value`, in order."""
    found: list[tuple[str, float]] = []
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "value" and isinstance(value, int | float):
                found.append((key, value))
            found += _figures(value)
    elif isinstance(content, list):
        for item in content:
            found += _figures(item)
    return found


def test_old_runs_are_verified_and_exported(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pack = str(OLD / "replay-answers.tar.zst")
    check = ["leaderboard", "check", pack, "--share", "1", "--sandbox", "landlock", "--quiet"]
    assert cli.run(check) == 0
    assert "sound" in capsys.readouterr().out
    assert cli.run(["export", str(runs["replay-answers"]), "--format", "csv"]) == 0
    assert "pass@1" in capsys.readouterr().out
