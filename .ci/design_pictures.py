"""Make the pictures of docs/leaderboard-design.md: each kind of page before and after its redesign.

`.ci/design_pictures.py` builds one site of invented runs with the code of the commit before the
redesign and with that of the checkout, and takes pictures of both. Needs git with that commit,
Chromium, chromedriver and the extra dev.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "4e8cc05"
OUT = ROOT / "docs" / "design"
KINDS = {
    "overview": "index.html", "task": "tasks/arena-multi*.html", "problem": "problems/*/*.html",
    "model": "models/*grpo*.html", "compare": "compare.html", "methods": "methods.html",
    "gate": "gate.html", "failures": "failures.html", "libraries": "libraries.html",
    "cost": "cost.html", "lift": "lift.html", "training": "training.html",
    "glossary": "glossary.html", "badges": "badges.html",
}  # fmt: skip
"""Name of a picture, and pattern of its page; a kind that is new has no picture from before."""
UNCHANGED = {"lift", "training"}
"""Kinds that look as before; a picture of each will do."""
CHANCES = {"Old-7B": 0.35, "Mid-7B": 0.55, "New-7B": 0.6}
BUILD = """
import sys
from pathlib import Path
from recode_eval.leaderboard.site import build
place, out = map(Path, sys.argv[1:])
build([place / "runs"], out, models=[place / "facts.yaml"], trainings=[place / "logs"],
      gates=[place / "gate"])
"""


def main() -> None:
    """Make the runs, both sites, and their pictures."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "leaderboard")]
    from whole_site import whole_site

    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as scratch:
        place, code = Path(scratch, "made"), Path(scratch, "code")
        after, before = whole_site(place), place / "site-before"
        subprocess.run([*git, "add", "--quiet", "--detach", code, BEFORE], check=True)
        try:
            subprocess.run(
                [sys.executable, "-c", BUILD, place, before], check=True, cwd=code,
                env={**os.environ, "PYTHONPATH": str(code)},
            )  # fmt: skip
        finally:
            subprocess.run([*git, "remove", "--force", code], check=True)
        names = [
            str(name)
            for kind, pattern in KINDS.items()
            for when, site in (("before", before), ("after", after))
            for page in sorted(site.glob(pattern))[:1]
            if when == "after" or kind not in UNCHANGED
            for name in (page, OUT / f"{kind}-{when}.webp")
        ]
        names += [str(dated_site(Path(scratch, "dated")) / "dates.html"), f"{OUT}/dates-after.webp"]
        pictures = [sys.executable, ROOT / ".ci" / "pictures.py", "--scale", "0.5", *names]
        subprocess.run(pictures, check=True)


def dated_site(place: Path) -> Path:
    """Build a site of runs on problems with days, and return its place."""
    from made_runs import make_run

    from recode_eval.leaderboard.site import build

    for name, chance in CHANCES.items():
        make_run(place / "runs", name, chance, n=1, task_name="migration")
    build([place / "runs"], place / "site", reported=False)
    return place / "site"


if __name__ == "__main__":
    main()
