"""Choosing a tier, and opening a sandbox of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recode_eval.errors import UsageError
from recode_eval.sandbox import bubblewrap, docker, landlock
from recode_eval.sandbox.base import SandboxBuildError, SandboxUnavailableError
from recode_eval.sandbox.fleet import Fleet
from recode_eval.sandbox.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_eval.sandbox.base import Sandbox
    from recode_eval.sandbox.environments import Environment
    from recode_eval.sandbox.worker import Launcher

Tier = Literal["auto", "docker", "bubblewrap", "landlock", "none"]
TIERS = ("docker", "bubblewrap", "landlock")
"""Strongest first."""
ISOLATIONS = ("program", "test")

_FIX = {
    "docker": "install and start Docker (Debian/Ubuntu: apt-get install docker.io) and let this "
    "user use it (group docker)",
    "bubblewrap": "install bubblewrap (Debian/Ubuntu: apt-get install bubblewrap) and allow user "
    "namespaces (sysctl kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0)",
    "landlock": "use Linux 5.13 or newer with Landlock switched on (kernel parameter lsm=)",
}


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
    return [_report(tier) for tier in TIERS]


def _report(tier: str) -> TierReport:
    module = {"docker": docker, "bubblewrap": bubblewrap, "landlock": landlock}[tier]
    reason = module.reason_against()
    return TierReport(
        tier, reason is None, reason or "", _FIX[tier] if reason else "", module.GUARANTEES
    )


def open_sandbox(
    tier: str = "auto",
    *,
    environment: str = "mini",
    workers: int | None = None,
    isolation: str = "program",
    allow_unsafe: bool = False,
    base_image: str | None = None,
    notify: Callable[[str], None] | None = None,
) -> Sandbox:
    """Open a sandbox; a missing image or venv is built first.

    `auto` takes the strongest tier that works, and tells `notify` why a stronger one does not.
    `workers` defaults to the number of usable CPUs. `isolation` is `program` (one process for all
    tests of a program) or `test` (a process per test, set-up included). `none` runs programs
    without any protection and needs `allow_unsafe`.

    Raises:
        UsageError: an unknown tier, isolation or environment, or `none` without `allow_unsafe`.
        SandboxUnavailableError: the tier (with `auto`: every tier) cannot work here.
        SandboxBuildError: the chosen tier's image or venv could not be built.
    """
    from recode_eval.sandbox.environments import get_environment

    tell = notify or (lambda _message: None)
    if isolation not in ISOLATIONS:
        raise UsageError(f"unknown isolation {isolation!r}; there are: {', '.join(ISOLATIONS)}")
    if tier not in {"auto", "none", *TIERS}:
        raise UsageError(f"unknown sandbox {tier!r}; there are: auto, {', '.join(TIERS)}, none")
    if tier == "none" and not allow_unsafe:
        raise UsageError(
            "--sandbox none runs untrusted code with all rights of this user; if that is what you "
            "want, add --i-know-this-is-unsafe"
        )
    wanted = get_environment(environment)
    count = workers if workers is not None else len(os.sched_getaffinity(0))
    if count < 1:
        raise UsageError("a sandbox needs at least one worker")
    if tier == "none":
        tell("WARNING: no sandbox. Untrusted code runs with all rights of this user.")

    def open_tier(name: str) -> Sandbox:
        return Pool(_launcher(name, wanted, base_image, tell), workers=count, isolation=isolation)

    if tier != "auto":
        return open_tier(tier)
    return _strongest(open_tier, tell)


def open_fleet(
    tier: str = "auto",
    *,
    environment: str = "mini",
    workers: int | None = None,
    isolation: str = "program",
    allow_unsafe: bool = False,
    base_image: str | None = None,
    notify: Callable[[str], None] | None = None,
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
            notify=notify if chosen != "none" or name == environment else None,
        )

    def libraries(name: str) -> dict[str, str]:
        return {pin.name: pin.version for pin in get_environment(name).pins}

    own = open_one(environment, tier)
    return Fleet(own, lambda name: open_one(name, own.info.tier), libraries=libraries)


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
    advice = "; ".join(f"{name}: {_FIX[name]}" for name in TIERS)
    raise SandboxUnavailableError(
        f"no sandbox works on this machine ({' | '.join(reasons)}). One of these helps: {advice}"
    )


def _launcher(
    name: str, environment: Environment, base_image: str | None, tell: Callable[[str], None]
) -> Launcher:
    """Make the launcher of a tier. The cheap reasons against it come before any build."""
    from recode_eval.sandbox.environments import ensure_image, ensure_venv

    if name == "docker":
        return docker.DockerLauncher(ensure_image(environment, base_image=base_image, notify=tell))
    module = {"bubblewrap": bubblewrap, "landlock": landlock}.get(name)
    reason = module.reason_against() if module else None
    if reason:
        raise SandboxUnavailableError(f"{reason}; {_FIX[name]}")
    venv = ensure_venv(environment, notify=tell)
    if name == "bubblewrap":
        return bubblewrap.BubblewrapLauncher(venv.root, venv.python, venv.base_prefix)
    return landlock.LandlockLauncher(venv.python, unsafe=name == "none")
