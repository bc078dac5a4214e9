"""Mining tiny libraries from a folder of wheels, end to end: kinds of change, losses, resuming."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from local_wheels import make_archive, make_wheel, use_links

from recode_eval import cli
from recode_eval.mining import MineConfig, mine, read_candidates
from recode_eval.run.config import SandboxOptions
from recode_eval.sandbox.factory import probe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recode_eval.mining import Candidate, Mined

pytest.importorskip("griffe")

OLD = '''"""A library."""
import warnings

__all__ = ["Box", "double", "gone", "size", "fetch", "shown", "colour"]

def gone(x):
    """Gone later."""
    return x

def size(text, encoding="utf-8"):
    return len(text.encode(encoding))

def double(value):
    """Double.

    >>> double(2)
    4
    """
    return value * 2

def fetch(url, verify=True, timeout=5):
    return url, verify, timeout

def shown(value):
    return str(value)

def colour(name):
    return name

class Box:
    """A box."""

    def __init__(self, width, height=1):
        self.width = width

    def area(self):
        return self.width

    def paint(self, color="red"):
        return color
'''
NEW = '''"""A library."""
import warnings

__all__ = ["Box", "double", "size", "fetch", "shown", "color"]

def size(text, encoding="ascii"):
    return len(text.encode(encoding))

def double(value):
    """Double.

    >>> double(2)
    4
    """
    return float(value * 2)

def fetch(url, *, timeout=5):
    return url, timeout

def shown(value):
    warnings.warn("shown is deprecated; use str", DeprecationWarning, stacklevel=2)
    return str(value)

def color(name):
    return name

class Box:
    """A box."""

    def __init__(self, width, height):
        self.width = width

    def paint(self, colour="red"):
        return colour
'''
NOTES = """Changes
=======

2.0
---

- Removed ``gone``; there is no replacement.
- ``Box.area`` was removed.
- ``unrelated`` is faster.
- ``Box`` boxes now close themselves when dropped.

1.0
---

