"""Define the interface of a sandbox tier, and find tiers.

A tier is a module (or any object) with the members of `SandboxTier`. To add one, write the module
and name it in `TIERS_BY_NAME`, or in the entry point group `recode_eval.sandboxes` of another
package. `auto` chooses among the built-in ones, strongest first; others are used when named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from recode_eval.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_eval.sandbox.environments import Environment
    from recode_eval.sandbox.runtimes import CommandRuntime
    from recode_eval.sandbox.worker import Launcher


@dataclass(frozen=True, slots=True)
class TierRequest:
    """What a tier is asked to start supervisors for."""

    environment: Environment
    """The libraries and, with them, the interpreter of the programs."""
    log: Callable[[str], None]
    """Is told in a few words what takes time."""
    base_image: str | None = None
    """The image to build on, for tiers that use images."""
    runtimes: tuple[CommandRuntime, ...] = ()
    """Languages other than Python."""


class SandboxTier(Protocol):
    """The members of a tier's module."""

    @property
    def GUARANTEES(self) -> tuple[str, ...]:  # noqa: N802 - a module's constant
        """Short sentences for people: what this tier keeps a hostile program from doing."""
        ...

    @property
    def FIX(self) -> str:  # noqa: N802
        """What to do where it does not work; a phrase that starts with a verb."""
        ...

    def reason_against(self) -> str | None:
        """Why it cannot work on this machine, or `None`; builds nothing, takes seconds at most."""
        ...

    def create(self, request: TierRequest) -> Launcher:
        """Build what is missing and return what starts supervisors.

        Raises:
            SandboxUnavailableError: it cannot work here.
            SandboxBuildError: the image or the interpreter's environment could not be built.
        """
        ...


TIERS = ("docker", "bubblewrap", "landlock")
"""The built-in tiers that protect, strongest first."""
UNPROTECTED = "none"
"""The tier that protects from nothing; must be asked for twice."""
TIERS_BY_NAME: Registry[SandboxTier] = Registry(
    "sandbox",
    "recode_eval.sandboxes",
    {name: f"recode_eval.sandbox.{name}" for name in TIERS}
    | {UNPROTECTED: "recode_eval.sandbox.unprotected"},
    needs=("GUARANTEES", "FIX", "reason_against", "create"),
)
