"""Tables of the terminal: nothing is cut, and 80 columns are enough."""

from __future__ import annotations

from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from recode_eval.run.progress import LogMonitor, _Passes
from recode_eval.run.records import ScoreRecord
from recode_eval.tables import listed, print_table, stacked

CELL = st.text("abc ä中[(,.", max_size=40)


def printed(width: int, *arguments: object, **options: object) -> str:
    text = StringIO()
    print_table(Console(file=text, width=width), *arguments, **options)  # type: ignore[arg-type]
    return text.getvalue()


@given(st.integers(30, 120), st.lists(st.tuples(CELL, CELL, CELL), max_size=5))
def test_nothing_is_wider_than_the_terminal(width: int, rows: list[tuple[str, str, str]]) -> None:
    for line in printed(width, ["metric", "value", "p"], rows).splitlines():
        assert Console(width=999).measure(line.rstrip()).maximum <= width


def test_optional_columns_go_before_a_cell_is_wrapped() -> None:
    headings, row = ["metric", "value", "p"], ["pass@1", "62.5 [55.1, 69.9]", "0.033"]
    assert "0.033" in printed(40, headings, [row], optional=["p"])
    narrow = printed(26, headings, [row], optional=["p"])
    assert "0.033" not in narrow
    assert "62.5 [55.1, 69.9]" in narrow
    assert "Not shown for want of width: p" in narrow
    assert "0.033" in printed(26, headings, [row])
    assert "[55.1, 69.9]" in printed(27, headings, [row]).splitlines()[3]


def test_lists_are_capped() -> None:
    """A comparison printed a hundred ids of problems."""
    assert listed([f"p{i}" for i in range(9)]) == "p0, p1, p2, p3, p4 and 4 more"
    assert listed(["a"]) == "a"
    assert stacked("-") == "-"


def _score(*, passed: bool) -> ScoreRecord:
    return ScoreRecord(
        problem_id="p", sample=0, prompt_hash="", completion="", scoring="", tier="none",
        extraction="fence", extraction_detail="", code="x", similarity={},
        conditions={"update": {"passed": passed, "tests": [], "output": "", "cpu_s": 0.0},
                    "no_update": {"passed": True, "tests": [], "output": "", "cpu_s": 0.0}},
    )  # fmt: skip


def test_the_running_score_counts_the_first_condition() -> None:
    passes = _Passes()
    assert str(passes) == ""
    for passed in (True, False, False, True, True):
        passes.count(_score(passed=passed))
    assert str(passes) == "60 % pass"


def test_a_log_shows_the_running_score(capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("recode_eval.run.progress._LOG_EVERY_S", 0.0)
    monitor = LogMonitor()
    monitor.begin(samples=2, generated=2, graded=0)
    monitor.graded(_score(passed=True))
    assert "100 % pass" in capsys.readouterr().err
