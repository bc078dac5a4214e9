"""What a library refuses is no bug of ours: its sentence, with the exit code of a wrong setting."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recode_eval.errors import InfrastructureError, RecodeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHOWN: Final = 600
_REFUSED: Final = (
    ImportError, ValueError, TypeError, LookupError, AttributeError, AssertionError,
    FileNotFoundError, NotImplementedError,
)  # fmt: skip
_TRACKERS: Final = ("wandb", "trackio", "tensorboard")
"""Packages that a training reports to, whose errors are of kinds of their own."""
_OURS: Final = tuple(
    str(Path(str(importlib.import_module(name).__file__)).parent)
    for name in ("recode_train", "recode_eval")
)


@contextlib.contextmanager
def refusals(until: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Turn what libraries raise while they are set up into `UsageError` with their sentence.

    `until` says that the set-up is over; later errors, and those raised in our own code, pass.
    Raises `InfrastructureError` for a server that a library cannot reach.
    """
    try:
        yield
    except (RecodeError, MemoryError):
        raise
    except ConnectionError as error:
        raise InfrastructureError(f"A server cannot be reached: {_sentence(error)}") from error
    except Exception as error:
        if until() or _is_ours(error):
            raise
        if type(error).__module__.partition(".")[0] in _TRACKERS:
            raise UsageError(
                f"A tracker refuses the run: {_sentence(error)} Log in there, let it work offline "
                "(WANDB_MODE=offline), or leave report_to out."
            ) from error
        if not isinstance(error, _REFUSED):
            raise
        advice = "; install it" if isinstance(error, ImportError) else ""
        raise UsageError(f"A library refuses the settings: {_sentence(error)}{advice}") from error


def _is_ours(error: BaseException) -> bool:
    """Tell whether the error was raised in this project's own code."""
    trace, file = error.__traceback__, ""
    while trace is not None:
        file, trace = trace.tb_frame.f_code.co_filename, trace.tb_next
    return any(Path(file).is_relative_to(folder) for folder in _OURS)


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, LookupError | AttributeError):
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
