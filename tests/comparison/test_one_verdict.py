"""One verdict per pair: `compare`, the gate, the page of methods and pooled views agree."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from stored_runs import store_run

from recode_eval.comparison.differences import compare, compared_json, holm
from recode_eval.comparison.headline import headline, headline_text
from recode_eval.comparison.pooling import adjusted, compared, evidence
from recode_eval.gating.decision import decide, verdict_json
from recode_eval.gating.policy import Policy
from recode_eval.run.results_file import ResultsFile, read_run

GLYPHS = {"better": "up", "worse": "down", "open": "same"}
POLICY = Policy(margins={"default": {"pass@1": 3.0}})


def random_board(folder: Path, seed: int) -> list[ResultsFile]:
    """Four models whose differences lie around what the test can find."""
    source = random.Random(seed)
    rates = [source.uniform(0.35, 0.6) for _ in range(4)]
    found = []
    for number, rate in enumerate(rates):
        draw = random.Random(1000 * seed + number)
        outcomes = {(p, s): draw.random() < rate for p in range(30) for s in range(10)}
        place = store_run(
            folder / str(seed), f"m{number}", lambda p, s, known=outcomes: known[p, s], problems=30
        )
        found.append(read_run(place / "results.json"))
    return found


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> list[list[ResultsFile]]:
    folder = tmp_path_factory.mktemp("boards")
    return [random_board(folder, seed) for seed in range(6)]


def test_every_place_gives_the_same_verdict(boards: list[list[ResultsFile]]) -> None:
    """+7.1 points were a pass (improved), p = 0.339 and "B is better" on three pages."""
    seen = set()
    taken_back = 0
    for runs in boards:
        pairs = [(a, b) for a in runs for b in runs if a is not b]
        together = compare(pairs)
        changes = [
            compared(evidence(a.results.problems), evidence(b.results.problems), "pass@1")
            for a, b in pairs
        ]
        on_the_page = adjusted(changes, ["pass@1"] * len(pairs))
        for (a, b), item, change in zip(pairs, together, on_the_page, strict=True):
            [alone] = compare([(a, b)])
            first = item.differences[0]
            assert first.metric == "pass@1"
            said = headline(first)
            assert said == headline(alone.differences[0])
            assert compared_json(first, "a", "b", "t")["headline"] == said
            assert change is not None
            assert change.verdict == GLYPHS[said]
            gated = verdict_json(decide([a], [b], POLICY))["checks"][0]
            assert gated["headline"] == said
            if gated["note"] == "improved":
                assert said == "better"
            if gated["note"] == "small real drop":
                assert said == "worse"
            for text in (
                headline_text(first, "A", "B", "t"),
                compared_json(first, "A", "B", "t")["sentence"],
                gated["sentence"].replace(b.model, "B").replace(a.model, "A"),
            ):
                assert ("is better than" in text or "better than A" in text) <= (said == "better")
                assert ("is worse than A" in text) <= (said == "worse")
            seen.add(said)
            adjusted_p = first.p_holm
            taken_back += said != "open" and adjusted_p is not None and adjusted_p >= 0.05
    assert seen == {"better", "worse", "open"}
    assert taken_back > 0  # else the boards could not tell the two rules apart


def test_the_mirror_image_has_the_opposite_verdict(boards: list[list[ResultsFile]]) -> None:
    opposite = {"better": "worse", "worse": "better", "open": "open"}
    for runs in boards:
        for a in runs:
            for b in runs:
                if a is not b:
                    [there], [back] = compare([(a, b)]), compare([(b, a)])
                    one, other = headline(there.differences[0]), headline(back.differences[0])
                    assert opposite[one] == other


def test_holm_of_a_pair_alone_is_its_own_p_value() -> None:
    assert holm([0.033]) == [0.033]
