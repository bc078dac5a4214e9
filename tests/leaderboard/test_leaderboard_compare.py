"""What the comparison page and the gate's history are made from."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hostile import CORPUS
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run
from stored_runs import store_run

from recode_eval import cli
from recode_eval.errors import ExitCode, UsageError
from recode_eval.gating.decision import decide, verdict_json
from recode_eval.gating.policy import Policy
from recode_eval.leaderboard.boards import Board, Standing, boards
from recode_eval.leaderboard.comparing import (
    DIGITS,
    NO_VALUE,
    board_data,
    board_index,
    data_files,
    encoded,
)
from recode_eval.leaderboard.gates import read_verdicts
from recode_eval.leaderboard.loading import load_runs
from recode_eval.leaderboard.site import build
from recode_eval.run.results_file import ResultsFile, read_run
from recode_eval.schemas.results import ProblemResult


def counts(n: int, passed: int | None, faulty: str | None = None) -> ProblemResult:
    return ProblemResult(
        id="p", cluster="c", tags={}, n=n, passed=passed, passed_without_update=None,
        needed_update=None, test_rate=None, no_code=0, es=None, em=None, es_star=None,
        em_star=None, faulty=faulty,
    )  # fmt: skip


def decoded(found: dict[str, Any], n: int) -> list[tuple[int, int] | None]:
    """Read the encoding as its description says."""
    width, text = found["width"], found["passed"]
    pieces = [text[i : i + width] for i in range(0, len(text), width)]
    result: list[tuple[int, int] | None] = []
    for index, piece in enumerate(pieces):
        number = 0
        for digit in piece:
            number = number * 62 + DIGITS.find(digit)
        nothing = piece == NO_VALUE * width
        result.append(None if nothing else (number, found["scored"].get(str(index), n)))
    return result


@given(st.sampled_from([1, 10, 61, 62, 200, 5000]), st.data())
def test_the_encoding_keeps_every_count(n: int, data: st.DataObject) -> None:
    scored = data.draw(st.lists(st.one_of(st.just(n), st.integers(0, n)), min_size=1, max_size=30))
    passed = [data.draw(st.integers(0, count)) for count in scored]
    problems = [counts(*pair) for pair in zip(scored, passed, strict=True)]
    found = encoded(problems, n)
    assert len(found["passed"]) == found["width"] * len(problems)
    assert found["width"] == (1 if max(passed) <= 61 else 2 if max(passed) <= 3843 else 3)
    expected = [None if not p.n else (p.passed, p.n) for p in problems]
    assert decoded(found, n) == expected


def test_what_was_not_scored_has_no_count() -> None:
    found = encoded([counts(10, 3), counts(0, 0), counts(0, None, "no set-up")], 10)
    assert (found["passed"], found["scored"]) == ("3--", {})


@pytest.fixture(scope="module")
def site_boards(tmp_path_factory: pytest.TempPathFactory) -> list[Board]:
    runs = tmp_path_factory.mktemp("runs")
    make_run(runs, "old", 0.4)
    make_run(runs, "new", 0.6, unscored=3)
    make_run(runs, "cold", 0.6, temperature=0.0)
    return boards(load_runs([runs])[0])


def test_a_run_is_its_counts_in_the_order_of_the_board(site_boards: list[Board]) -> None:
    board = site_boards[0]
    data = board_data(board)
    order = [problem.id for problem in board.first.problems]
    assert data["ids"] == order
    for standing in board.standings:
        run = data["runs"][standing.run.key]
        by_id = {problem.id: problem for problem in standing.run.problems}
        expected = [(by_id[key].passed, by_id[key].n) for key in order]
        assert decoded(run, run["n"]) == [None if not n else (c, n) for c, n in expected]
    named = [problem.cluster for problem in board.first.problems]
    assert len(set(zip(named, data["clusters"], strict=True))) == len(set(named))
    package = next(tag for tag in data["tags"] if tag["name"] == "package")
    assert [package["values"][i] for i in package["of"]] == [
        problem.tags["package"] for problem in board.first.problems
    ]


def test_the_index_says_in_what_boards_differ(site_boards: list[Board]) -> None:
    one, two = board_index(site_boards)
    differing = [
        key for key in one["conditions"] if one["conditions"][key] != two["conditions"][key]
    ]
    assert differing == ["sampling"]
    assert [len(one["runs"]), len(two["runs"])] == [2, 1]


def test_two_hundred_runs_of_a_thousand_problems_stay_small(site_boards: list[Board]) -> None:
    board = site_boards[0]
    run, problem = board.first, board.first.problems[0]
    change = msgspec.structs.replace
    problems = [
        change(problem, id=f"{problem.id}-{i}", cluster=f"u{i // 4}", n=4, passed=i % 5)
        for i in range(1000)
    ]
    scores = {found.id: found for found in problems}
    standings = tuple(
        Standing(
            replace(
                run,
                stored=ResultsFile(
                    "here", change(run.results, problems=problems, run=f"{i:064x}"), scores
                ),
            ),
            None,
        )
        for i in range(200)
    )
    large = Board(board.key, board.conditions, standings)
    [(_, content)] = data_files([large])
    assert len(content) < 450_000
    assert len(json.dumps(board_index([large]))) < 40_000


@pytest.mark.slow
def test_hostile_names_cannot_leave_the_data(tmp_path: Path) -> None:
    for index, text in enumerate(CORPUS):
        make_run(tmp_path, f"{text[:300]}{index}", 0.5, n=1)
    for _, content in data_files(boards(load_runs([tmp_path])[0])):
        assert re.fullmatch(r'\(window\.compareData \?\?= \{\}\)\["[0-9a-f]{8}"\] = .*;\n', content)
        assert not re.search("[<>&\x00-\x09\x0b-\x1f\x7f-\U0010ffff]", content)
        json.loads(content.partition(" = ")[2].rstrip(";\n"))


# The gate's verdicts ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Two stored runs, and the gate's verdict on them."""
    out = tmp_path_factory.mktemp("gated")
    old = store_run(out, "old", lambda p, s: s < 6 + p % 3)
    new = store_run(out, "new", lambda p, s: s < 2 + p % 4)
    policy = Policy(margins={"default": {"pass@1": 3.0}})
    return out, verdict_json(
        decide([read_run(old / "results.json")], [read_run(new / "results.json")], policy)
    )


