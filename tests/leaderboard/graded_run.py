"""A run of real verdicts on rows of the schema of `arena`, for tests that grade it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from arena_rows import REFERENCE, STALE, arena_row, write_rows
from command_line import bare

if TYPE_CHECKING:
    from pathlib import Path


def graded_run(folder: Path) -> Path:
    """Return a run of right, stale and missing answers: three of each of six problems.

    Its rows are `rows.jsonl` in the folder.
    """
    rows = write_rows(folder / "rows.jsonl")
    answers = folder / "answers.jsonl"
    texts = [f"```python\n{REFERENCE}```", f"```python\n{STALE}```", "no code"]
    lines = [
        {"task_id": arena_row(i, i // 2)["prog_syn_id"], "completion": text}
        for i in range(6)
        for text in texts
    ]
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = bare("--model", f"replay:{answers}", "--tasks", "arena", "--data", f"arena={rows}",
                "--out", str(folder / "runs"), "--quiet")  # fmt: skip
    assert done.returncode == 0, done.stderr
    [results] = (folder / "runs").glob("*/*/results.json")
    return results.parent
