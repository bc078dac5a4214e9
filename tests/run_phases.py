"""Run the tests in two phases, and say how long each took.

    python tests/run_phases.py [--tier check|test|all] [PYTEST_ARGUMENT ...]

First all workers share the tests, a file at a time (`conftest.py` says which files stay together).
Then the tests marked `alone` run one after the other, because they measure the machine or change
what it has only one of. Further arguments go to pytest in both phases.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent
TIERS: Final = {
    "check": "not (exhaustive or slow or docker or browser or vllm)",
    "test": "not exhaustive",
    "all": "",
}
"""What each tier selects: fast tests; every proof once; the same under more conditions. The fast
tests try fewer examples of each property."""
MOST_WORKERS: Final = 8
NOTHING_COLLECTED: Final = 5


def main(arguments: list[str]) -> int:
    """Run both phases; returns pytest's exit code of the first one that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--tier", choices=TIERS, default="test")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes of the first phase (default: two per CPU, because half of the tests wait; "
        "one more than CPUs for the fast tests)",
    )
    options, rest = parser.parse_known_args(arguments)
    tier, fast = TIERS[options.tier], options.tier == "check"
    cpus = len(os.sched_getaffinity(0))
    workers = options.workers or min(cpus + 1 if fast else 2 * cpus, MOST_WORKERS)
    together = ["-n", str(workers), "--dist", "loadscope", "--no-loadscope-reorder"]
    if fast:
        together.append("--hypothesis-profile=quick")
    codes = [run_phase(f"{workers} workers", _and(tier, "not alone"), [*together, *rest])]
    if not fast:  # nothing that is measured is fast
        codes.append(run_phase("alone", _and(tier, "alone"), ["-n", "0", *rest]))
    return overall(codes)


def overall(codes: list[int]) -> int:
    """Return the first failure; a phase without tests is none, unless both are."""
    failures = [code for code in codes if code not in {0, NOTHING_COLLECTED}]
    if failures:
        return failures[0]
    return 0 if 0 in codes else NOTHING_COLLECTED


def run_phase(name: str, marks: str, arguments: list[str]) -> int:
    """Run pytest once."""
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-m", marks, *arguments]
    # Two processes with two threads each fight for two cores; the models of the tests are tiny.
    environment = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", **os.environ}
    code = subprocess.run(command, cwd=CHECKOUT, env=environment, check=False).returncode
    print(f"tests, {name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return code


def _and(*marks: str) -> str:
    return " and ".join(f"({mark})" for mark in marks if mark)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
