"""Extraction against upstream's own generations and scores of one row (three models)."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recode_eval.scoring import pass_at_k
from recode_eval.scoring.extraction import extract

_CHECKOUT = Path(__file__).parents[2]
_DATA = Path(os.environ.get("RECODE_EVAL_SHARED_DATA") or _CHECKOUT.parent / "shared" / "data")
_ARENA = _DATA / "codeupdatearena"
_ROW = "[math.sin]:[modify-output-semantics]:[update-0]:[prog_syn-0]"

pytestmark = pytest.mark.skipif(
    not (_ARENA / "golden").is_dir(),
    reason=f"no CodeUpdateArena rows at {_ARENA}; set RECODE_EVAL_SHARED_DATA to their folder",
)


@pytest.fixture(scope="module")
def row() -> dict[str, Any]:
    with (_ARENA / "dev.jsonl").open() as lines:
        return next(r for r in map(json.loads, lines) if r["prog_syn_id"] == _ROW)


def passes(row: dict[str, Any], code: str, *, with_update: bool) -> bool:
    """Run the row's tests on `code`, one bare process each (the generations are known and tame)."""
    enforce = "math.sin = sin" if with_update else ""
    for test in ast.parse(row["unit_tests"]).body:
        assert isinstance(test, ast.FunctionDef)
        call = f"{ast.unparse(test)}\n{test.name}()"
        program = [row["imports"], row["update"]["implementation"], enforce, code, call]
        command = [sys.executable, "-I", "-c", "\n".join(program)]
        if subprocess.run(command, capture_output=True, timeout=60).returncode:
            return False
    return True


@pytest.mark.parametrize("model", ["prepend_gpt-4", "prepend_deepseek-7b", "ft-u_deepseek-7b"])
def test_extracted_code_scores_what_upstream_reports(row: dict[str, Any], model: str) -> None:
    folder = _ARENA / "golden" / model
    generations = json.loads((folder / "generated_texts.json").read_text())
    reported = json.loads((folder / "eval_result.json").read_text())
    solved = used_the_update = 0
    for text in generations:
        code = extract(text, entry_point="calculate_sine_values").code
        assert code is not None
        if passes(row, code, with_update=True):
            solved += 1
            used_the_update += not passes(row, code, with_update=False)
    for k in (1, 2, 5):
        for name, count in ((f"pass@{k}(new)", solved), (f"UPass@{k}", used_the_update)):
            estimate = pass_at_k(len(generations), count, k)
            assert estimate is not None
            assert 100 * estimate == pytest.approx(reported[name]), name
