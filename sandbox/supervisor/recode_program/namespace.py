"""The module that a program is: a name, a place in `sys.modules`, a source that can be shown.

It is not `__main__`. HumanEval, EvalPlus and CodeUpdateArena execute an answer as a module of no
name, so what stands under `if __name__ == "__main__":` does not run there; here it must not run
either, or `sys.exit(main())`, `input()` and `unittest.main()` would fail right answers.
"""

from __future__ import annotations

import builtins
import contextlib
import linecache
import os
import sys
import threading
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "solution"
FILE = NAME + ".py"
_NEEDS_THE_FILE = ("__file__", "inspect", "linecache", "subprocess", "multiprocessing", "runpy",
                   "concurrent", "import " + NAME, "getsource", "ast.")  # fmt: skip
"""Words of programs that may look for their own file: the others are spared the writing of it."""


def fresh(own_modules: Iterable[str], folder: str) -> types.ModuleType:
    """Make the empty module of a program, and hide what the grading process itself consists of."""
    module = types.ModuleType(NAME)
    module.__file__ = os.path.join(folder, FILE)  # noqa: PTH118
    module.__dict__["__builtins__"] = builtins
    sys.modules[NAME] = module
    sys.modules["__main__"] = types.ModuleType("__main__")
    # Behind all libraries: a file that a program writes must not stand in for one of them.
    sys.path.append(folder)
    with contextlib.suppress(AttributeError):  # new in Python 3.8
        main: Any = threading.main_thread()
        main._set_native_id()  # `linux.plain_fork` leaves the zygote's
    for name in own_modules:
        sys.modules.pop(name, None)
    return module


def show_source(file: str, source: str) -> None:
    """Let tracebacks and `inspect.getsource` find the candidate's source.

    On disk only for programs that may ask for the file: most do not, and writing it takes time.
    """
    lines = source.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"  # as `linecache` does for a file
    linecache.cache[file] = (len(source), None, lines, file)
    if any(word in source for word in _NEEDS_THE_FILE):
        with contextlib.suppress(OSError, ValueError), open(file, "w", encoding="utf-8") as out:  # noqa: PTH123
            out.write(source)
