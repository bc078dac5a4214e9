"""A small site that has a page of every kind, also with hostile texts wherever a text can stand."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING

from made_runs import make_run
from made_trainings import config, lines, report, write_log

from recode_eval.conversations.settings import ConversationSettings
from recode_eval.gating.decision import decide, verdict_json
from recode_eval.gating.policy import Policy
from recode_eval.leaderboard.site import build
from recode_eval.leaderboard.snapshots import take, write
from recode_eval.run.results_file import read_run

if TYPE_CHECKING:
    from collections.abc import Sequence

TASK = "arena-multi"
"""The smallest: the site is built for every module that uses it."""
METHODS = {"untrained": 0.3, "SFT": 0.5, "GRPO": 0.9}
KINDS = {
    "index.html", "methods.html", "failures.html", "libraries.html", "cost.html", "training.html",
    "lift.html", "compare.html", "gate.html", "badges.html", "snapshots.html", "models", "tasks",
    "problems", "snapshots",
}  # fmt: skip
"""What the site has at least."""


def whole_site(folder: Path, texts: Sequence[str] = ("",)) -> Path:
    """Build it below `folder` and return its place; the `texts` are worked in by turns."""
    runs, entries, places = folder / "runs", [], {}
    for number, (method, chance) in enumerate(METHODS.items()):
        text = texts[number % len(texts)]
        name = f"{text[:200]}Base-{method}-{number + 1}B"
        places[method] = make_run(runs, name, chance, n=2, task_name=TASK, texts=list(texts))
        entries.append(
            {"match": f"*Base-{method}*", "base": f"{text[:200]}Base", "released": "2026-01-01",
             "method": method if method == "untrained" else f"{method} {text[:80]}"}
        )  # fmt: skip
        make_run(runs, name, chance - 0.2, n=2, task_name=TASK, update_note=False,
                 texts=list(texts))  # fmt: skip
        make_run(runs, name, chance, n=1, task_name=TASK, texts=list(texts),
                 conversation=ConversationSettings(turns=2))  # fmt: skip
    make_run(runs, "baseline:stale", 0.0, n=2, task_name=TASK, backend="baseline")
    for place in places.values():
        results = json.loads((place / "results.json").read_text())
        results["usage"]["cost"] = {"currency": "EUR", "total": 1.25, "per_sample": 0.125,
                                    "per_solved": 0.25, "as_of": "2026-01-31",
                                    "source": texts[0][:200]}  # fmt: skip
        (place / "results.json").write_text(json.dumps(results))
    for kind in ("sft", "grpo"):
        settings = config(kind, max_steps=20)
        write_log(folder / "logs" / kind, report(settings), lines(settings, {0: 0.3, 20: 0.5}))
    facts = json.dumps({"models": entries}).replace('"2026-01-01"', "2026-01-01")  # YAML's date
    (folder / "facts.yaml").write_text(facts)
    stored = {name: read_run(place / "results.json") for name, place in places.items()}
    verdict = decide(
        [stored["SFT"]], [stored["GRPO"]], Policy(margins={"default": {"pass@1": 3.0}})
    )
    (folder / "gate").mkdir()
    (folder / "gate" / "verdict.json").write_text(json.dumps(verdict_json(verdict)))
    built = build(
        [runs], folder / "site", models=[folder / "facts.yaml"], trainings=[folder / "logs"],
        gates=[folder / "gate"], snapshots=[earlier_days(folder / "kept", texts)],
    )  # fmt: skip
    assert built.broken == (), built.broken
    return folder / "site"


def earlier_days(folder: Path, texts: Sequence[str]) -> Path:
    """Keep two snapshots of another site in a folder and return it."""
    for day in (1, 2):
        rows = [
            {"model": f"{text}{day}", "task": TASK, "board": text or TASK, "board_key": "ab",
             "source": "measured", "rank": "1-2", "rank_best": 1, "primary": "pass@1",
             "run": f"{day}{number:03}", "n": 2, "problems": 28, "unscored": 0,
             "metrics": {"pass@1": {"value": 0.5, "low": 0.25, "high": 0.75}}}
            for number, text in enumerate(texts)
        ]  # fmt: skip
        (folder / f"{day}/data").mkdir(parents=True)
        (folder / f"{day}/data/leaderboard.json").write_text(json.dumps({"rows": rows}))
        write(take(folder / str(day), dt.date(2026, 1, day)), folder)
    return folder


def pages(site: Path) -> list[Path]:
    """Return a page of every kind: each one beside the first page, one of every folder.

    Of a folder with subfolders, one of each of these.
    """
    found: dict[Path, Path] = {}
    for page in sorted(site.rglob("*.html")):
        found.setdefault(page if page.parent == site else page.parent, page)
    return list(found.values())
