"""The tier `none`: programs run with all rights of this user; only their resources are limited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.sandbox.landlock import NO_GUARANTEES, LandlockLauncher
from recode_eval.sandbox.local import program_runtimes

if TYPE_CHECKING:
    from recode_eval.sandbox.tier import TierRequest
    from recode_eval.sandbox.worker import Launcher

GUARANTEES = NO_GUARANTEES
FIX = "nothing is needed"


def reason_against() -> str | None:
    """It works everywhere."""
    return None


def create(request: TierRequest) -> Launcher:
    """Make the environment and return what starts supervisors in it."""
    return LandlockLauncher(program_runtimes(request), unsafe=True)
