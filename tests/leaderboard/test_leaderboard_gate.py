"""The gate's page for a release engineer: a sentence first, in the words of the command."""

from __future__ import annotations

import html
import io
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hostile import CORPUS
from rich.console import Console
from stored_runs import store_run

from recode_eval.gating.decision import Decision, decide, verdict_json
from recode_eval.gating.policy import Policy
from recode_eval.gating.report import print_decision
from recode_eval.gating.shipping import Finding, Shipment, of_decision, of_file, shipping_sentence
from recode_eval.leaderboard.gates import by_candidate, read_verdicts
from recode_eval.leaderboard.site import build
from recode_eval.run.results_file import read_run
from recode_eval.schemas.verdict import VerdictFile

POLICY = Policy(margins={"default": {"pass@1": 3.0}})


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Decision]]:
    """Runs, and the decisions on a worse, an equal and an incomparable candidate."""
    out = tmp_path_factory.mktemp("gate-runs")
    chances = {"old": 6, "worse": 2, "like": 6}
    runs = {
        name: read_run(
            store_run(out, name, lambda p, s, up=up, name=name: s < up + (p + len(name)) % 3)
            / "results.json"
        )
        for name, up in chances.items()
    }
    found = {name: decide([runs["old"]], [runs[name]], POLICY) for name in ("worse", "like")}
    found["itself"] = decide([runs["old"]], [runs["old"]], POLICY)
    return out, found


def _printed(decision: Decision) -> str:
    stream = io.StringIO()
    print_decision(Console(file=stream, width=160, markup=False, highlight=False), decision)
    return stream.getvalue()


def _text(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_terminal_file_and_page_say_the_same(
    decisions: tuple[Path, dict[str, Decision]], tmp_path: Path
) -> None:
    runs, found = decisions
    for day, (name, decision) in enumerate(found.items(), 1):
        content = verdict_json(decision) | {"created": f"2026-05-0{day}T12:00:00+00:00"}
        folder = tmp_path / "gate" / name
        folder.mkdir(parents=True)
        (folder / "verdict.json").write_text(json.dumps(content))
        assert of_file(msgspec.convert(content, VerdictFile)) == of_decision(decision)
    build([runs], tmp_path / "site", gates=[tmp_path / "gate"], reported=False)
    page = _text((tmp_path / "site" / "gate.html").read_text())
    for verdict in read_verdicts([tmp_path / "gate"])[0]:
        printed = _printed(found[verdict.where.split("/")[0]])
        assert f"{verdict.verdict}: {verdict.sentence}" in printed
        assert f"Policy: {' '.join(verdict.policy)}" in printed
        assert verdict.sentence in page
        assert " ".join(verdict.policy) in page
    assert "worse may not ship: against old, pass@1 on arena changed by -" in page
    assert "Tolerated: a drop of up to 3.0 points in pass@1 on arena." in page


def test_the_newest_verdict_stands_first_and_older_ones_are_folded(
    decisions: tuple[Path, dict[str, Decision]], tmp_path: Path
) -> None:
    runs, found = decisions
    for day, name in ((1, "worse"), (3, "worse"), (2, "like")):
        folder = tmp_path / "gate" / str(day)
        folder.mkdir(parents=True)
        content = verdict_json(found[name]) | {"created": f"2026-05-0{day}T12:00:00+00:00"}
        (folder / "verdict.json").write_text(json.dumps(content))
    verdicts, _ = read_verdicts([tmp_path / "gate"])
    grouped = by_candidate(verdicts)
    assert [item.latest.where[0] for item in grouped] == ["3", "2"]
    assert [[item.where[0] for item in one.older] for one in grouped] == [["1"], []]
    build([runs], tmp_path / "site", gates=[tmp_path / "gate"], reported=False)
    page = (tmp_path / "site" / "gate.html").read_text()
    assert page.count("<section") == 2
    assert "<summary>1 older verdict</summary>" in page
    task = content["tasks"][0]
    for side in ("baseline", "candidate"):
        [model] = [*(tmp_path / "site" / "models").glob(f"{task[side]['model']}-*.html")]
        assert f'<a href="models/{model.name}">{task[side]["model"]}</a>' in page


@pytest.mark.parametrize("verdict", ["pass", "regress", "inconclusive", "invalid"])
@pytest.mark.parametrize("checks", [0, 1, 2, 5])
def test_a_sentence_is_one_line_whatever_the_names(verdict: str, checks: int) -> None:
    for text in CORPUS:
        item = Finding(text, text, verdict, 0.03, True, -0.05, -0.08, None)
        said = shipping_sentence(Shipment(verdict, (text,), (text,), (item,) * checks))
        assert said.isprintable()
        assert len(said) < 900
        assert said.endswith(".")


def test_several_metrics_are_one_list() -> None:
    findings: list[Any] = [
        Finding(f"t{i}", "pass@1", "pass", 0.03, True, 0.0, -0.01, 0.01) for i in range(5)
    ]
    said = shipping_sentence(Shipment("pass", ("new",), ("old",), tuple(findings)))
    assert said == (
        "new may ship: against old, a drop of more than 3.0 points in pass@1 on t0, a drop of "
        "more than 3.0 points in pass@1 on t1, a drop of more than 3.0 points in pass@1 on t2 and "
        "2 more are excluded."
    )
