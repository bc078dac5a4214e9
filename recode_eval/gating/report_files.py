"""The files that a gate leaves for CI: verdict.json, summary.md, junit.xml and badge.json."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from recode_eval.gating.decision import Decision


FILES: Final = ("verdict.json", "summary.md", "junit.xml", "badge.json")


def write_reports(decision: Decision, folder: Path) -> dict[str, Any]:
    """Write the four files, and return the content of verdict.json.

    In a GitHub job the summary is appended to the job's own, too.

    Raises `StorageError`.
    """
    from recode_eval.gating.decision import verdict_json
    from recode_eval.gating.report import badge, junit_xml, summary_markdown
    from recode_eval.run.store import make_folder, write_json, write_text

    make_folder(folder)
    write_text(folder / "summary.md", summary_markdown(decision))
    write_text(folder / "junit.xml", junit_xml(decision))
    write_json(folder / "badge.json", badge(decision))
    content = verdict_json(decision)
    write_json(folder / "verdict.json", content)
    append_step_summary(decision)
    return content


def append_step_summary(decision: Decision) -> None:
    """Append the summary to the page of a GitHub job; does nothing elsewhere."""
    if step_summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        _append_summary(decision, Path(step_summary))


def _append_summary(decision: Decision, file: Path) -> None:
    """Append to what earlier commands of the step wrote; all of it must stay below the limit."""
    from recode_eval.gating.report import SUMMARY_LIMIT, summary_markdown

    try:
        used = file.stat().st_size if file.exists() else 0
        with file.open("a", encoding="utf-8") as summary:
            summary.write(summary_markdown(decision, max(0, SUMMARY_LIMIT - used - 1)) + "\n")
    except OSError as error:
        # The verdict stands without it.
        reason = error.strerror or error
        print(f"recode-eval: cannot write GITHUB_STEP_SUMMARY: {reason}", file=sys.stderr)
