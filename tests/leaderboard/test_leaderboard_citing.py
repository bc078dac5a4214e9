"""Citing: entries and tables name what was measured; a stranger's name does nothing in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chromium import Browser
from hypothesis import example, given
from hypothesis import strategies as st
from made_runs import make_run
from markupsafe import escape

from recode_eval import cli
from recode_eval.errors import ExitCode
from recode_eval.leaderboard.boards import Board, boards
from recode_eval.leaderboard.citing import board_bibtex, board_latex, run_bibtex
from recode_eval.leaderboard.loading import load_runs
from recode_eval.leaderboard.site import build
from recode_eval.leaderboard.tex import tex
from recode_eval.terminal import one_line

NAMES = ["model_1 {50% of} #2 & $x^2$ ~ \\input{/etc/passwd}", "plain", "[2pt] <<A>> <<B>>"]
_TOKEN = re.compile(
    r"\\[A-Za-z]+\{[0-9]*\}|\\[&%$#_]|\{[\[\]*\-',!?]\}|\(U\+[0-9A-F]{4,6}\)|.", re.DOTALL
)
_NAMED = re.compile(r"\(U\+[0-9A-F]{4,6}\)")
_MEANS = {
    r"\textbackslash{}": "\\", r"\textbraceleft{}": "{", r"\textbraceright{}": "}",
    r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textless{}": "<",
    r"\textgreater{}": ">", r"\textbar{}": "|", r"\textasciigrave{}": "`", r"\symbol{34}": '"',
    r"\dots{}": "…",
}  # fmt: skip
ACTIVE = set('\\{}~^&%$#_<>|`"[]*')


def read(text: str) -> str:
    """Return what LaTeX prints for text that `tex` wrote; anything else is an error."""
    found = []
    for token in _TOKEN.findall(text):
        if token in _MEANS:
            found.append(_MEANS[token])
        elif token.startswith("(U+"):
            found.append(_letter(token))
        elif (len(token) == 3 and token[0] == "{") or (len(token) == 2 and token[0] == "\\"):
            found.append(token[1])
        else:
            assert len(token) == 1, token
            assert token not in ACTIVE, token
            found.append(token)
    return "".join(found)


def named(text: str) -> str:
    """Return text with `(U+4E2D)` as the letter that it names, as `read` does."""
    return _NAMED.sub(lambda found: _letter(found[0]), text)


def _letter(token: str) -> str:
    number = int(token[3:-1], 16)
    return chr(number) if number < 0x110000 else token


def balanced(text: str) -> bool:
    """Tell whether braces come in pairs, as BibTeX counts them, also after a backslash."""
    depth = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0


@given(st.text(max_size=120))
@example("\\{}~^&%$#_<>|`\"[]*-',!?")
@example("a--b ''c'' ?` !` ,,d")
@example("\\end{document}\\input{x}")
@example("名前 é ß \N{GREEK SMALL LETTER MU}")
def test_any_text_prints_as_it_is_and_does_nothing(text: str) -> None:
    written = tex(text)
    assert balanced(written)
    assert "\n" not in written
    # What names a letter by its number looks the same in the text itself.
    assert read(written) == named(one_line(text, 200))
    for ligature in ("--", "''", "``", "?`", "!`", ",,", "<<", ">>"):
        assert ligature not in written


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("citing")
    for name, chance in zip(NAMES, (0.9, 0.5, 0.2), strict=True):
        make_run(folder / "runs", name, chance, n=2)
    return folder


@pytest.fixture(scope="module")
def board(folder: Path) -> Board:
    runs, _ = load_runs([folder / "runs"])
    [board] = boards(runs)
    return board


def test_an_entry_names_board_data_sampling_and_harness(board: Board) -> None:
    results = board.first.results
    entry = board_bibtex(board)
    assert entry.startswith(f"@misc{{recode-eval-{board.key},\n")
    assert balanced(entry)
    for words in (
        f"board {board.key}", f"data {results.task.data_hash[:12]}", "n = 2", "temperature 0.8",
        "howpublished = {recode-eval 0.1.0}", "year         = {2026}",
    ):  # fmt: skip
        assert words in entry
    for standing in board.standings:
        estimate = standing.run.metric("pass@1")
        assert estimate is not None
        own = run_bibtex(board, standing.run)
        assert balanced(own)
        assert standing.run.key in own
        assert f"pass@1 {100 * estimate.value:.1f} [{100 * estimate.low:.1f}, " in own


def test_the_table_has_a_row_per_run_and_as_many_cells_as_columns(board: Board) -> None:
    table = board_latex(board)
    assert balanced(table)
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", table)
    assert columns is not None
    rows = [line for line in table.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(NAMES)
    for row in rows:
        assert len(re.findall(r"(?<!\\)&", row)) == len(columns[1]) - 1
        assert not row.startswith(
            ("[", "*")
        )  # LaTeX would take it for an argument of the row above
    [heads, *_] = [x for x in board_latex(board, ["es_star"]).splitlines() if x.endswith(r"\\")]
    assert heads == r"Model & Rank & ES{*} \\"


def test_a_commit_of_the_harness_is_cited(board: Board) -> None:
    run = board.first
    run.results.invocations[-1]["git_commit"] = "0123456789abcdef}{"
    try:
        assert "recode-eval 0.1.0 (commit 0123456789ab)" in run_bibtex(board, run)
    finally:
        run.results.invocations[-1]["git_commit"] = None


def test_the_command_writes_what_the_pages_show(
    folder: Path, board: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [str(standing.run.folder) for standing in board.standings]
    build([folder / "runs"], folder / "site", reported=False)
    task = next((folder / "site" / "tasks").glob("*.html")).read_text()
    assert cli.run(["export", *places, "--format", "bibtex"]) == ExitCode.OK
    entries = capsys.readouterr().out
    assert str(escape(board_bibtex(board))) in task
    assert board_bibtex(board) in entries
    for standing in board.standings:
        assert run_bibtex(board, standing.run) in entries
        page = (folder / "site" / "models" / f"{standing.run.model_slug}.html").read_text()
        assert str(escape(run_bibtex(board, standing.run))) in page
    assert cli.run(["export", *places, "--format", "latex"]) == ExitCode.OK
    table = capsys.readouterr().out
    assert table == board_latex(board)
    assert str(escape(table)) in task


@pytest.mark.browser
def test_buttons_copy_and_a_comparison_has_an_entry(folder: Path, board: Board) -> None:
    site = folder / "site"
    if not site.exists():
        build([folder / "runs"], site, reported=False)
    browser = Browser()
    try:
        for name in ("clipboardReadWrite", "clipboardSanitizedWrite"):
            browser.command("Browser.grantPermissions", permissions=[name])
        page = next((site / "tasks").glob("*.html"))
        browser.open(page, f"show=cite-{board.key}")
        browser.click(".cite button[data-copy^=latex]")
        browser.driver.find_element("xpath", "//*[@role='status'][.='Copied.']")
        copied = browser.driver.execute_async_script(
            "const done = arguments[0]; navigator.clipboard.readText().then(done, () => done(null))"
        )
        assert copied in (board_latex(board), None)
        browser.click(".cite button[data-copy-link]")
        a, b = (standing.run for standing in board.standings[:2])
        browser.open(site / "compare.html", f"a={a.key}&b={b.key}&show=cite-pair")
        browser.wait_for("#comparison[data-state=ready]")
        entry = browser.run("return document.getElementById('bibtex-pair').textContent")
        assert entry.startswith(f"@misc{{recode-eval-{a.key}-{b.key},\n")
        assert f"{{{{{tex(b.model_name)} against {tex(a.model_name)} on " in entry
        assert balanced(entry)
        assert browser.complaints() == []
    finally:
        browser.close()
