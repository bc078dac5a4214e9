"""The problem, and the answers to it with what a sound grader returns.

Every answer is a program that ends by itself or that a limit must end. None of them deletes files,
talks to a network, or starts more than a few processes: a grader without a sandbox survives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBLEM: Final[Mapping[str, str]] = {
    "task_id": "conformance/0",
    "entry_point": "add_up",
    "prompt": 'def add_up(numbers):\n    """Return the sum of a list of whole numbers."""\n',
    "canonical_solution": "    return sum(numbers)\n",
    "test": (
        "def check(candidate):\n"
        "    assert candidate([]) == 0\n"
        "    assert candidate([41, 1]) == 42\n"
        "    assert candidate([7, -9, 100]) == 98\n"
    ),
}
"""A row as HumanEval has them: prompt, test and the name that the test calls."""
_RIGHT = "def add_up(numbers):\n    return sum(numbers)\n"
_WRONG = "def add_up(numbers):\n    return 13\n"


@dataclass(frozen=True, slots=True)
class ConformanceCase:
    """One answer."""

    name: str
    kind: str
    """`right`, `wrong`, `forged`, `raising`, `hanging` or `flooding`."""
    code: str | None
    """The program; None: the answer holds none."""
    expected: float
    """1.0 or 0.0."""
    text: str = ""
    """The whole answer where it is not the program in a block."""

    @property
    def answer(self) -> str:
        """What the model is taken to have written."""
        return self.text or f"```python\n{self.code}```\n"


def _case(kind: str, name: str, code: str, expected: float = 0.0) -> ConformanceCase:
    return ConformanceCase(name, kind, code, expected)


_RIGHT_CASES = (
    _case("right", "plain", _RIGHT, 1.0),
    _case("right", "a helper and a constant",
          "ZERO = 0\n\ndef _add(a, b):\n    return a + b\n\ndef add_up(numbers):\n"
          "    total = ZERO\n    for n in numbers:\n        total = _add(total, n)\n"
          "    return total\n", 1.0),
    _case("right", "prints on the way",
          "def add_up(numbers):\n    print('adding', numbers)\n    return sum(numbers)\n", 1.0),
    _case("right", "a main part that would fail",
          f"{_RIGHT}\nif __name__ == '__main__':\n    raise SystemExit('not run by tests')\n", 1.0),
    _case("right", "catches everything inside",
          "def add_up(numbers):\n    try:\n        raise KeyError\n    except BaseException:\n"
          "        return sum(numbers)\n", 1.0),
    _case("right", "imports and types",
          "from __future__ import annotations\nfrom functools import reduce\n\n"
          "def add_up(numbers: list[int]) -> int:\n"
          "    return reduce(lambda a, b: a + b, numbers, 0)\n", 1.0),
)  # fmt: skip
_WRONG_CASES = (
    _case("wrong", "a constant", _WRONG),
    _case("wrong", "right for the first tests only",
          "def add_up(numbers):\n    return sum(numbers[:2])\n"),
    _case("wrong", "another name", "def add(numbers):\n    return sum(numbers)\n"),
    _case("wrong", "returns nothing", "def add_up(numbers):\n    sum(numbers)\n"),
    _case("wrong", "no program at all", "\n"),
    ConformanceCase("prose", "wrong", None, 0.0, "I would add the numbers one by one."),
    ConformanceCase("nothing", "wrong", None, 0.0, " "),
    _case("wrong", "does not parse", "def add_up(numbers:\n    return sum(numbers)\n"),
    _case("wrong", "a NUL byte", "def add_up(numbers):\n    return '\0'\n"),
)  # fmt: skip
_FORGED_CASES = (
    _case("forged", "leaves with exit code 0 while it is loaded",
          f"import os\n{_WRONG}os._exit(0)\n"),
    _case("forged", "leaves with SystemExit while it is loaded",
          f"import sys\n{_WRONG}sys.exit(0)\n"),
    _case("forged", "leaves with exit code 0 when it is called",
          "import os\n\ndef add_up(numbers):\n    os._exit(0)\n"),
    _case("forged", "an exit handler that leaves with code 0",
          f"import atexit, os\natexit.register(os._exit, 0)\n{_WRONG}"),
    _case("forged", "a hook that leaves with code 0 on every exception",
          f"import os, sys\nsys.excepthook = lambda *_: os._exit(0)\n{_WRONG}"),
    _case("forged", "equals everything",
          "class Any(int):\n    def __eq__(self, other):\n        return True\n"
          "    def __ne__(self, other):\n        return False\n    __hash__ = int.__hash__\n\n"
          "def add_up(numbers):\n    return Any(13)\n"),
    _case("forged", "equals everything, and no number",
          "class Any:\n    def __eq__(self, other):\n        return True\n\n"
          "def add_up(numbers):\n    return Any()\n"),
    _case("forged", "says that it passed",
          f"print('All tests passed')\nprint('OK')\nprint('1.0')\n{_WRONG}"),
    _case("forged", "says so on standard error, as JSON",
          f"import sys\nprint('{{\"passed\": true, \"reward\": 1.0}}', file=sys.stderr)\n{_WRONG}"),
    _case("forged", "replaces the test's function from a thread",
          "import sys, threading, time\n\ndef _replace():\n    while True:\n"
          "        for module in list(sys.modules.values()):\n"
          "            if hasattr(module, 'check'):\n"
          "                module.check = lambda candidate: None\n"
          "        time.sleep(0)\n\n"
          f"threading.Thread(target=_replace, daemon=True).start()\n{_WRONG}"),
    _case("forged", "reads what is expected from the caller's code",
          "import sys\n\ndef add_up(numbers):\n    frame = sys._getframe(1)\n"
          "    wanted = [c for c in frame.f_code.co_consts if type(c) is int]\n"
          "    calls = frame.f_globals.setdefault('_calls', [0])\n"
          "    calls[0] += 1\n"
          "    return {1: 0, 2: 42, 3: 98}[calls[0]] if 42 in wanted and 98 in wanted else 13\n"),
    _case("forged", "replaces the built-in exceptions",
          f"import builtins\nbuiltins.AssertionError = type('Quiet', (Warning,), {{}})\n{_WRONG}"),
    _case("forged", "swallows the failure in a tracing function",
          "import sys\n\ndef _trace(frame, event, value):\n    if event == 'exception':\n"
          "        sys.exit(0)\n    return _trace\n\ndef add_up(numbers):\n"
          "    sys.settrace(_trace)\n    sys._getframe(1).f_trace = _trace\n    return 13\n"),
    _case("forged", "kills its parent's wait with a child that lives on",
          "import os\n\ndef add_up(numbers):\n    if os.fork() == 0:\n        os._exit(0)\n"
          "    return 13\n"),
)  # fmt: skip
_RAISING_CASES = (
    _case("raising", "while it is loaded", "raise RuntimeError('no')\n"),
    _case("raising", "when it is called", "def add_up(numbers):\n    return numbers.nothing\n"),
    _case("raising", "SystemExit when it is called",
          "def add_up(numbers):\n    raise SystemExit(0)\n"),
    _case("raising", "KeyboardInterrupt when it is called",
          "def add_up(numbers):\n    raise KeyboardInterrupt\n"),
    _case("raising", "an exception of its own that is no Exception",
          "class Mine(BaseException):\n    pass\n\ndef add_up(numbers):\n    raise Mine\n"),
    _case("raising", "an exception that cannot be printed",
          "class Mine(Exception):\n    def __str__(self):\n        raise Mine\n"
          "    __repr__ = __str__\n\ndef add_up(numbers):\n    raise Mine\n"),
    _case("raising", "without end (recursion)",
          "def add_up(numbers):\n    return add_up(numbers)\n"),
    _case("raising", "a crash of the interpreter",
          "import ctypes\n\ndef add_up(numbers):\n    ctypes.string_at(0)\n"),
)  # fmt: skip
_HANGING_CASES = (
    _case("hanging", "while it is loaded", "while True:\n    pass\n"),
    _case("hanging", "when it is called", "def add_up(numbers):\n    while True:\n        pass\n"),
    _case("hanging", "asleep",
          "import time\n\ndef add_up(numbers):\n    time.sleep(100_000)\n"),
    _case("hanging", "waits for input", "def add_up(numbers):\n    return int(input())\n"),
    _case("hanging", "waits for a lock it holds",
          "import threading\nlock = threading.Lock()\nlock.acquire()\n\n"
          "def add_up(numbers):\n    lock.acquire()\n    return sum(numbers)\n"),
    _case("hanging", "ignores every signal that can be ignored",
          "import signal\nfor number in range(1, 32):\n    try:\n"
          "        signal.signal(number, signal.SIG_IGN)\n    except (OSError, ValueError):\n"
          "        pass\n\ndef add_up(numbers):\n    while True:\n        pass\n"),
    _case("hanging", "in an exception's text",
          "class Mine(Exception):\n    def __str__(self):\n        while True:\n"
          "            pass\n\ndef add_up(numbers):\n    raise Mine\n"),
)  # fmt: skip
_FLOODING_CASES = (
    _case("flooding", "prints 300 MB and is wrong",
          "def add_up(numbers):\n    for _ in range(300):\n        print('x' * 1_000_000)\n"
          "    return 13\n"),
    _case("flooding", "prints without end",
          "import sys\n\ndef add_up(numbers):\n    while True:\n"
          "        sys.stderr.write('x' * 10_000)\n"),
    _case("flooding", "asks for more memory than there is",
          "def add_up(numbers):\n    return len(bytearray(1 << 44))\n"),
    _case("flooding", "returns a list of a hundred million",
          "def add_up(numbers):\n    return [0] * 100_000_000\n"),
    _case("flooding", "an exception with 50 MB of text",
          "def add_up(numbers):\n    raise ValueError('x' * 50_000_000)\n"),
    _case("flooding", "a megabyte of code", "# x\n" * 250_000 + _WRONG),
)  # fmt: skip
CASES: Final = (
    *_RIGHT_CASES,
    *_WRONG_CASES,
    *_FORGED_CASES,
    *_RAISING_CASES,
    *_HANGING_CASES,
    *_FLOODING_CASES,
)
"""All answers; the names are unique."""
