"""What the GitHub Action does around the gate: checks its inputs, sets its outputs, decides.

Only the standard library: it runs before anything is installed. Settings come as environment
variables (FAIL_ON, NAME, VERSION, EXTRAS and the runner's own), places and codes as arguments.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import uuid
from pathlib import Path

VERDICTS = ("pass", "regress", "inconclusive", "invalid")
FAILING = VERDICTS[1:]
ERROR = "error"
"""In place of a verdict where the gate could not come to one."""
COMMENT_LIMIT = 65_000
"""Bytes; GitHub takes 65,536 characters."""
_CUT = "\n\n(cut: the job's summary and verdict.json have everything)\n"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/-]{0,59}")
_VERSION = re.compile(r"(installed|[0-9][A-Za-z0-9.!+]*)?")
_EXTRAS = re.compile(r"([a-z][a-z0-9-]*(,[a-z][a-z0-9-]*)*)?")


def failing(text: str) -> frozenset[str]:
    """Return the verdicts that fail the step; exits with a message for anything else."""
    words = [word for word in re.split(r"[,\s]+", text) if word]
    if words == ["never"]:
        return frozenset()
    unknown = [word for word in words if word not in FAILING]
    if unknown or not words:
        stop(f"fail-on must be `never`, or any of {', '.join(FAILING)}, separated by commas.")
    return frozenset(words)


def stop(message: str, code: int = 2) -> None:
    """Exit with an annotation; `message` holds no text of others."""
    print(f"::error title=recode-eval gate::{message}")
    sys.exit(code)


def check() -> None:
    """Refuse inputs before anything is installed or run."""
    failing(os.environ["FAIL_ON"])
    if not _NAME.fullmatch(os.environ["NAME"]) or "--" in os.environ["NAME"]:
        stop("name must be up to 60 letters, digits, spaces and . _ / - without `--`.")
    if not _VERSION.fullmatch(os.environ["VERSION"]):
        stop("version must be a release such as 0.1.0, `installed`, or empty.")
    if not _EXTRAS.fullmatch(os.environ["EXTRAS"]):
        stop("extras must be names, separated by commas.")


def write(report: Path, code: int) -> None:
    """Write the comment's body and the outputs."""
    verdict, delta = read_verdict(report / "verdict.json", code)
    comment = report / "comment.md"
    report.mkdir(parents=True, exist_ok=True)
    comment.write_text(comment_text(report, verdict, code), encoding="utf-8")
    set_outputs(
        {
            "verdict": verdict,
            "delta": delta,
            "exit-code": str(code),
            "report-path": str(report),
            "comment-path": str(comment),
        }
    )


def read_verdict(file: Path, code: int) -> tuple[str, str]:
    """Return the verdict and the deciding difference; `ERROR` if the command ended without one."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        verdict = content["verdict"]
        if verdict not in VERDICTS or content["exit_code"] != code:
            return ERROR, ""
        shown = [item for item in content["checks"] if item["verdict"] == verdict]
        found = [float(item["difference"]) for item in shown or content["checks"]]
    except (OSError, ValueError, KeyError, TypeError):
        return ERROR, ""
    return verdict, f"{found[0]:+.4f}" if found and math.isfinite(found[0]) else ""


def comment_text(report: Path, verdict: str, code: int) -> str:
    """Return the marker, the summary (cut at a line) and a link to the job."""
    marker = f"<!-- recode-eval gate: {os.environ['NAME']} -->\n"
    if verdict == ERROR:
        text = trouble(code)
        append_summary(text)
    else:
        text = (report / "summary.md").read_text(encoding="utf-8")
    link = job_link()
    room = COMMENT_LIMIT - len((marker + link + _CUT).encode())
    if len(text.encode()) > room:
        text = text.encode()[:room].rpartition(b"\n")[0].decode() + _CUT
    return f"{marker}{text}{link}"


def trouble(code: int) -> str:
    """Return the comment for a gate that ended without a verdict."""
    return (
        "## recode-eval gate: no verdict\n\n"
        f"recode-eval ended with exit code {code}; the job's log says why.\n"
    )


def job_link() -> str:
    """Return a line with the job's address, if the runner tells it."""
    parts = [os.environ.get(f"GITHUB_{key}", "") for key in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    return "\n[The job]({}/{}/actions/runs/{})\n".format(*parts) if all(parts) else ""


def append_summary(text: str) -> None:
    """Append to the step's summary, where there is one."""
    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if file:
        with Path(file).open("a", encoding="utf-8") as summary:
            summary.write(text)


def set_outputs(values: dict[str, str]) -> None:
    """Set outputs; a value with a line feed cannot set another one."""
    end = f"end-{uuid.uuid4().hex}"
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.writelines(f"{name}<<{end}\n{value}\n{end}\n" for name, value in values.items())


def decide(verdict: str, code: str) -> None:
    """Exit with the gate's own code if this verdict is to fail the step."""
    if verdict not in VERDICTS:
        stop(f"No verdict: recode-eval ended with exit code {int(code)}.", int(code) or 1)
    if verdict in failing(os.environ["FAIL_ON"]):
        stop(f"The verdict is {verdict}.", int(code))
    print(f"recode-eval gate: {verdict}")


def main(words: list[str]) -> None:
    """Do what the step asks for."""
    match words:
        case ["check"]:
            check()
        case ["write", report, code]:
            write(Path(report), int(code))
        case ["decide", verdict, code]:
            decide(verdict, code)
        case _:
            stop("report.py: check, write FOLDER CODE or decide VERDICT CODE")


if __name__ == "__main__":
    main(sys.argv[1:])
