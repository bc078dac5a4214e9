"""The `Executor` interface: who loads models and opens sandboxes; and the one for this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from recode_eval.models.base import Model
    from recode_eval.models.options import ModelOptions
    from recode_eval.sandbox.base import Sandbox


class Executor(Protocol):
    """Gives models and sandboxes, which are the caller's to close; a context manager."""

    def prepare(self, backend: str, options: ModelOptions) -> None:
        """Reserve what a model will need, before sandboxes take the rest; loads nothing.

        Raises `InfrastructureError` if it is unavailable.
        """
        ...

    def create_model(
        self,
        spec: str,
        backend: str,
        options: ModelOptions,
        answers: Mapping[str, Mapping[str, str]],
        *,
        copies: int | None = None,
    ) -> Model:
        """Build a model; arguments and errors are those of `models.create_model`.

        `copies` of it work together, where there are several machines; None: all there can be.
        """
        ...

    def models_at_once(self, options: ModelOptions, models: int) -> tuple[int, int]:
        """Return how many of several models to evaluate at once, and the copies of each."""
        ...

    def open_sandbox(self, **wanted: Any) -> Sandbox:
        """Open a sandbox; arguments and errors are those of `sandbox.open_router`."""
        ...

    def __enter__(self) -> Executor:
        """Return this."""
        ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Free what is reserved."""
        ...


class LocalExecutor:
    """Everything on this machine."""

    def prepare(self, backend: str, options: ModelOptions) -> None:
        """Nothing to reserve."""

    def create_model(
        self,
        spec: str,
        backend: str,
        options: ModelOptions,
        answers: Mapping[str, Mapping[str, str]],
        *,
        copies: int | None = None,
    ) -> Model:
        """Load the model into this process."""
        del copies
        from recode_eval.models import create_model

        return create_model(spec, backend=backend, options=options, answers=answers)

    def models_at_once(self, options: ModelOptions, models: int) -> tuple[int, int]:
        """One after the other: each takes the whole machine."""
        del options, models
        return 1, 1

    def open_sandbox(self, **wanted: Any) -> Sandbox:
        """Open the pools of this machine."""
        from recode_eval.sandbox import open_router

        return open_router(**wanted)

    def __enter__(self) -> LocalExecutor:
        """Return this."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Nothing to free."""
