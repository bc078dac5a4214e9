"""Running untrusted programs: `open_sandbox` gives a pool of workers of the strongest tier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.lazy import loader
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


__getattr__ = loader(
    __name__, dict.fromkeys(("TierReport", "open_router", "open_sandbox", "probe"), "factory")
)
