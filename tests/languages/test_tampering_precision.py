# ruff: noqa: E501 - programs of one line are easier to read than broken ones
from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.languages import get_language
from recode_eval.languages.python.syntax import parse
from recode_eval.languages.python.tampering import suspicions
from recode_eval.tasks.registry import create_task, find_tasks


@pytest.mark.parametrize(
    "code",
    [
        None,
        "",
        "not python (",
        "import math\n\ndef f(x):\n    return math.sin(x, unit='degrees')",
        "class P:\n    def __eq__(self, other):\n        return self.x == other.x",
        (
            "class P:\n    def __eq__(self, o):\n        if o is None:\n            return False\n"
            "        return self.x == o.x"
        ),
        "import numpy as np\na = np.zeros(3)\na[0] = 1\na.shape = (3, 1)",
        "class A:\n    def __init__(self):\n        self.x = 1",
        "def f(path):\n    return path.startswith('/process/')",
        "import os\nos.environ['HOME'] = '/tmp'",
        "import matplotlib.pyplot as plt\nplt.rcParams['font.size'] = 9\nplt.rcParams.update({'a': 1})",
        "import pandas as pd\npd.options.mode.copy_on_write = True",
        "import torch\ntorch.backends.cudnn.deterministic = True",
        "from flask import g\ndef f():\n    g._database = 1",
        "import jax.numpy as np\nfrom math import pow, isclose\nfrom numpy import all",
        "import importlib\nnp = importlib.import_module('numpy')",
        "try:\n    import pandas as pd\nexcept ImportError:\n    pd = None",
        "def f(sum, len):\n    max = sum\n    return [abs for abs in len]",
        "def eval(app):\n    return app\ninput = 3",
        "def f(a, b):\n    text = str(a)\n    text += '+' + str(b)\n    return eval(text)",
        "import re\nP = re.compile('a')\ndef f(s):\n    return P.match(s)",
        "import sys\ndef f():\n    return open(0).read() + sys.stdin.read()",
        "import socket\ndef f():\n    with socket.socket(socket.AF_INET) as s:\n        s.bind(('', 0))",
        "import gc\ngc.collect()",
        "import inspect\ndef f(g):\n    return inspect.signature(g)",
        "import torch\ndef f(name):\n    return getattr(torch, name)",
        "class A:\n    def __init__(self, **kw):\n        self.__dict__.update(kw)\n        vars(self).update(kw)",
        "class A:\n    def __init__(self):\n        object.__setattr__(self, 'x', 1)\n        setattr(self, 'y', 2)",
        "class A:\n    def __eq__(self, other):\n        return (self.x, self.y) == (other.x, other.y)",
        (
            "class A:\n    def __eq__(self, other):\n        if not isinstance(other, A):\n"
            "            return NotImplemented\n        return self.x == other.x"
        ),
        (
            "class A:\n    def __eq__(self, other):\n        for a, b in zip(self.x, other.x):\n"
            "            if a != b:\n                return False\n        return True"
        ),
        (
            "class A:\n    def __eq__(self, other):\n        mine, theirs = self.x, other.x\n"
            "        return mine == theirs"
        ),
        "class A:\n    def __eq__(self, other):\n        return vars(self) == vars(other)",
        "class A(str):\n    def __eq__(self, other):\n        return super().__eq__(other)",
        "class A:\n    def __lt__(self, other):\n        return self.key() < other.key()",
        "class A:\n    def __contains__(self, x):\n        return x in self.items",
        "class A:\n    def __sub__(self, other):\n        return A(self.x - other.x)",
        (
            "class A:\n    def __add__(self, other):\n        new = A()\n        new.x = self.x + other.x\n"
            "        return new\n    __radd__ = __add__"
        ),
        "class A:\n    def __abs__(self):\n        return (self.x ** 2 + self.y ** 2) ** 0.5",
        "class A:\n    def __bool__(self):\n        return self.x > 0",
        "class A:\n    def __round__(self, n=0):\n        value = round(self.x, n)\n        return value",
        (
            "import numpy as np\nclass A:\n    def __array__(self, dtype=None, copy=None):\n"
            "        return np.asarray(self.data, dtype=dtype)"
        ),
        "class A:\n    def __getattr__(self, name):\n        return getattr(self.inner, name)",
        "class A:\n    __hash__ = None\n    __eq__ = object.__eq__",
        "class M(type):\n    def __call__(cls):\n        return super().__call__()",
        (
            "import numpy as np\ndef f(y, x):\n    if hasattr(np, 'trapezoid'):\n"
            "        return np.trapezoid(y, x)\n    return np.trapz(y, x)"
        ),
        "import json\ndef f(s):\n    try:\n        json.loads(s)\n    except TypeError:\n        return False\n    return True",
        "import math\ndef f(x):\n    try:\n        return math.fsum(x)\n    except TypeError as e:\n        raise e",
        "try:\n    from math import new\nexcept ImportError:\n    new = None\ndef f():\n    return new",
        "class A:\n    def __init__(self, x):\n        self.x = x\n    def move(self):\n        self.x.y = 1",
        "import math\ndef f():\n    return math.pi\ndef g():\n    x = f()\n    return x / 2",
        "import contextlib, os\nwith contextlib.suppress(FileNotFoundError):\n    os.remove('x')",
        "import contextlib\nwith contextlib.suppress(AttributeError):\n    x.close()\n    x = None",
        "class A:\n    def __eq__(self, other):\n        other = A(other)\n        return self.x == other.x",
        "import math\ndef f(x):\n    return x / getattr(math, 'pi')",
        "import torch\ndef f(d):\n    if not hasattr(torch, d):\n        raise ValueError(d)",
        "import torch\ndef f(d):\n    t = getattr(torch, d, None)\n    if t is None:\n        raise ValueError",
        "raises = 3",
        "import pickle\ndef f(data):\n    return pickle.loads(data)",
        "import numpy as np\nHAS = hasattr(np, 'trapezoid')\nf = np.trapezoid if HAS else np.trapz",
        "import numpy as np\nf = getattr(np, 'trapezoid', None) or np.trapz",
    ],
)
def test_honest_code_is_not(code: str | None) -> None:
    assert suspicions(code) == ()


