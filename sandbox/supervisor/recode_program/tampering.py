"""Notice, after a test, that the candidate changed what the test itself is made of.

The zygote remembers what the modules and classes that tests use consist of. After a test the names
that occur in its code are looked up again: whatever is another object than before, and was not
changed by the set-up (an update in force), the candidate has replaced. This is evidence for people,
no wall: code in the same process can undo it. It costs a few lookups per test.
"""

from __future__ import annotations

import builtins
import sys
import types
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Index = Dict[str, List[Tuple[str, Any, Any, Any]]]
"""Name -> where it is: how the place is shown, the live dictionary, the value it had, its code."""

_MODULES = (
    "math", "cmath", "operator", "statistics", "random", "copy", "itertools", "functools",
    "collections", "decimal", "fractions", "datetime", "json", "re", "unittest", "unittest.case",
    "unittest.mock", "numpy", "numpy.testing", "numpy.linalg", "pandas", "pandas.testing", "torch",
    "torch.testing", "torch.nn.functional", "sympy", "scipy", "scipy.stats", "pytest", "os",
    "inspect", "types",
)  # fmt: skip
_CLASSES = (
    ("unittest.case", "TestCase"), ("fractions", "Fraction"), ("decimal", "Decimal"),
    ("pandas", "DataFrame"), ("pandas", "Series"), ("pandas", "Index"), ("torch", "Tensor"),
    ("sympy", "Basic"), ("sympy", "Expr"), ("collections", "Counter"),
    ("collections", "OrderedDict"), ("datetime", "datetime"),
)  # fmt: skip
_ALWAYS = (
    "__eq__", "__ne__", "__bool__", "__lt__", "__le__", "__gt__", "__ge__", "__contains__",
    "__len__", "__iter__", "__getitem__", "__sub__", "__rsub__", "__abs__", "__round__",
    "assertEqual", "isinstance", "AssertionError",
)  # fmt: skip
"""Looked at after every test: what plain `assert`s use without naming it."""
_MOST_SHOWN = 5


def remember() -> Index:
    """In the zygote: what the watched modules and classes hold, as far as they are loaded."""
    index: Index = {}
    for shown, space in _watched():
        for name, value in space.items():
            index.setdefault(name, []).append(
                (shown + "." + name, space, value, getattr(value, "__code__", None))
            )
    return index


def _watched() -> Iterator[tuple[str, Any]]:
    for name in _MODULES:
        module = sys.modules.get(name)
        if module is not None:
            yield name, module.__dict__
    for module_name, name in _CLASSES:
        found = getattr(sys.modules.get(module_name), name, None)
        if isinstance(found, type):
            yield f"{module_name}.{name}", found.__dict__


def names_in(code: types.CodeType, *, texts: bool = True) -> set[str]:
    r"""All names that a code object and those inside it use, and (if wanted) their short texts.

    >>> sorted(names_in(compile("import math\nassert math.sin(1)", "", "exec")))
    ['math', 'sin']
    """
    found: set[str] = set()
    queue = [code]
    while queue:
        one = queue.pop()
        found.update(one.co_names)
        for constant in one.co_consts:
            if type(constant) is types.CodeType:
                queue.append(constant)
            elif texts and type(constant) is str and len(constant) < 40:
                found.add(constant)  # `setattr(math, "sin", ...)`
    return found


def watcher(index: Index, setup: types.CodeType) -> Callable[[types.CodeType, bytes], bytes]:
    """After the set-up: make the function that names, after a test, what has been replaced.

    It gives an exact `bytes`, empty if all is as it was. `patched` is what it says of builtins.
    """
    type_, function, nothing = type, types.FunctionType, ()
    allowed = {
        shown: space.get(name)
        for name in names_in(setup)
        for shown, space, old, _ in index.get(name, nothing)
        if space.get(name) is not old
    }
    sorted_, names_of, join = sorted, names_in, b", ".join
    encode, always, most = str.encode, _ALWAYS, _MOST_SHOWN

    def replaced(code: types.CodeType, patched: bytes) -> bytes:
        names = names_of(code)
        names.update(always)
        found = set()
        for name in names:
            for shown, space, old, old_code in index.get(name, nothing):
                new = space.get(name)
                if new is not old:
                    if shown not in allowed or allowed[shown] is not new:
                        found.add(shown)
                elif type_(new) is function and new.__code__ is not old_code:
                    found.add(shown)
        named = [encode(one, "ascii", "backslashreplace") for one in sorted_(found)[:most]]
        if patched:
            named.insert(0, patched)
        return b"the answer replaced " + join(named) if named else b""

    return replaced


def builtins_watcher(originals: dict[str, Any]) -> Callable[[], bytes]:
    """Make the function that names, after the candidate, which builtins it has replaced."""
    get, live, encode, most = dict.get, builtins.__dict__, str.encode, _MOST_SHOWN
    join = b", ".join

    def patches() -> bytes:
        found = [name for name, value in originals.items() if get(live, name) is not value]
        return join([b"builtins." + encode(name) for name in found[:most]])

    return patches