def store_verdict(folder: Path, content: object, name: str = "verdict.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder / name


def test_the_latest_verdict_is_on_the_first_page_and_all_are_in_the_history(
    gated: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    runs, verdict = gated
    assert verdict["verdict"] == "regress"
    for day, kind in ((3, "regress"), (1, "pass"), (2, "inconclusive")):
        content = {**verdict, "created": f"2026-05-0{day}T12:00:00+00:00", "verdict": kind}
        store_verdict(tmp_path / "gate" / f"checkpoint-{day}", content)
    found, broken = read_verdicts([tmp_path / "gate"])
    assert [item.verdict for item in found] == ["regress", "inconclusive", "pass"]
    assert not broken
    assert found[0].where == "checkpoint-3/verdict.json"
    code = cli.run(
        ["leaderboard", "build", str(runs), "--gate", str(tmp_path / "gate"), "--no-reported",
         "--out", str(tmp_path / "site"), "--quiet"]
    )  # fmt: skip
    assert code == ExitCode.OK
    first = (tmp_path / "site" / "index.html").read_text()
    assert "2026-05-03 12:00" in first
    assert "2026-05-02 12:00" not in first
    check = verdict["checks"][0]
    said = (
        f"pass@1 on arena changed by {100 * check['difference']:+.1f} [{100 * check['low']:+.1f}, "
    )
    assert said in first
    history = (tmp_path / "site" / "gate.html").read_text()
    assert history.count("<tr>") == 4
    task = verdict["tasks"][0]
    link = f'href="compare.html#a={task["baseline"]["run"]}&amp;b={task["candidate"]["run"]}"'
    assert history.count(link) == 3 + 1  # each row, and the section of the candidate
    assert f"{len(task['fixed'])} fixed, {len(task['broken'])} broken" in history


def test_two_builds_with_verdicts_are_the_same(
    gated: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    runs, verdict = gated
    for name in ("b", "a"):
        store_verdict(tmp_path / "gate" / name, verdict)
    contents = []
    for name in ("one", "two"):
        place = tmp_path / name
        build([runs], place, gates=[tmp_path / "gate"], reported=False)
        files = sorted(path for path in place.rglob("*") if path.is_file())
        contents.append([(path.relative_to(place), path.read_bytes()) for path in files])
    assert contents[0] == contents[1]


def test_what_is_no_verdict_is_named_and_left_out(
    gated: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    runs, verdict = gated
    gate = tmp_path / "gate"
    store_verdict(gate / "sound", verdict)
    store_verdict(gate / "schema", {**verdict, "verdict": "fine"})
    store_verdict(gate / "time", {**verdict, "created": "yesterday"})
    store_verdict(gate / "early", {**verdict, "created": "0001-01-01T00:00:00+14:00"})
    store_verdict(
        gate / "huge", {**verdict, "checks": [{**verdict["checks"][0], "margin": 10**400}]}
    )
    (store_verdict(gate / "torn", {})).write_text('{"schema_version": 1, ')
    (store_verdict(gate / "deep", {})).write_text("[" * 100_000)
    (store_verdict(gate / "nan", {})).write_text(json.dumps(verdict).replace("0.05", "NaN", 1))
    (gate / "link").mkdir()
    (gate / "link" / "verdict.json").symlink_to(gate / "sound" / "verdict.json")
    (gate / "pipe").mkdir()
    os.mkfifo(gate / "pipe" / "verdict.json")
    found, broken = read_verdicts([gate])
    assert [item.where for item in found] == ["sound/verdict.json"]
    names = {item.where.split("/")[0] for item in broken}
    assert names == {"schema", "time", "early", "huge", "torn", "deep", "nan", "link", "pipe"}
    built = build([runs], tmp_path / "site", gates=[gate], reported=False)
    assert len(built.broken) == 9
    first = (tmp_path / "site" / "index.html").read_text()
    assert "<code>torn/verdict.json</code>: Cannot read: verdict.json is not JSON" in first


def test_a_place_without_verdicts_is_fine_and_no_place_is_not(tmp_path: Path) -> None:
    """A watch that has just begun has graded nothing yet."""
    assert read_verdicts([tmp_path]) == ([], [])
    with pytest.raises(UsageError, match="There is no verdict at"):
        read_verdicts([tmp_path / "missing"])


def test_hostile_text_in_a_verdict_stays_text(
    gated: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    runs, verdict = gated
    for index, text in enumerate(CORPUS):
        task, check = verdict["tasks"][0], verdict["checks"][0]
        hostile = {
            **verdict,
            "created": f"2026-05-01T12:{index:02}:00",
            "invalid": [text],
            "policy_hash": verdict["policy_hash"],
            "checks": [{**check, "task": text, "metric": text, "method": text}],
            "tasks": [
                {
                    **task,
                    "task": text,
                    "remarks": [text],
                    "baseline": {**task["baseline"], "model": text, "run": text},
                    "candidate": {**task["candidate"], "model": text, "run": text},
                }
            ],
        }
        store_verdict(tmp_path / "gate" / str(index), hostile)
    build([runs], tmp_path / "site", gates=[tmp_path / "gate"], reported=False)
    for name in ("gate.html", "index.html"):
        page = (tmp_path / "site" / name).read_text(encoding="utf-8")
        assert len(page) < 400_000
        for element in ("<script>", "<img", "<iframe", "<svg/", "<body onload", '<a href="java'):
            assert element not in page
    history = (tmp_path / "site" / "gate.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;window.pwned=1&lt;/script&gt;" in history
    assert history.count("<tr>") == 1 + len(CORPUS)