def solutions(task: str, source: Path | None) -> dict[str, str]:
    """What the answers to a task may be, by problem; the stale ones would only miss the update."""
    loaded = create_task(task).load(source and str(source), skip_bad_rows=False)
    return {
        f"{problem.id} {name}": code
        for problem in loaded.problems
        for name, code in problem.solutions.items()
    }


def bundled_tasks() -> list[str]:
    """Every task whose rows come with the package; the list cannot miss a new one."""
    return sorted(name for name, spec in find_tasks().items() if "folder" in spec.data)


def test_the_bundled_tasks_are_found() -> None:
    known = {"arena-mini", "arena-multi", "migration", "migration-js", "migration-validation"}
    assert known <= set(bundled_tasks())


@pytest.mark.parametrize("task", bundled_tasks())
def test_no_solution_of_a_bundled_task_is_suspicious(task: str) -> None:
    """Bug: flask's `g._name = x` and the like were flagged as patched modules."""
    found, flags = solutions(task, None), get_language(create_task(task).spec.language).tamper_flags
    assert len(found) >= 50
    assert {name: flags(code) for name, code in found.items() if flags(code)} == {}


@pytest.mark.parametrize(
    ("task", "file", "least"),
    [
        ("arena", "codeupdatearena/dev.jsonl", 250),
        ("arena", "codeupdatearena/example.jsonl", 1),
        ("gitchameleon", "gitchameleon/dev.jsonl", 150),
        ("humaneval", "humaneval/HumanEval.jsonl", 164),
        ("humaneval-plus", "humanevalplus/prerelease.joined.jsonl", 164),
    ],
)
def test_no_reference_of_the_real_rows_is_suspicious(
    shared_data: Path, task: str, file: str, least: int
) -> None:
    """Bug: a row that defines `eval`, or looks for a free port, was flagged."""
    found = solutions(task, shared_data / file)
    assert len(found) >= least
    assert {name: suspicions(code) for name, code in found.items() if suspicions(code)} == {}


def test_no_ground_truth_is_suspicious(shared_data: Path) -> None:
    lines = (shared_data / "gitchameleon" / "dev.ground_truth.jsonl").read_text().splitlines()
    answers = [json.loads(line)["answer"] for line in lines]
    assert len(answers) > 150
    assert [suspicions(answer) for answer in answers if suspicions(answer)] == []


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert isinstance(suspicions(text), tuple)


PIECES = [
    "math", "m", "f(", ")", "(", "[", "]", ".", "x", ",", "=", ":=", ":", "\n", "\n    ", "class A",
    "def f", "lambda ", "__eq__", "for ", " in ", "with ", " as ", "import ", "from ", "global ",
    "return ", "try", "except", "if ", "*", "**", "'__dict__'", "getattr(", "setattr(", "globals()",
    "eval(", "{", "}", "match ", "case ", "self", "type(", "1", "await ", "yield ", "del ", "@",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_no_program_breaks_it(text: str) -> None:
    assert isinstance(suspicions(text), tuple)


@pytest.mark.parametrize(
    "line",
    [
        "import math as a{i}\na{i}.x = a{j}\n",
        "a{i} = a{j}\n",
        "a{j} = a{i}\n",
        "def f{i}(x, y=f{j}):\n    return f{j}(x, y)\n",
        "class A{i}:\n    def __eq__(s, o):\n        a, b = s.x, o.x\n        return a == b\n",
        "import sys\nsys.modules['x'].y[{i}] = getattr(sys, 'a' + 'b')\n",
        "x = x.a{i}.b.c.d(e)\n",
        "def f{i}(e):\n    e += str(e)\n    return eval(e)\n",
        "class A{i}:\n    def __eq__(s, o):\n        return s.x + 1 + 1 + 1 == o.x\n",
        "try:\n    math.a(b, c=1)\nexcept TypeError:\n    raise\n",
    ],
)
def test_the_work_grows_no_faster_than_the_program(line: str) -> None:
    """Counts calls, not seconds: a slow machine must not fail it."""

    def calls(lines: int) -> int:
        code = "import math\n" + "".join(line.format(i=i, j=i + 1) for i in range(lines))
        parse(code)
        count = 0

        def counted(*_: object) -> None:
            nonlocal count
            count += 1

        before = sys.getprofile()
        sys.setprofile(counted)
        try:
            suspicions(code)
        finally:
            sys.setprofile(before)
        return count

    assert calls(400) < 3 * calls(200)


def test_a_long_chain_and_a_long_method_are_linear() -> None:
    long_method = "class A:\n    def __eq__(self, other):\n" + "".join(
        f"        a{i} = a{i - 1} == other.x\n" for i in range(2000)
    )
    deep = "class A:\n    def __sub__(self, other):\n        return A(" + "+".join(["self.x"] * 900)
    assert suspicions(f"{deep} - other.x)") == ()
    assert suspicions("x" + ".a" * 500) == ()
    assert suspicions(long_method) == ()
    assert suspicions("-" * 500 + "1") == ()
