"""Reward functions of your own, named `module:function`, with the interface of TRL's.

A function gets the keyword arguments that TRL passes (`prompts`, `completions`, `completion_ids`,
`pair_id`, ...) and three lists of programs besides: `codes` (of the completions; None where there
is none), `references` and `old_codes`. It returns one number or None for each completion, and may
be asynchronous. What it raises is the function's fault, and is said so.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recode_eval.errors import RecodeError, UsageError

Programs = Callable[..., Mapping[str, Sequence[str | None]]]
"""Makes `codes`, `references` and `old_codes` of what a reward function gets."""


def is_own(name: str) -> bool:
    """Tell whether a reward's name is that of a function of the user's own.

    >>> is_own("my_rewards:short"), is_own("es_star")
    (True, False)
    """
    return ":" in name


def source_hash(name: str) -> str:
    """Return the SHA-256 of the file that defines the function; raises `UsageError`."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(_find(name)))
        return hashlib.sha256(Path(file or "").read_bytes()).hexdigest()
    except (OSError, TypeError) as error:
        raise UsageError(
            f"The reward {name} has no source file, so a run could not tell whether it changed; "
            "define it in a module."
        ) from error


def load_own(name: str, programs: Programs) -> Callable[..., Any]:
    """Return the function as TRL calls it, its results checked.

    Raises `UsageError` if there is no such module or function; the function raises it as well.

    >>> load_own("operator:none", lambda **_: {})
    Traceback (most recent call last):
    ...
    recode_eval.errors.UsageError: The reward operator:none: its module has no such function.
    """
    function = _find(name)

    def arguments(given: Mapping[str, Any]) -> dict[str, Any]:
        return {**given, **programs(**given)}

    @contextlib.contextmanager
    def blaming() -> Iterator[None]:
        try:
            yield
        except RecodeError:
            raise
        except Exception as error:
            raise _failed(name, error) from error

    async def wait(**given: Any) -> list[float | None]:
        with blaming():
            values = await function(**arguments(given))
        return _checked(name, values, len(given["completions"]))

    def call(**given: Any) -> list[float | None]:
        with blaming():
            values = function(**arguments(given))
        return _checked(name, values, len(given["completions"]))

    made: Callable[..., Any] = wait if inspect.iscoroutinefunction(function) else call
    made.__name__ = name  # the log has the name that the settings have
    return made


@functools.cache
def _find(name: str) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name.isidentifier():
        raise UsageError(f"The reward {name!r}: write module:function, as in my_rewards:short.")
    # Scripts of the console do not look into the folder that they are started in.
    before = list(sys.path)
    sys.path.append(str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"The reward {name}: there is no module {error.name}, neither installed nor in the "
            "current folder."
        ) from error
    except Exception as error:
        raise _failed(name, error) from error
    finally:
        sys.path[:] = before
    found = getattr(module, function_name, None)
    if not callable(found):
        raise UsageError(f"The reward {name}: its module has no such function.")
    function: Callable[..., Any] = found
    return function


def _failed(name: str, error: Exception) -> UsageError:
    trace, line = error.__traceback__, ""
    while trace is not None:
        line = f" in line {trace.tb_lineno} of {Path(trace.tb_frame.f_code.co_filename).name}"
        trace = trace.tb_next
    text = " ".join(str(error).split())
    return UsageError(f"The reward {name} failed{line}: {type(error).__name__}: {text}")


def _checked(name: str, values: Any, count: int) -> list[float | None]:
    """Return the values as numbers; raises `UsageError` for what is none."""
    if not isinstance(values, Sequence) and not hasattr(values, "__iter__"):
        raise UsageError(f"The reward {name} returned {type(values).__name__}, not a list.")
    found = [None if value is None else _number(name, value) for value in values]
    if len(found) != count:
        raise UsageError(f"The reward {name} returned {len(found)} values for {count} completions.")
    return found


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(
            f"The reward {name} returned {value!r}: a reward is a finite number, or None where a "
            "completion cannot be scored."
        )
    return number
