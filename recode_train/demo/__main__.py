"""`python -m recode_train.demo FOLDER`: make a small model and data to try the trainer with."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.cli import guarded
from recode_train.demo import making, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN_EVERY = 10
"""Steps."""


def run(words: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    return guarded("recode_train.demo", words, _execute, resumable=False)


def _execute(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m recode_train.demo", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where to put it")
    parser.add_argument(
        "--kinds",
        default="renamed,moved",
        help=f"kinds of change, of {', '.join(rows.KINDS)} (default: %(default)s)",
    )
    parser.add_argument("--pairs", type=int, default=400, help="pairs to train on (%(default)s)")
    parser.add_argument(
        "--problems", type=int, default=100, help="problems with held-out names (%(default)s)"
    )
    parser.add_argument(
        "--steps", type=int, default=170, help="steps of the warm start (%(default)s)"
    )
    arguments = parser.parse_args(words)
    kinds = arguments.kinds.split(",")
    if unknown := set(kinds) - set(rows.KINDS):
        parser.error(f"unknown kind {min(unknown)}; there are {', '.join(rows.KINDS)}")
    if min(arguments.pairs, arguments.problems, arguments.steps) < 1:
        parser.error("--pairs, --problems and --steps must be at least 1")
    _make(arguments, kinds)
    return 0


def _make(arguments: argparse.Namespace, kinds: Sequence[str]) -> None:
    from recode_train.demo.warm_start import Shape, WarmStart

    folder: Path = arguments.folder
    material = making.write_material(folder, arguments.pairs, arguments.problems, kinds)

    def report(step: int, loss: float) -> None:
        if step % _SHOWN_EVERY == 0:
            print(f"warm start: step {step}, loss {loss:.2f}", file=sys.stderr)

    start = making.make_start(
        folder / "start", material.taught, Shape(), WarmStart(steps=arguments.steps), report
    )
    model, out = shlex.quote(str(start)), shlex.quote(str(folder / "grpo"))
    print(
        f"recode-train grpo --model {model} --preset cpu-demo --data "
        f"{shlex.quote(f'recode-train-data={material.pairs}')} "
        f"--set prompt={shlex.quote(str(making.PROMPT))} "
        f"--set max_completion_length={making.LONGEST_ANSWER} --set learning_rate=3e-4 "
        f"--set rewards.es_star=0 --set rewards.em_star=1 --out {out}\n"
        f"recode-eval --model {out}/final --tasks {making.TASK} "
        f"--include-path {shlex.quote(str(making.TASK_FOLDER))} "
        f"--data {shlex.quote(f'{making.TASK}={material.problems}')}"
    )


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
