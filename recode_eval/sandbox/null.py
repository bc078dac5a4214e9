"""A stand-in for a sandbox that executes nothing, for tasks without tests."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from recode_eval.sandbox.base import SandboxInfo, SandboxUnavailableError

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

    from recode_eval.sandbox.base import Execution, Limits, Program, Sandbox

TIER = "no execution"


class NullSandbox:
    """Opens and closes nothing, and refuses every program."""

    @property
    def info(self) -> SandboxInfo:
        """Record that nothing was executed."""
        return SandboxInfo(
            tier=TIER,
            guarantees=("Nothing is executed.",),
            isolation="none",
            workers=0,
            python=platform.python_version(),
        )

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        """Raise `SandboxUnavailableError`: a task that has programs needs a sandbox."""
        del program, limits
        raise SandboxUnavailableError("Nothing can be executed here: there is no sandbox.")

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> Sandbox:
        """Return this."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Nothing to free."""
