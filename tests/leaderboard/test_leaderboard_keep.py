"""Snapshots, their differences, and badges: by command and on the site."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hostile import CORPUS
from made_runs import make_run

from recode_eval import cli
from recode_eval.errors import DataError, ExitCode, UsageError
from recode_eval.leaderboard import snapshots
from recode_eval.leaderboard.badges import Badge
from recode_eval.leaderboard.site import build
from recode_eval.leaderboard.snapshots import differences, read, read_all, summary, take, write

DAY = dt.date(2026, 3, 5)
_SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Runs, a folder with two snapshots of their site, and the site with both."""
    base = tmp_path_factory.mktemp("keep")
    runs, kept = base / "runs", base / "kept"
    make_run(runs, "steady", 0.9, n=2)
    make_run(runs, "leaves", 0.2, n=2)
    make_run(runs, "again", 0.3, n=2)
    build([runs], base / "site", reported=False)
    write(take(base / "site", DAY), kept)
    for name in ("leaves", "again"):
        [old] = (runs / name).iterdir()
        old.rename(base / name)
    make_run(runs, "comes<b>", 0.5, n=2)
    make_run(runs, "again", 0.7, n=2, identity={"sha256": "0" * 64})
    build([runs], base / "site", reported=False)
    write(take(base / "site", DAY + dt.timedelta(days=9)), kept)
    build([runs], base / "site", reported=False, snapshots=[kept])
    return runs, kept, base / "site"


