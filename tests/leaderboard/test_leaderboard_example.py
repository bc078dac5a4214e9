"""The example site: small, sound, and built from the packs in the documentation."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from recode_eval.leaderboard.site import build

ROOT = Path(__file__).resolve().parents[2]
PACKS = ROOT / "docs" / "example-runs"
PICTURES = ROOT / "docs" / "design"


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def packs() -> list[Path]:
    return sorted(PACKS.rglob("*.tar.zst"))


def test_the_packs_and_the_pictures_stay_small() -> None:
    assert packs()
    assert size(PACKS) < 3_000_000
    assert size(PICTURES) < 1_000_000
    assert (ROOT / "docs" / "leaderboard.png").stat().st_size < 300_000


@pytest.mark.slow
def test_every_pack_is_sound_and_the_reference_is_before_nothing(tmp_path: Path) -> None:
    facts = sorted(PACKS.rglob("models.yaml"))
    built = build(sorted({pack.parent for pack in packs()}), tmp_path / "site", models=facts)
    assert built.broken == ()
    assert built.runs == len(packs())
    page = (tmp_path / "site" / "index.html").read_text()
    assert page.index(">baseline:reference<") < page.index(">baseline:empty<")


def test_make_builds_the_site_with_the_documentation() -> None:
    told = subprocess.run(
        ["make", "--dry-run", "docs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    [line] = [line for line in told.splitlines() if "leaderboard build" in line]
    for folder in {pack.parent.relative_to(ROOT) for pack in packs()}:
        assert f" {folder}/ " in line
