"""Choosing a tier, and opening a sandbox of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recode_eval.checks import at_least_one, of_type, one_of, plain
from recode_eval.errors import DataError, UsageError
from recode_eval.plugins import unknown
from recode_eval.sandbox.base import ISOLATIONS, SandboxBuildError, SandboxUnavailableError
from recode_eval.sandbox.environment_router import EnvironmentRouter
from recode_eval.sandbox.pool import Pool
from recode_eval.sandbox.tier import TIERS as TIERS
from recode_eval.sandbox.tier import TIERS_BY_NAME, UNPROTECTED, TierRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.sandbox.base import Sandbox
    from recode_eval.sandbox.runtimes import CommandRuntime

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class TierReport:
    """Whether a tier works on this machine."""

    tier: str
    available: bool
    reason: str
    """Why not; empty if it is available."""
    fix: str
    """What to do about it; empty if it is available."""
    guarantees: tuple[str, ...]


def probe() -> list[TierReport]:
    """Look at every tier, strongest first; builds nothing and takes a few seconds at most."""
    return [_report(tier) for tier in TIERS_BY_NAME.names() if tier != UNPROTECTED]


def _report(tier: str) -> TierReport:
    try:
        found = TIERS_BY_NAME.get(tier)
    except DataError as error:  # another package's: it does not hide the other tiers
        return TierReport(tier, False, str(error), "mend or uninstall that package", ())
    reason = found.reason_against()
    return TierReport(
        tier, reason is None, reason or "", found.FIX if reason else "", found.GUARANTEES
    )


def open_sandbox(
    tier: str = "auto",
    *,
    environment: str = "mini",
    workers: int | None = None,
    isolation: str = "program",
    allow_unsafe: bool = False,
    base_image: str | None = None,
    runtimes: Sequence[CommandRuntime] = (),
    log: Callable[[str], None] | None = None,
) -> Sandbox:
    """Open a sandbox; a missing image or venv is built first.

    `auto` takes the strongest tier that works, and tells `log` why a stronger one does not.
    `workers` defaults to the number of usable CPUs. `isolation` is `program` (one process for all
    tests of a program) or `test` (a process per test, set-up included). `none` runs programs
    without any protection and needs `allow_unsafe`. `runtimes` add languages besides Python.

    Raises:
        UsageError: an unknown tier, isolation or environment, or `none` without `allow_unsafe`.
        SandboxUnavailableError: the tier (with `auto`: every tier) cannot work here.
        SandboxBuildError: the chosen tier's image or venv could not be built.
    """
    from recode_eval.sandbox.environments import get_environment

    tell = log or (lambda _message: None)
    one_of("isolation", isolation, ISOLATIONS)
    check_tier(tier, allow_unsafe=allow_unsafe)
    workers = plain(workers)
    at_least_one("workers", workers)
    wanted = get_environment(environment)
    count = workers if workers is not None else len(os.sched_getaffinity(0))
    if tier == UNPROTECTED:
        tell("WARNING: no sandbox. Untrusted code runs with all rights of this user.")

    def open_tier(name: str) -> Sandbox:
        request = TierRequest(wanted, tell, base_image, tuple(runtimes))
        launcher = TIERS_BY_NAME.get(name).create(request)
        return Pool(launcher, workers=count, isolation=isolation)

    if tier != AUTO:
        return open_tier(tier)
    return _strongest(open_tier, tell)


def check_tier(tier: str, *, allow_unsafe: bool = False) -> None:
    """Raise `UsageError` for a tier that there is not, or `none` without `allow_unsafe`.

    >>> check_tier("docer")
    Traceback (most recent call last):
    ...
    recode_eval.errors.UsageError: Unknown sandbox 'docer'. Did you mean docker? Known: auto, \
docker, bubblewrap, landlock, none.
    """
    of_type("tier", tier, str, "a name")
    of_type("allow_unsafe", allow_unsafe, bool, "true or false")
    if tier != AUTO and tier not in TIERS_BY_NAME:
        raise UsageError(unknown("sandbox", tier, [AUTO, *TIERS_BY_NAME.names()]))
    if tier == UNPROTECTED and not allow_unsafe:
        raise UsageError(
            "--sandbox none runs untrusted code with all rights of this user; to accept that, add "
            "--i-know-this-is-unsafe (in Python: allow_unsafe=True)"
        )


def open_router(
    tier: str = "auto",
    *,
    environment: str = "mini",
    workers: int | None = None,
    isolation: str = "program",
    allow_unsafe: bool = False,
    base_image: str | None = None,
    runtimes: Sequence[CommandRuntime] = (),
    log: Callable[[str], None] | None = None,
) -> Sandbox:
    """Open a sandbox whose programs may name other environments, which are opened when needed.

    Arguments and errors are those of `open_sandbox`. Every environment is opened in the tier that
    the first one got: verdicts of different tiers are not mixed.
    """
    from recode_eval.sandbox.environments import get_environment

    def open_one(name: str, chosen: str) -> Sandbox:
        return open_sandbox(
            chosen,
            environment=name,
            workers=workers,
            isolation=isolation,
            allow_unsafe=allow_unsafe,
            base_image=base_image,
            runtimes=runtimes,
            log=log if chosen != UNPROTECTED or name == environment else None,
        )

    def libraries(name: str) -> dict[str, str]:
        return {pin.name: pin.version for pin in get_environment(name).pins}

    own = open_one(environment, tier)
    return EnvironmentRouter(own, lambda name: open_one(name, own.info.tier), libraries=libraries)


def _strongest(open_tier: Callable[[str], Sandbox], tell: Callable[[str], None]) -> Sandbox:
    reasons = []
    for name in TIERS:
        try:
            sandbox = open_tier(name)
        except (SandboxUnavailableError, SandboxBuildError) as error:
            reasons.append(f"{name}: {error}")
            tell(f"WARNING: the sandbox {name!r} cannot be used: {error}")
            continue
        if reasons:
            tell(
                f"WARNING: using the weaker sandbox {name!r}: {'; '.join(sandbox.info.guarantees)}"
            )
        return sandbox
    advice = "; ".join(f"{name}: {TIERS_BY_NAME.get(name).FIX}" for name in TIERS)
    raise SandboxUnavailableError(
        f"no sandbox works on this machine ({' | '.join(reasons)}). One of these helps: {advice}"
    )