def test_a_snapshot_is_written_once_and_proves_its_content(
    two: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, kept, site = two
    found, broken = read_all([kept])
    assert [item.date for item in found] == ["2026-03-05", "2026-03-14"]
    assert not broken
    again = take(site, DAY + dt.timedelta(days=9))
    assert again.name == found[1].name
    before = (kept / f"{again.name}.json").stat()
    assert write(again, kept) == kept / f"{again.name}.json"
    assert (kept / f"{again.name}.json").stat().st_mtime_ns == before.st_mtime_ns
    altered = tmp_path / f"{again.name}.json"
    altered.write_bytes(again.raw.replace(b"steady", b"steadx"))
    with pytest.raises(DataError, match="was changed"):
        read(altered)
    with pytest.raises(DataError, match="was changed"):
        write(again, tmp_path)
    renamed = tmp_path / again.name.replace("2026-03-14", "2027-01-01")
    renamed.with_suffix(".json").write_bytes(again.raw)
    with pytest.raises(DataError, match="was renamed"):
        read(renamed.with_suffix(".json"))
    (tmp_path / "mine.json").write_bytes(again.raw)
    with pytest.raises(DataError, match="not a snapshot's name"):
        read(tmp_path / "mine.json")
    assert len(read_all([tmp_path])[1]) == 3


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_snapshot_in_another_encoding_is_refused(
    encoding: str, two: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    """It was read as JSON, and the build that published its bytes as text crashed."""
    raw = read_all([two[1]])[0][0].raw.decode().encode(encoding)
    path = tmp_path / f"2026-03-05-{hashlib.sha256(raw).hexdigest()[:16]}.json"
    path.write_bytes(raw)
    with pytest.raises(DataError, match="not UTF-8"):
        read(path)


def test_a_link_to_nothing_among_snapshots_is_left_out(tmp_path: Path) -> None:
    """It ended the build as a usage error, which told to give a site."""
    link = tmp_path / f"2026-03-05-{'0' * 16}.json"
    link.symlink_to("nowhere")
    assert [name for name, _ in read_all([tmp_path])[1]] == [link.name]


def test_a_day_that_does_not_exist_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """The message was `invalid _day value`."""
    words = ["leaderboard", "snapshot", "site", "--date", "2026-02-30"]
    assert cli.run(words) == ExitCode.USAGE
    assert "'2026-02-30' is not a day" in capsys.readouterr().err


def test_the_difference_names_what_came_went_and_moved(two: tuple[Path, Path, Path]) -> None:
    old, new = read_all([two[1]])[0]
    found = {change.row.model: change for change in differences(old, new)}
    assert found["comes<b>"].kind == "new"
    assert found["leaves"].kind == "gone"
    assert found["again"].kind == "another run"
    assert found["again"].old is not None
    assert found["again"].old.run != found["again"].row.run
    if "steady" in found:  # only its rank may have moved
        assert found["steady"].kind == "changed"
    assert summary(differences(old, new)).startswith("1 new, 1 gone, 1 with another run")
    assert differences(new, new) == []
    assert summary([]) == "nothing changed"


def test_snapshots_are_listed_and_keep_their_addresses(two: tuple[Path, Path, Path]) -> None:
    _, kept, site = two
    listed = (site / "snapshots.html").read_text()
    for snapshot in read_all([kept])[0]:
        assert f'href="snapshots/{snapshot.name}.html"' in listed
        assert (site / f"snapshots/{snapshot.name}.json").read_bytes() == snapshot.raw
        page = (site / f"snapshots/{snapshot.name}.html").read_text()
        assert f"The leaderboard on {snapshot.date}" in page
    assert "another run" in page
    assert "comes&lt;b&gt;" in page
    assert "comes<b>" not in page
    assert 'href="snapshots.html"' in (site / "index.html").read_text()


def test_the_commands_take_and_compare(
    two: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, kept, site = two
    out = ["--out", str(tmp_path / "snaps")]
    assert cli.run(["leaderboard", "snapshot", str(site), *out, "--date", "2026-04-01"]) == 0
    written = Path(capsys.readouterr().out.strip())
    assert read(written).date == "2026-04-01"
    old, new = sorted(kept.iterdir())
    page = tmp_path / "diff.html"
    assert cli.run(["leaderboard", "diff", str(old), str(new), "--html", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "From 2026-03-05 to 2026-03-14: 1 new, 1 gone, 1 with another run" in shown
    assert re.search(r"comes<b>\s+arena-mini #\w{4}\s+new ", shown)
    text = page.read_text()
    assert "What changed from 2026-03-05 to 2026-03-14" in text
    assert "<script" not in text
    assert "comes&lt;b&gt;" in text
    assert cli.run(["leaderboard", "diff", str(old), str(new), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {change["kind"] for change in content["changes"]} >= {"new", "gone", "another run"}
    assert cli.run(["leaderboard", "diff", str(old), str(tmp_path / "no.json")]) == ExitCode.USAGE
    assert cli.run(["leaderboard", "snapshot", str(tmp_path)]) == ExitCode.USAGE


@pytest.mark.parametrize("text", CORPUS)
def test_hostile_rows_stay_text(text: str, tmp_path: Path, two: tuple[Path, Path, Path]) -> None:
    from recode_eval.leaderboard.snapshot_pages import diff_page
    from recode_eval.resources import resource_dir

    data = json.loads((two[2] / "data" / "leaderboard.json").read_text())
    for row in data["rows"]:
        row |= {"model": text, "task": text, "board": text, "rank": text}
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "leaderboard.json").write_text(json.dumps(data))
    snapshot = read(write(take(tmp_path, DAY), tmp_path / "kept"))
    page = diff_page(resource_dir("leaderboard"), read_all([two[1]])[0][0], snapshot)
    for element in ("<script>", "<img", "<iframe", "<svg/", "<body onload", '<a href="java'):
        assert element not in page


def test_a_site_whose_rows_are_damaged_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data" / "leaderboard.json"
    file.parent.mkdir()
    for content in ('{"rows": 3}', "[" * 90_000, '{"rows": [{"run": "../x"}]}'):
        file.write_text(content)
        with pytest.raises(DataError):
            take(tmp_path, DAY)
    file.write_text('{"rows": []}')
    with pytest.raises(UsageError, match="no run that was measured"):
        take(tmp_path, DAY)
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(DataError, match="not a plain file"):
        take(tmp_path, DAY)
    assert snapshots.SCHEMA_VERSION == 1


# Badges -----------------------------------------------------------------------------------------


def _parsed(svg: str) -> tuple[str, str, list[str]]:
    """Return title, label for screen readers, and the texts of a badge."""
    root = ET.fromstring(svg)
    assert root.tag == f"{_SVG}svg"
    assert root.get("role") == "img"
    tags = {element.tag.removeprefix(_SVG) for element in root.iter()}
    assert tags == {"svg", "title", "rect", "path", "g", "text"}
    assert not [name for e in root.iter() for name in e.keys() if name.startswith("on")]  # noqa: SIM118
    title = root.find(f"{_SVG}title")
    assert title is not None
    texts = [e.text or "" for e in root.iter(f"{_SVG}text")]
    return title.text or "", root.get("aria-label") or "", texts


@pytest.mark.parametrize("text", [*CORPUS, "", "漢字" * 40, "\x00\ud800]]>"])
def test_a_badge_is_sound_xml_whatever_the_names(text: str) -> None:
    title, label, texts = _parsed(Badge(text, text, "#000", text).svg)
    assert title == label
    assert len(texts) == 2
    assert all(len(part) <= 60 for part in texts)


def test_every_run_of_a_site_has_a_badge_with_its_number(two: tuple[Path, Path, Path]) -> None:
    site = two[2]
    rows = json.loads((site / "data" / "leaderboard.json").read_text())["rows"]
    page = (site / "badges.html").read_text()
    assert 'href="badges.html"' in (site / "index.html").read_text()
    for row in rows:
        title, _, texts = _parsed((site / "badges" / f"{row['run']}.svg").read_text())
        value = f"{100 * row['metrics'][row['primary']]['value']:.1f}"
        assert texts[0].startswith("pass@1 on arena-mini")
        assert texts[1].startswith(f"{value} [")
        assert row["board"] in title
        assert row["model"] in title
        assert f"](badges/{row['run']}.svg)" in page


def _badge(*words: str) -> int:
    return int(cli.run(["leaderboard", "badge", *words]))


def test_the_command_draws_what_the_site_has(
    two: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, _, site = two
    [run] = (runs / "steady").iterdir()
    assert _badge(str(run)) == 0
    drawn = capsys.readouterr().out
    assert drawn in {file.read_text() for file in (site / "badges").iterdir()}
    assert _badge(str(run), "--metric", "upass@1", "-o", str(tmp_path / "b.svg")) == 0
    assert _parsed((tmp_path / "b.svg").read_text())[2][0].startswith("UPass@1 on arena-mini")
    capsys.readouterr()
    assert _badge(str(run), "--metric", "fun") == ExitCode.USAGE
    assert "the run has " in capsys.readouterr().err
    assert _badge() == ExitCode.USAGE
    assert _badge(str(tmp_path)) == ExitCode.DATA


def test_a_verdict_has_a_badge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from stored_runs import store_run

    from recode_eval.gating.decision import decide, verdict_json
    from recode_eval.gating.policy import Policy
    from recode_eval.run.results_file import read_run

    old, new = (
        read_run(store_run(tmp_path, name, right) / "results.json")
        for name, right in (("old", lambda p, s: s < 6 + p % 3), ("new", lambda p, s: s < 2))
    )
    content: dict[str, Any] = verdict_json(decide([old], [new], Policy({"default": {"pass@1": 3}})))
    file = tmp_path / "verdict.json"
    file.write_text(json.dumps(content))
    assert _badge("--gate", str(file)) == 0
    title, _, texts = _parsed(capsys.readouterr().out)
    assert texts[0] == "recode-eval gate"
    assert texts[1].startswith("regress, pass@1 -")
    assert "new may not ship: against old" in title
    file.write_text("{}")
    assert _badge("--gate", str(file)) == ExitCode.DATA
