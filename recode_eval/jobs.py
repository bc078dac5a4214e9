"""Does one job of a watch in a process of its own: `python -m recode_eval.jobs FILE`.

The process prints results as JSON and ends with the exit code of the command that does the same.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.boundary import guarded
from recode_eval.errors import ExitCode
from recode_eval.run.config import RunConfig, from_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_eval.gating.job import Job


def run_job(job: Job) -> int:
    """Do a job in this process; returns its exit code, raises what the library raises."""
    [(what, about)] = job.items()
    return {"evaluate": _evaluate, "gate": _gate, "site": _site}[what](about)


def _evaluate(about: Mapping[str, Any]) -> int:
    from recode_eval.api import evaluate
    from recode_eval.run.progress import LogMonitor
    from recode_eval.terminal import stdout_for_results

    with stdout_for_results():
        evaluation = evaluate(from_mapping(RunConfig, about), progress=LogMonitor())
    _print(evaluation.contents())
    return ExitCode.OK if evaluation.complete else ExitCode.INCOMPLETE


def _gate(about: Mapping[str, Any]) -> int:
    from recode_eval.api import gate
    from recode_eval.gating.candidate import Candidate
    from recode_eval.gating.policy import load_policy
    from recode_eval.gating.report_files import write_reports
    from recode_eval.gating.spending import spending_from_json
    from recode_eval.run.progress import LogMonitor
    from recode_eval.terminal import stdout_for_results

    policy = load_policy(None if about["policy"] is None else Path(about["policy"]))
    with stdout_for_results():
        decision = gate(
            about["baseline"],
            from_mapping(Candidate, about["candidate"]),
            policy=replace(policy, spending=spending_from_json(about["spending"])),
            progress=LogMonitor(),
        )
    write_reports(decision, Path(about["reports"]))
    return decision.verdict.exit_code


def _site(about: Mapping[str, Any]) -> int:
    from recode_eval.leaderboard.site import build

    built = build(
        [Path(about["runs"])],
        Path(about["out"]),
        data=about.get("data", {}),
        include_paths=[Path(path) for path in about.get("include_paths", ())],
        gates=[Path(path) for path in about["gates"]],
    )
    return ExitCode.DATA if built.broken else ExitCode.OK


def _print(content: Any) -> None:
    json.dump(content, sys.stdout)
    sys.stdout.write("\n")


def main() -> None:
    """Do the job in the file that the command line names."""

    def work(words: Sequence[str]) -> int:
        from recode_eval.run.store import read_json
        from recode_eval.terminal import prepare_streams

        prepare_streams()
        return run_job(read_json(Path(words[0])))

    sys.exit(guarded("recode-eval watch", sys.argv[1:], work, resumable=True))


if __name__ == "__main__":
    main()
