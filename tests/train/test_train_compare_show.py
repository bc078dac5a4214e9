"""What `recode-train compare` prints, from the content of a comparison."""

from __future__ import annotations

from typing import Any

import pytest

from recode_train.comparing.report import show

BUDGET = {
    "seed": 0, "learning_rate": 1e-5, "prompts": 400, "pairs": 100, "passes": 4.0,
    "completions_generated": 3200, "steps": 25, "tokens_generated": 1_234_567,
    "tokens_trained": 1_234_567, "seconds": 812.0, "cpu_seconds": 1433.0,
}  # fmt: skip


def content() -> dict[str, Any]:
    return {
        "model": "m", "matched": "updates: 25", "pairs_left_out": 0, "stopped": [],
        "learning_rates": [], "verdict": "grpo and sft cannot be told apart.",
        "starts": {"sft": "base", "grpo[red]": "sft"}, "values": [], "differences": [],
        "categories": [], "budgets": {"sft": [BUDGET], "grpo[red]": [BUDGET]},
    }  # fmt: skip


@pytest.mark.parametrize("columns", [80, 160])
def test_tables_have_no_borders_and_fit(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: its tables had borders, and wrapped every cell on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    show(content())
    lines = capsys.readouterr().out.splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("Matched by"))]
    assert table[0] == "Budgets"
    assert not any(border in line for line in table for border in "│┃┏└")
    assert max(len(line) for line in table if not line.startswith("Not shown")) <= columns
    assert ("Not shown for want of width: CPU s" in "\n".join(table)) == (columns == 80)
    assert any(line.startswith("grpo[red] after sft") for line in table)
    assert lines[-1] == "grpo and sft cannot be told apart."
