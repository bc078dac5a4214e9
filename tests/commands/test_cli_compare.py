"""`recode-eval compare` as people call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import failed, recode_eval
from stored_runs import store_run

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
    smallest = min(metrics, key=lambda item: item["p_value"])
    assert smallest["p_holm"] == pytest.approx(4 * smallest["p_value"])
    assert len(first["fixed"]) == 8
    assert first["cautions"] == []
    assert "temperature differs: 0.8 and 0.1" in second["cautions"]


def test_the_table_and_markdown(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["compare", *map(str, runs)]) == 0
    table = capsys.readouterr().out
    assert "b against a on arena" in table
    assert "caution: temperature differs" in table
    assert "+25.0 [" in table
    assert "8 problems fixed, 0 broken" in table
    assert cli.run(["compare", *map(str, runs), "--markdown", "--confidence", "0.9"]) == 0
    text = capsys.readouterr().out
    assert "### `b` against `a` on `arena`" in text
    assert "90 % intervals" in text
    rows = [line for line in text.splitlines() if line.startswith("| `pass@1`")]
    assert len(rows) == 2
    assert rows[0].count("|") == 9


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
