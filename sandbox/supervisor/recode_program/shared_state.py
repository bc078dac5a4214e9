"""State of a process that tests and candidate share although they are in two.

What the candidate prints and warns of while a test listens is passed on to the test, and where a
test sets seeds, both have the same random numbers.
"""

from __future__ import annotations

import contextlib
import io
import random
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def listening(
    printed: list[str], warned: list[Any], *, captures: bool, warns: bool
) -> Iterator[None]:
    """Collect what is printed and warned of meanwhile, as far as the other side wants it."""
    with contextlib.ExitStack() as stack:
        streams: tuple[io.StringIO, io.StringIO] | None = None
        if captures:
            streams = io.StringIO(), io.StringIO()
            stack.enter_context(contextlib.redirect_stdout(streams[0]))
            stack.enter_context(contextlib.redirect_stderr(streams[1]))
        caught: list[Any] = []
        if warns:
            caught = stack.enter_context(warnings.catch_warnings(record=True))
            warnings.simplefilter("always")
        try:
            yield
        finally:
            if streams is not None:
                printed[:] = [stream.getvalue() for stream in streams]
            warned[:] = [[one.category, str(one.message)] for one in caught]


def random_state() -> Any:
    """The states of all generators that programs seed, as plain data."""
    state: list[Any] = [random.getstate()]
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        kind, keys, *rest = numpy.random.get_state()
        state.append([kind, keys.tolist(), *rest])
    if torch is not None:
        state.append(torch.get_rng_state().tolist())
    return state


def set_random_state(state: Any) -> None:
    """Continue with these states."""
    version, numbers, gauss = state[0]
    random.setstate((version, tuple(numbers), gauss))
    rest = state[1:]
    if "numpy" in sys.modules and rest:
        sys.modules["numpy"].random.set_state(tuple(rest.pop(0)))
    if "torch" in sys.modules and rest:
        torch = sys.modules["torch"]
        torch.set_rng_state(torch.tensor(rest.pop(0), dtype=torch.uint8))
