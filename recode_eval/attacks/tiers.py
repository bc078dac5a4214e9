"""Attacking one tier from the opening of the sandbox to the traces it leaves."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.attacks.bait import Bait
from recode_eval.attacks.running import ATTACK_LIMITS, AttackResult, run_attacks
from recode_eval.attacks.traces import leftovers, take_traces
from recode_eval.errors import UsageError
from recode_eval.sandbox.base import SandboxBuildError, SandboxUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.attacks.catalog import Attack
    from recode_eval.sandbox.base import Sandbox


@dataclass(frozen=True, slots=True)
class TierOutcome:
    """Result of attacking a tier."""

    tier: str
    results: tuple[AttackResult, ...] = ()
    left: tuple[str, ...] = ()
    """What was still on this machine after the sandbox had been closed."""
    unavailable: str = ""
    """Why the tier could not be tested; empty if it was."""
    seconds: float = 0.0

    @property
    def failures(self) -> tuple[AttackResult, ...]:
        """The attacks that were not contained."""
        return tuple(result for result in self.results if not result.contained)

    @property
    def passed(self) -> bool:
        """True if the tier was tested, every attack was contained and nothing remained."""
        return not self.unavailable and not self.failures and not self.left


def attack_tier(
    tier: str,
    attacks: Sequence[Attack],
    *,
    environment: str = "mini",
    isolation: str = "program",
    base_image: str | None = None,
    log: Callable[[str], None] | None = None,
    on_done: Callable[[AttackResult], None] | None = None,
) -> TierOutcome:
    """Open a sandbox of the tier (and a second one for the neighbours), attack it, close it, look.

    Raises:
        UsageError: the tier is `none`, or no tier has this name.
        SandboxError: honest programs do not even run there.
    """
    from recode_eval.sandbox import open_sandbox
    from recode_eval.sandbox.environments import get_environment

    if tier == "none":
        raise UsageError("attacks are never run without a sandbox: choose a tier that protects")
    if (known := get_environment(environment)).npm is not None:
        raise UsageError(f"the attacks are in Python, and {known.name} is an environment of Node")

    def open_one() -> Sandbox:
        return open_sandbox(
            tier,
            environment=environment,
            workers=1,
            isolation=isolation,
            base_image=base_image,
            log=log,
        )

    users: set[int] = set()
    before = take_traces()
    started = time.monotonic()
    with ExitStack() as stack:
        bait = stack.enter_context(Bait())
        try:
            sandbox = stack.enter_context(open_one())
            neighbour = stack.enter_context(open_one())
        except (SandboxUnavailableError, SandboxBuildError) as error:
            return TierOutcome(tier, unavailable=str(error))
        results = run_attacks(
            sandbox,
            attacks,
            ATTACK_LIMITS,
            on_done,
            neighbour=neighbour,
            bait=bait,
            users=users,
            reopen=open_one,
        )
    left = leftovers(before, frozenset(users))
    return TierOutcome(tier, tuple(results), tuple(left), seconds=time.monotonic() - started)
