"""Training on JavaScript pairs: the completions to learn from, and the rewards."""

from __future__ import annotations

import pytest

from recode_eval.errors import UsageError
from recode_train import build_rewards, load_pairs
from recode_train.prompts import sft_completion


def test_a_perfect_completion_holds_the_reference_and_gets_every_reward() -> None:
    pairs = load_pairs("migration-js", limit=5)
    assert {pair.language for pair in pairs.pairs} == {"javascript"}
    weights = {"format": 1.0, "es_star": 1.0, "em_star": 1.0, "api": 1.0}
    rewards = build_rewards(weights, pairs, prefills={pair.id: "<think>" for pair in pairs.pairs})
    for pair in pairs.pairs:
        good = sft_completion(pair, "<think>")
        assert "```javascript\n" in good
        stale = good.replace(pair.problem.solutions["reference"].strip("\n"), "const a = 1;")
        broken = good.replace("```javascript\n", "```javascript\nfunction (")
        found = [
            function(completions=[good, stale, broken], pair_id=[pair.id] * 3)
            for function in rewards.functions
        ]
        by_name = dict(zip(rewards.names, found, strict=True))
        assert by_name["format"] == [1.0, 1.0, 1.0]
        assert by_name["em_star"] == [2.0, -1.5, -2.0]
        assert by_name["es_star"][0] == 2.0
        assert by_name["es_star"][2] == -2.0
        assert by_name["api"] in ([1.0, 0.0, 0.0], [None, None, None])


def test_names_of_data_are_kept_apart() -> None:
    with pytest.raises(UsageError, match="no training data has this name"):
        load_pairs("migration-jss")
    assert not {pair.id for pair in load_pairs("migration-js").pairs} & {
        pair.id for pair in load_pairs("migration").pairs
    }
