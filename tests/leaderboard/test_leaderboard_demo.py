"""`recode-eval demo` ends with a leaderboard of its runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from made_runs import make_run

from recode_eval.commands import demo


def test_the_demo_writes_the_site_and_prints_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path, "baseline:reference", 1.0, n=1)
    for as_json in (False, True):  # the second one replaces the first
        demo.write_site(tmp_path, as_json=as_json)
        captured = capsys.readouterr()
        said, other = captured.out, captured.err
        if as_json:  # standard output is for the JSON alone
            said, other = other, said
        assert other == ""
        assert said == f"Leaderboard: {tmp_path / 'site' / 'index.html'}\n"
        assert "baseline:reference" in (tmp_path / "site" / "index.html").read_text()


def test_without_the_extra_the_demo_says_so_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path, "baseline:reference", 1.0, n=1)
    monkeypatch.setitem(sys.modules, "orjson", None)
    demo.write_site(tmp_path, as_json=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "No leaderboard was written." in captured.err
    assert "pip install 'recode-eval[site]'" in captured.err
    assert not (tmp_path / "site").exists()
