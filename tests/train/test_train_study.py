"""The study with a real small model: its command line, in miniature."""

from __future__ import annotations

import pytest
from compare_training import write_pairs

from benchmarks.study import packs, smollm2
from recode_eval.errors import DataError, UsageError


@pytest.mark.slow
def test_a_miniature_of_the_study_with_a_real_model(tmp_path, capsys):
    """The same command line with a model of random weights and text pairs; then it is whole."""
    pytest.importorskip("trl", reason="training needs the extra train")
    from tiny_training import save_model

    model = save_model(tmp_path / "model", context=4096)
    data = f"recode-train-data={write_pairs(tmp_path / 'pairs.jsonl')}"
    words = [
        str(tmp_path / "out"), "--model", str(model), "--arms", "sft", "--seeds", "1",
        "--updates", "2", "--tokens", "400", "--problems", "2", "--tasks", data, "--data", data,
    ]  # fmt: skip
    assert smollm2.main([*words, "--hours", "0"]) == 75
    assert "the hours are over" in capsys.readouterr().out
    assert smollm2.main(words) == 0
    assert "is highest with" in capsys.readouterr().out
    packs.main([str(tmp_path / "out"), str(tmp_path / "packs"), "--task", "recode-train-data"])
    assert capsys.readouterr().out.startswith("2 packs, ")
    methods = (tmp_path / "packs" / "models.yaml").read_text()
    assert "method: untrained" in methods
    assert "method: SFT\n" in methods
    with pytest.raises(DataError, match="no run on migration"):
        packs.of_comparison(tmp_path / "out", "migration")


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(smollm2, "_PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(UsageError, match="pip install"):
        smollm2.model_file()
