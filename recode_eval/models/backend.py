"""What a back-end declares about itself. Callers read this and never compare names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recode_eval.models.base import Model
    from recode_eval.models.options import ModelOptions

    Solutions = Mapping[str, Mapping[str, str]]
    """Problem id -> kind of solution -> code: what a baseline answers with."""

CHECKPOINT_OPTIONS: Final = frozenset(
    {"adapter", "dtype", "max_context", "trust_remote_code", "revision"}
)
"""What every back-end that loads a checkpoint heeds."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to get completions.

    >>> from recode_eval.models.backends import get_backend
    >>> get_backend("baseline").deterministic
    True
    """

    create: Callable[[str, ModelOptions, Solutions], Model]
    """Builds the model from what follows the back-end's name in `--model`, the options, and the
    known solutions of the problems that will be asked. Raises `UsageError` for a model or an option
    that does not fit, `DataError` for unreadable files, `InfrastructureError` for a server, hub or
    engine that fails."""
    options: frozenset[str] = frozenset()
    """The fields of `ModelOptions` that it heeds. A user who sets another one gets an error."""
    loads_checkpoint: bool = False
    """It loads weights, which takes minutes: the sandbox opens first, and Ray can hold copies."""
    deterministic: bool = False
    """Every sample of a problem is the same, so that one is drawn; and the answers depend on the
    task, so that each task gets a model of its own."""
    generates: bool = True
    """A model writes the completions now. False: they are saved or known, and temperature, token
    limit and prompt do not change them."""
    calls_tools: bool = False
    """Its models may call tools that a request offers (`Request.tools`)."""
