"""What the study of the made-from-scratch model compares: arms, sizes, jobs, in their order.

A *start* is a model taught with its own seed; every arm is trained from every start with several
seeds. One more start, which is compared with nothing, tries the learning rates: each arm's is the
one with the highest sampled pass rate on validation names. The test names are looked at by
`benchmarks.study.report` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BASE: Final = "base"
TUNING_START: Final = 0
RATES: Final = (1e-4, 3e-4, 1e-3)
KINDS: Final = ("renamed", "moved")
"""What starts are taught and arms trained on; the other five kinds are untaught."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train."""

    name: str
    algorithm: str
    about: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    few: bool = False
    """Only on the pairs that reinforcement learning draws with the same seed."""
    start: tuple[str, float] | None = None
    """Another arm, and the share of the updates that it has made; this arm makes the rest."""


ARMS: Final = (
    Arm("sft", "sft", "reference answers, all pairs"),
    Arm("sft-few", "sft", "reference answers, the pairs that GRPO draws", few=True),
    Arm("rft", "rft", "own answers that are right, the pairs that GRPO draws", few=True),
    Arm("grpo", "grpo", "GRPO"),
    Arm("dapo", "dapo", "DAPO"),
    Arm(
        "dr-grpo",
        "grpo",
        "Dr. GRPO's loss",
        {"loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0},
    ),
    Arm("sft-grpo", "grpo", "SFT for a third of the updates, then GRPO", start=("sft", 1 / 3)),
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the study is; the smallest sizes are for tests."""

    starts: int = 5
    seeds: int = 3
    rates: Sequence[float] = RATES
    arms: Sequence[str] = tuple(arm.name for arm in ARMS)
    pairs: int = 400
    problems: int = 48
    """Of the test and of the validation names."""
    untaught: int = 35
    samples: int = 16
    """Answers to each test problem, at temperature 1; elsewhere a quarter."""
    start_steps: int = 170
    updates: int = 24
    points: int = 3
    """Points of the curves after the start."""
    batch: int = 32
    """Completions, or examples, an update."""


@dataclass(frozen=True, slots=True)
class Job:
    """One training with its evaluations, or a start with its own."""

    start: int
    arm: str = BASE
    seed: int = 0
    rate: float | None = None
    """Given: the job tries it."""

    @property
    def name(self) -> str:
        """The name of its folder and of its result."""
        tried = "" if self.rate is None else f"-lr{self.rate:g}"
        return f"start{self.start}-{self.arm}{tried}" + (f"-seed{self.seed}" if self.seed else "")

    @property
    def tries(self) -> bool:
        """Whether it serves a choice, and must not see the test names."""
        return self.start == TUNING_START


def arms_of(sizes: Sizes) -> tuple[Arm, ...]:
    """Return the arms, each after the one it starts from."""
    return tuple(arm for arm in ARMS if arm.name in sizes.arms)


def tuning_jobs(sizes: Sizes) -> Iterator[Job]:
    """Yield the jobs that try learning rates; they need the tuning start alone, and its arms."""
    for arm in arms_of(sizes):
        for rate in sizes.rates:
            yield Job(TUNING_START, arm.name, 0, rate)


def compared_jobs(sizes: Sizes) -> Iterator[Job]:
    """Yield the compared trainings so that any part of them is nearly balanced."""
    for start in range(1, sizes.starts + 1):
        yield Job(start)
    for seed in range(1, sizes.seeds + 1):
        for start in range(1, sizes.starts + 1):
            for arm in arms_of(sizes):
                yield Job(start, arm.name, seed)
