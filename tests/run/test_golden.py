"""Upstream's own generations and scores, replayed through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = ("prepend_gpt-4", "prepend_deepseek-7b", "ft-u_deepseek-7b")


@pytest.mark.docker
@pytest.mark.parametrize("name", FOLDERS)
def test_extraction_and_scores_equal_upstreams(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    """`eval_result.json` is what CodeUpdateArena's code computed from the same five generations.

    Its values for k greater than n are left out: it reports 100 there, we report none.
    """
    arena = shared_data / "codeupdatearena"
    expected = json.loads((arena / "golden" / name / "eval_result.json").read_text())
    texts = json.loads((arena / "golden" / name / "generated_texts.json").read_text())
    saved = tmp_path / "saved.jsonl"
    identifier = expected["prog_syn_id"]
    saved.write_text(json.dumps({"task_id": identifier, "generated_texts": texts}) + "\n")
    result = subprocess.run(
        [
            *(sys.executable, "-m", "recode_eval", "--model", f"replay:{saved}"),
            *("--tasks", "arena", "--data", f"arena={arena / 'dev.jsonl'}"),
            *("--problems", identifier, "--prompt", "upstream", "--k", "1,2,5,10"),
            *("--sandbox", "docker", "--out", str(tmp_path / "runs"), "--json"),
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["counts"]["scored"] == len(texts) == 5
    for k in (1, 2, 5):
        for ours, theirs in (("pass", f"pass@{k}(new)"), ("upass", f"UPass@{k}")):
            value = printed["metrics"][f"{ours}@{k}"]["value"]
            assert 100 * value == pytest.approx(expected[theirs])
    without = printed["metrics"]["pass_without_update"]["value"]
    assert 100 * without == pytest.approx(expected["pass@1(old)"])
    assert printed["metrics"]["pass@10"] is None
