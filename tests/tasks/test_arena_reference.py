"""The reference solutions of the real rows, graded through the command line in Docker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from development_rows import HEAVY


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("heavy", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_every_verdict_equals_the_recorded_one(
    heavy: bool, shared_data: Path, tmp_path: Path
) -> None:
    """Every test of every dev row, with and without the update, as upstream's order gives it.

    Rows whose verdicts cannot be compared burn minutes; they only run where `heavy` says so.
    """
    arena = shared_data / "codeupdatearena"
    expected = json.loads((arena / "dev.reference_results.json").read_text())
    rows = tmp_path / "rows.jsonl"
    with rows.open("w") as out:
        for line in (arena / "dev.jsonl").read_text().splitlines(keepends=True):
            if heavy or json.loads(line)["prog_syn_id"] not in HEAVY:
                out.write(line)
    if not heavy:
        expected = {key: value for key, value in expected.items() if key not in HEAVY}
    result = subprocess.run(
        [
            *(sys.executable, "-m", "recode_eval", "--model", "baseline:reference"),
            *("--tasks", "arena", "--data", f"arena={rows}"),
            # The recorded verdicts were made with this limit.
            *("--sandbox", "docker", "--timeout", "15"),
            *("--out", str(tmp_path / "runs"), "--json"),
        ],
        capture_output=True,
        text=True,
        timeout=1700,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    scores = [
        json.loads(line)
        for line in (Path(printed["folder"]) / "scores.jsonl").read_text().splitlines()
    ]
    assert {score["problem_id"] for score in scores} == set(expected)
    different = []
    for score in scores:
        recorded = expected[score["problem_id"]]
        for condition in ("with_update", "without_update"):
            tests = score["conditions"][condition]["tests"]
            assert [test[0] for test in tests] == recorded["tests"]
            ours = [test[1] == "passed" for test in tests]
            if ours != [verdict == "pass" for verdict in recorded[condition]]:
                different.append((score["problem_id"], condition, tests))
    assert [d for d in different if d[0] not in HEAVY] == []
    assert printed["metrics"]["pass_without_update"]["value"] == 0
    assert printed["metrics"]["pass@1"]["value"] >= 0.98
    assert printed["metrics"]["em"]["value"] == 1
