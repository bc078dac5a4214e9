"""What compares an answer with the reference solution, input by input; runs *inside* the sandbox.

The source of this module is sent along with each test of the task kind `humaneval-plus` and is
executed there in a namespace of its own; it imports nothing. Expected outputs are computed only
after the answer's call, from inputs that the answer never saw: each call gets its own, made anew.
The rules of comparison are EvalPlus's (Liu et al. 2023, arXiv 2305.01210).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_RELATIVE = 1e-7
_FLOAT_TOLERANCE = 1e-6
_SHOWN = 80
"""Characters of a value that a message shows."""


def examine(
    candidate: Callable[..., Any],
    entry_point: str,
    reference: str,
    contract: str,
    inputs: str,
    first: int,
    atol: float,
) -> int:
    """Call `candidate` with every input that the contract admits; return how many inputs there are.

    `reference` and `contract` are programs that define `entry_point`; the contract's raises on
    inputs that are not to be asked. `inputs` is the source of a list of argument lists, of which
    the first has the number `first`. Raises `AssertionError` where the outputs differ by more than
    `atol` allows.
    """
    make = eval("lambda: " + inputs, {"inf": float("inf"), "nan": float("nan")})  # noqa: S307
    expected_of = _function(reference, entry_point)
    admit = _function(contract, entry_point) if contract else None
    given, again, once_more = make(), make(), make()
    for index in range(len(given)):
        if admit is not None and not _admitted(admit, once_more[index]):
            continue
        got = candidate(*given[index])
        expected = expected_of(*again[index])
        good = agrees(expected, got, atol)
        if entry_point == "find_zero" and not good:
            # Any zero will do. (Where a polynomial is steep, even the best float is far from 0.)
            good = abs(_polynomial(once_more[index][0], got)) <= atol
        if not good:
            raise AssertionError(
                f"input {first + index}: {_shown(got)} instead of {_shown(expected)}"
            )
    return len(given)


def agrees(expected: Any, got: Any, atol: float) -> bool:
    """Whether an output is right: equal, or (floats, or where `atol` is not 0) close enough.

    Close numbers must have the same type as a whole (no tuple for a list), and differ by at most
    atol + 1e-7 |expected|; floats have an `atol` of 1e-6 where the row has none.
    """
    if got == expected:
        return True
    atol = atol or (_FLOAT_TOLERANCE if _are_floats(expected) else 0)
    return bool(atol) and type(got) is type(expected) and _close(expected, got, atol)


def _are_floats(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(item, float) for item in value)
    return isinstance(value, float)


def _close(expected: Any, got: Any, atol: float) -> bool:
    if isinstance(expected, list | tuple):
        if not isinstance(got, list | tuple) or len(expected) != len(got):
            return False
        return all(_close(expected[i], got[i], atol) for i in range(len(expected)))
    if not isinstance(expected, int | float):
        return False
    if got == expected:
        return True
    try:
        difference = abs(got - expected)
        # The second condition is for infinities, which are close to nothing else.
        return bool(difference <= atol + _RELATIVE * abs(expected) and difference < float("inf"))
    except (TypeError, ValueError, OverflowError):
        return False


def _polynomial(coefficients: list[Any], x: Any) -> Any:
    return sum(coefficients[i] * x**i for i in range(len(coefficients)))


def _function(source: str, name: str) -> Callable[..., Any]:
    scope: dict[str, Any] = {"__name__": "reference"}
    exec(source, scope)  # noqa: S102
    function: Callable[..., Any] = scope[name]
    return function


def _admitted(admit: Callable[..., Any], arguments: list[Any]) -> bool:
    try:
        admit(*arguments)
    except Exception:  # noqa: BLE001 - a contract may say no in any way
        return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