- Removed ``ancient``.
"""


def tier() -> str:
    """The lightest sandbox of this machine."""
    for report in reversed(probe()):
        if report.available:
            return report.tier
    pytest.skip("no sandbox works on this machine")


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "links"
    folder.mkdir()
    use_links(folder, tmp_path / "cache", monkeypatch)
    return folder


def both(
    links: Path, old: Mapping[str, str], new: Mapping[str, str], name: str = "tinylib"
) -> None:
    make_wheel(links, name, "1.0", old)
    make_wheel(links, name, "2.0", new)


def run(tmp_path: Path, name: str = "tinylib") -> Mined:
    options = SandboxOptions(tier=tier(), workers=1)
    config = MineConfig(
        library=name,
        old="1.0",
        new="2.0",
        out=tmp_path / "out",
        sandbox=options,
        stage_seconds=20.0,
    )
    return mine(config)


def losses(mined: Mined, stage: str) -> str:
    [count] = [one for one in mined.stages if one.name == stage]
    return json.dumps(count.lost)


def kinds(mined: Mined) -> dict[tuple[str, str], Candidate]:
    return {(c.kind, c.api + (f":{c.argument}" if c.argument else "")): c for c in mined.candidates}


def test_each_kind_of_change_is_found_and_shown(links: Path, tmp_path: Path) -> None:
    both(links, {"tinylib/__init__.py": OLD}, {"tinylib/__init__.py": NEW})
    make_archive(links, "tinylib", "2.0", {"CHANGES.rst": NOTES})
    mined = run(tmp_path)
    found = kinds(mined)
    executed = {key for key, candidate in found.items() if candidate.executed}
    assert {
        ("removed", "tinylib.gone"),
        ("removed", "tinylib.Box.area"),
        ("renamed", "tinylib.colour"),
        ("default-changed", "tinylib.size:encoding"),
        ("argument-removed", "tinylib.fetch:verify"),
        ("argument-keyword-only", "tinylib.fetch:timeout"),
        ("argument-added", "tinylib.Box:height"),
        ("argument-renamed", "tinylib.Box.paint:color"),
        ("behaviour-changed", "tinylib.double"),
        ("newly-deprecated", "tinylib.shown"),
    } <= executed
    assert found["renamed", "tinylib.colour"].new_api == "tinylib.color"
    gone = found["removed", "tinylib.gone"]
    assert gone.note is not None
    assert (gone.note.release, gone.note.file) == ("2.0", "CHANGES.rst")
    assert "Removed ``gone``" in gone.note.text
    assert gone.rank <= 2  # executed and noted come first
    assert "shown is deprecated" in found["newly-deprecated", "tinylib.shown"].deprecation
    assert not any("ancient" in c.api or "unrelated" in c.api for c in mined.candidates)
    assert read_candidates(mined.folder / "candidates.jsonl") == list(mined.candidates)


def test_a_second_call_reuses_every_stage_and_a_changed_one_does_not(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both(links, {"tinylib/__init__.py": OLD}, {"tinylib/__init__.py": NEW})
    first = run(tmp_path)
    assert not any(stage.reused for stage in first.stages)
    monkeypatch.setattr("recode_eval.sandbox.factory.open_router", None)  # must not be needed
    second = run(tmp_path)
    assert all(stage.reused for stage in second.stages)
    assert second.candidates == first.candidates
    (tmp_path / "out" / "screening.jsonl").unlink()  # as if the first call had been killed there
    monkeypatch.undo()
    use_links(links, tmp_path / "cache", monkeypatch)
    third = run(tmp_path)
    assert [stage.name for stage in third.stages if not stage.reused] == ["screening"]
    assert third.candidates == first.candidates


def test_a_release_that_does_not_import_is_compared_by_its_text(
    links: Path, tmp_path: Path
) -> None:
    broken = "import nothing_of_this_name\n" + OLD
    both(links, {"tinylib/__init__.py": broken}, {"tinylib/__init__.py": NEW})
    mined = run(tmp_path)
    assert "does not import (ModuleNotFoundError)" in losses(mined, "runtime")
    assert "a release does not run" in losses(mined, "probing")
    assert ("removed", "tinylib.gone") in kinds(mined)
    assert not any(candidate.executed for candidate in mined.candidates)


def test_a_release_without_wheels_is_a_named_loss(links: Path, tmp_path: Path) -> None:
    make_wheel(links, "tinylib", "1.0", {"tinylib/__init__.py": OLD}, tag="cp39-cp39-win_amd64")
    make_wheel(links, "tinylib", "2.0", {"tinylib/__init__.py": NEW})
    mined = run(tmp_path)
    assert "no wheel" in losses(mined, "releases")
    assert "no environment to run it in" in losses(mined, "runtime")
    assert mined.candidates == ()


def test_a_broken_docstring_example_is_a_named_loss(links: Path, tmp_path: Path) -> None:
    raises = OLD.replace(">>> double(2)\n    4", ">>> double(nobody)\n    4")
    no_python = raises.replace('"""Gone later."""', '"""Gone.\n\n    >>>gone(\n    """')
    both(links, {"tinylib/__init__.py": no_python}, {"tinylib/__init__.py": NEW})
    mined = run(tmp_path)
    assert "a docstring example that does not parse" in losses(mined, "runtime")
    assert "an example that raises in the old release" in losses(mined, "probing")
    assert ("removed", "tinylib.gone") in kinds(mined)


def test_sources_that_no_parser_takes_are_counted(links: Path, tmp_path: Path) -> None:
    bombs = {
        "tinylib/deep.py": "x = " + "(" * 5000 + ")" * 5000 + "\n",
        "tinylib/nested.py": "x = " + "-" * 3000 + "1\n",
        "tinylib/latin.py": "# -*- coding: no-such-encoding -*-\nx = 1\n",
    }
    both(links, {"tinylib/__init__.py": OLD, **bombs}, {"tinylib/__init__.py": NEW})
    mined = run(tmp_path)
    assert "a source file" in losses(mined, "static")
    assert ("removed", "tinylib.gone") in kinds(mined)


def test_an_interrupted_call_continues_where_it_stopped(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both(links, {"tinylib/__init__.py": OLD}, {"tinylib/__init__.py": NEW})

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("recode_eval.mining.pipeline.prove", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    assert not (tmp_path / "out" / "candidates.jsonl").exists()
    mined = run(tmp_path)
    fresh = [stage.name for stage in mined.stages if not stage.reused]
    assert fresh == ["probing", "candidates"]
    assert ("removed", "tinylib.gone") in kinds(mined)


def test_the_command_prints_the_stages_and_says_what_is_wrong(
    links: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    both(links, {"tinylib/__init__.py": OLD}, {"tinylib/__init__.py": NEW})
    words = ["mine", "tinylib", "1.0", "2.0", "--sandbox", tier(), f"--out={tmp_path / 'out'}"]
    assert cli.run([*words, "--json"]) == 0
    printed = json.loads(capfd.readouterr().out)
    assert printed["executed"] > 5
    assert [stage["name"] for stage in printed["stages"]][-1] == "candidates"
    assert cli.run([*words, "--quiet"]) == 0
    assert "probing (stored)" in capfd.readouterr().out
    assert cli.run(["mine", "tinylib", "1.0", "1.0"]) == 2
    assert cli.run(["mine", "../x", "1.0", "2.0", f"--out={tmp_path / 'no'}"]) == 2
    assert "is no project's name" in capfd.readouterr().err
