"""`python -m recode_train.demo FOLDER`: SFT, GRPO and DAPO of a tiny model, on a CPU, compared."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.boundary import guarded
from recode_eval.terminal import one_line
from recode_train.demo import making, rows, spread
from recode_train.demo.comparing import (
    KINDS,
    READING,
    Demonstration,
    comparison_folder,
    make_start,
    run_demo,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(words: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    return guarded("recode_train.demo", words, _execute, resumable=True)


def _execute(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m recode_train.demo", description=__doc__)
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, help="folder for everything that the demo writes"
    )
    parser.add_argument(
        "--kinds",
        default=",".join(KINDS),
        help=f"kinds of change, any of {', '.join(rows.KINDS)} (default: %(default)s)",
    )
    parser.add_argument("--pairs", type=int, default=400, help="pairs to train on (%(default)s)")
    parser.add_argument(
        "--problems", type=int, default=32, help="problems with held-out names (%(default)s)"
    )
    parser.add_argument(
        "--steps", type=int, default=170, help="training steps of the start model (%(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=2, help="trainings per arm (%(default)s)")
    parser.add_argument(
        "--starts",
        type=int,
        default=1,
        help="start models; above 1, intervals count the variance between them (%(default)s)",
    )
    parser.add_argument("--sandbox", default="auto", help="tier of the sandbox (%(default)s)")
    parser.add_argument(
        "--make-only",
        action="store_true",
        help="make data and start, and print the commands that use them",
    )
    arguments = parser.parse_args(words)
    kinds = arguments.kinds.split(",")
    if unknown := set(kinds) - set(rows.KINDS):
        parser.error(f"unknown kind {min(unknown)}; use any of {', '.join(rows.KINDS)}")
    sizes = (
        arguments.pairs,
        arguments.problems,
        arguments.steps,
        arguments.seeds,
        arguments.starts,
    )
    if min(sizes) < 1:
        parser.error("--pairs, --problems, --steps, --seeds and --starts must be at least 1")
    demo = Demonstration(
        arguments.folder.resolve(),
        kinds,
        arguments.pairs,
        arguments.problems,
        steps=arguments.steps,
        seeds=range(1, arguments.seeds + 1),
        starts=arguments.starts,
        sandbox=arguments.sandbox,
    )
    if arguments.make_only:
        _make_only(demo)
    else:
        _compare(demo)
    return 0


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _compare(demo: Demonstration) -> None:
    """Run all arms, print the comparisons and how to read them, and write the site."""
    from recode_eval.leaderboard.site import build
    from recode_train.comparing.report import show

    began = time.monotonic()
    for content in run_demo(demo, _log, progress=True):
        show(content)
    folders = [comparison_folder(demo, number) for number in range(demo.starts)]
    if demo.starts > 1:
        print("\n".join(spread.lines(folders, demo.seeds)))
    print(READING)
    _log(f"{time.monotonic() - began:.0f} s. Everything: {demo.folder}/comparison/comparison.md")
    built = build(folders, demo.folder / "site", note=_log)
    for broken in built.broken:
        _log(f"left out: {one_line(broken.where)}: {one_line(broken.reason)}")
    print(built.index.absolute())


def _make_only(demo: Demonstration) -> None:
    files = making.write_files(demo.folder, demo.pairs, demo.problems, demo.kinds)
    start = make_start(demo, files, _log)
    model, out = shlex.quote(str(start)), shlex.quote(str(demo.folder / "grpo"))
    print(
        f"recode-train grpo --model {model} --preset cpu-demo --data "
        f"{shlex.quote(f'recode-train-data={files.pairs}')} "
        f"--set prompt={shlex.quote(str(making.PROMPT))} "
        f"--set max_completion_length={making.LONGEST_ANSWER} --out {out}\n"
        f"recode-eval --model {out}/final --tasks {making.TASK} "
        f"--include-path {shlex.quote(str(making.TASK_FOLDER))} "
        f"--data {shlex.quote(f'{making.TASK}={files.problems}')}"
    )
