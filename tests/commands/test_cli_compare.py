"""`recode-eval compare` as people call it."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import pytest
from command_line import failed, recode_eval
from stored_runs import edit_results, store_run

from recode_eval import cli
from recode_eval.errors import ExitCode


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("compare")
    return [
        store_run(out, "a", lambda p, s: s < 2, n=4, problems=12),
        store_run(out, "b", lambda p, s: s < 2 + p % 3, n=4, problems=12),
        store_run(out, "c", lambda p, s: s < p % 3, n=4, problems=12, temperature=0.1),
    ]


def test_several_runs_against_the_first(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["compare", *map(str, runs), "--metrics", "pass@1,es", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["comparisons"]
    assert first["baseline"]["model"] == second["baseline"]["model"] == "a"
    assert (first["candidate"]["model"], second["candidate"]["model"]) == ("b", "c")
    metrics = [*first["metrics"], *second["metrics"]]
    assert [item["metric"] for item in metrics] == ["pass@1", "es"] * 2
    assert metrics[0]["difference"] == pytest.approx(0.25)
    assert metrics[0]["minimum_detectable_difference"] > 0
    assert [item["family"] for item in metrics] == ["primary", "exploratory"] * 2
    smallest = min(metrics[::2], key=lambda item: item["p_value"])
    assert smallest["p_holm"] == pytest.approx(2 * smallest["p_value"])
    assert metrics[0]["sentence"] == (
        "b is 25.0 points better than a in pass@1 on arena (95 % CI 13.3 to 36.7; "
        "p = 0.003 (Holm: 0.006); 12 problems in 6 clusters, n = 4, paired, primary)."
    )
    assert metrics[0]["new_samples"]["estimand"] == "these problems, new samples"
    shares = metrics[0]["variance_shares"]
    assert sum(shares.values()) == pytest.approx(1)
    # 2 against 4 of 4 samples is no proof: Fisher's p is 0.43.
    assert (first["fixed"], first["better"], first["worse"]) == ([], 8, 0)
    assert first["cautions"] == []
    assert first["power"].startswith(
        "4 samples of 12 problems in 6 clusters find a true difference"
    )
    assert "temperature differs: 0.8 and 0.1" in second["cautions"]


def test_the_table_and_markdown(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["compare", *map(str, runs)]) == 0
    table = capsys.readouterr().out
    assert "b against a on arena" in table
    assert "caution: temperature differs" in table
    assert "+25.0 [" in table
    assert "n = 4 is too few to name single problems on arena (with these passes none" in table
    assert "0 problems fixed" not in table
    assert "in these samples 8 did better and 0 worse" in table
    assert "b is 25.0 points better than a in pass@1 on arena (95 % CI " in table
    assert "pass@1 on arena +25.0: problems like these" in table
    assert "points in pass@1 on arena with 80 % power" in table
    assert "problems like these [+" in table
    assert "these problems, new samples [+" in table
    assert "% sampling, " in table
    assert (
        "b is not shown to differ from a in UPass@1 on arena: difference 0.0 points (95 % CI"
        in table
    )
    assert cli.run(["compare", *map(str, runs), "--markdown", "--confidence", "0.9"]) == 0
    text = capsys.readouterr().out
    assert "### `b` against `a` on `arena`" in text
    assert "90 % intervals" in text
    rows = [line for line in text.splitlines() if line.startswith("| `pass@1` (primary)")]
    assert len(rows) == 2
    assert "- `b` is 25.0 points better than `a` in pass@1 on `arena` (90 % CI " in text
    assert "single problems on `arena` (" in text
    assert "points in pass@1 on `arena` with 80 % power" in text
    assert rows[0].count("|") == 9


def compared(capsys: pytest.CaptureFixture[str], *folders: Path) -> dict:
    assert cli.run(["compare", *map(str, folders), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["comparisons"]
    return found


def test_no_power_is_claimed_that_the_runs_do_not_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It said "no number of samples finds less than 0.0"; with n = 1 it said nothing."""
    same = store_run(tmp_path, "same", lambda p, s: p % 2 == 0, n=4)
    power = compared(capsys, same, same)["power"]
    assert power == (
        "no power in pass@1 on arena: the samples of each problem agree and all problems changed "
        "alike; 40 problems in 20 clusters without a change exclude a true difference of 16.8 "
        "points or more (5 %, two-sided)"
    )
    noisy = store_run(tmp_path, "noisy", lambda p, s: (p + s) % 2 == 0, n=4)
    power = compared(capsys, noisy, noisy)["power"]
    assert power.endswith("points in pass@1 on arena with 80 % power (5 %, two-sided)")
    assert "0.0" not in power
    single = store_run(tmp_path, "single", lambda p, s: p % 2 == 0, n=1)
    power = compared(capsys, single, single)["power"]
    assert power == "n = 1 on arena: no estimate of sampling noise and no power; use --n 10"
    assert "n = 4 and 1 on arena: no estimate" in compared(capsys, same, single)["power"]


def test_more_samples_of_a_deterministic_baseline_are_not_advised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    single = store_run(tmp_path, "single", lambda p, s: p % 2 == 0, n=1)
    edit_results(single, lambda results: results["model"].update(backend="baseline"))
    power = compared(capsys, single, single)["power"]
    assert power == "n = 1 on arena: no estimate of sampling noise and no power"


def test_a_task_of_one_side_only_is_named(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was dropped without a word."""
    for side, own in (("one", ["left", "le\x1bft2"]), ("two", ["right"])):
        for name in ("arena", *own):
            folder = tmp_path / side / name.encode("unicode_escape").decode()
            shutil.copytree(runs[0], folder)
            if name != "arena":
                edit_results(folder, functools.partial(_rename, name))
    found = compared(capsys, tmp_path / "one", tmp_path / "two")
    assert sorted(found["cautions"]) == [
        "only the baseline has the tasks le\x1bft2, left: not compared",
        "only the candidate has the task right: not compared",
    ]
    assert cli.run(["compare", str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    shown = capsys.readouterr().out
    assert "caution: only the candidate has the task right" in shown
    assert "\x1bft2" not in shown


def _rename(task: str, results: dict) -> None:
    results["task"]["name"] = task


def test_a_folder_above_runs_and_a_file_will_do(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", str(runs[0].parent), str(runs[1] / "results.json"), "--json"]
    assert cli.run(words) == 0
    assert len(json.loads(capsys.readouterr().out)["comparisons"]) == 1


@pytest.mark.slow
def test_what_cannot_be_paired(runs: list[Path], tmp_path: Path) -> None:
    a = str(runs[0])
    failed(recode_eval("compare", a), ExitCode.USAGE, "Two runs are needed")
    failed(
        recode_eval("compare", a, a, "--metrics", "pass@7"), ExitCode.USAGE, "Did you mean pass@5?"
    )
    other = store_run(
        tmp_path, "d", lambda p, s: True, n=4, problems=12,
        change_rows=lambda text: text.replace("Somebody", "Someone"),
    )  # fmt: skip
    failed(recode_eval("compare", a, str(other)), ExitCode.DATA, "different data")
    (tmp_path / "empty").mkdir()
    failed(recode_eval("compare", a, str(tmp_path / "empty")), ExitCode.DATA, "has a results.json")
    failed(recode_eval("compare", a, a, "--confidence", "1"), ExitCode.USAGE, "--confidence")
