"""The gain over several starts, read from the runs of their comparisons."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from recode_train.demo import spread


def test_gains_count_the_variance_between_starts(tmp_path, monkeypatch):
    """The table's intervals counted problems only, and a repetition lay outside of them."""
    gain = {"sft": (8, 8, 8), "grpo": (0, 8, 16)}

    def runs(folder):
        name, start = folder.name, int(folder.parts[-4].removeprefix("start"))
        arm = name.partition("-")[0]
        if arm == "dapo" and start == 2:
            return []
        more = gain.get(arm, (0, 0, 0))[start]
        problems = [SimpleNamespace(id=f"p{i}", passed=40 + i % 5 + more, n=100) for i in range(30)]
        return [SimpleNamespace(results=SimpleNamespace(problems=problems))]

    monkeypatch.setattr(spread, "stored_runs", runs)
    folders = [tmp_path / f"start{number}" for number in range(3)]
    found = spread.gains(folders, (1, 2))
    assert list(found) == ["sft", "grpo"], "an arm without a result from one start says nothing"
    assert found["sft"].value == pytest.approx(0.08)
    assert found["grpo"].value == pytest.approx(0.08)
    assert found["grpo"].means == pytest.approx((0.0, 0.08, 0.16))
    assert found["grpo"].low is not None
    assert found["grpo"].low < 0 < found["grpo"].value
    text = "\n".join(spread.lines(folders, (1, 2)))
    assert "over 3 starts (seeds 0 to 2), each trained with the seeds 1, 2" in text
    assert "grpo  +8.0 [" in text
