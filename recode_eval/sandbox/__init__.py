"""Running untrusted programs: `open_sandbox` gives a pool of workers of the strongest tier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recode_eval.sandbox.base import (
    Execution,
    Limits,
    Program,
    Sandbox,
    SandboxInfo,
    Status,
    Test,
    TestVerdict,
)

if TYPE_CHECKING:
    from recode_eval.sandbox.factory import TierReport, open_router, open_sandbox, probe

__all__ = [
    "Execution",
    "Limits",
    "Program",
    "Sandbox",
    "SandboxInfo",
    "Status",
    "Test",
    "TestVerdict",
    "TierReport",
    "open_router",
    "open_sandbox",
    "probe",
]


def __getattr__(name: str) -> Any:
    """Load what starts sandboxes only when it is asked for."""
    if name in {"open_router", "open_sandbox", "probe", "TierReport"}:
        from recode_eval.sandbox import factory

        return getattr(factory, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
