"""Attacking one tier from the opening of the sandbox to the traces it leaves."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from recode_eval.attacks.bait import Bait
from recode_eval.attacks.dialects import dialect_of
from recode_eval.attacks.running import ATTACK_LIMITS, AttackResult, run_attacks
from recode_eval.attacks.traces import leftovers, take_traces
from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.languages import runtimes_of
from recode_eval.sandbox.base import SandboxBuildError, SandboxUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recode_eval.attacks.catalog import Attack
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.sandbox.runtimes import CommandRuntime


@dataclass(frozen=True, slots=True)
class TierOutcome:
    """Result of attacking a tier."""

    tier: str
    results: tuple[AttackResult, ...] = ()
    left: tuple[str, ...] = ()
    """What was still on this machine after the sandbox had been closed."""
    unavailable: str = ""
    """Why the tier could not be tested; empty if it was."""
    untested: Mapping[str, str] = field(default_factory=dict)
    """Languages whose attacks could not run, and why; the tier was tested with the others."""
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
    """Attack a tier: open a sandbox for each language, attack it, close it, and look around.

    A second sandbox runs the neighbours. `environment` is that of Python; other languages have one
    of their own.

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

    def open_one(language: str, runtimes: Sequence[CommandRuntime]) -> Sandbox:
        return open_sandbox(
            tier,
            environment=dialect_of(language).environment or environment,
            workers=1,
            isolation=isolation,
            base_image=base_image,
            runtimes=runtimes,
            log=log,
        )

    users: set[int] = set()
    results: list[AttackResult] = []
    untested: dict[str, str] = {}
    before = take_traces()
    started = time.monotonic()
    with Bait() as bait:
        for language in dict.fromkeys(attack.language for attack in attacks):
            with ExitStack() as stack:
                try:
                    reopen = partial(open_one, language, _runtimes(language))
                    sandbox = stack.enter_context(reopen())
                    neighbour = stack.enter_context(reopen())
                except (SandboxUnavailableError, SandboxBuildError) as error:
                    untested[language] = str(error)
                    continue
                results += run_attacks(
                    sandbox,
                    [attack for attack in attacks if attack.language == language],
                    ATTACK_LIMITS,
                    on_done,
                    neighbour=neighbour,
                    bait=bait,
                    users=users,
                    reopen=reopen,
                )
    if untested and not results:
        return TierOutcome(tier, unavailable=next(iter(untested.values())))
    left = leftovers(before, frozenset(users))
    return TierOutcome(
        tier, tuple(results), tuple(left), seconds=time.monotonic() - started, untested=untested
    )


def _runtimes(language: str) -> tuple[CommandRuntime, ...]:
    """What runs a language beside what its environment brings.

    Raises:
        SandboxUnavailableError: its parsers or its compiler are missing.
    """
    try:
        return runtimes_of(language)
    except (UsageError, InfrastructureError) as error:
        raise SandboxUnavailableError(str(error)) from error
