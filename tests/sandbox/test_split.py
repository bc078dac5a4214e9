# ruff: noqa: E501, ISC004 - programs as text
"""Isolation `split`: tests in a trusted process, the candidate in another, values crossing as data.

Right programs must not notice; a candidate must reach neither the tests nor what they compare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sandbox.conftest import OLD_PYTHON, open_or_skip

from recode_eval.sandbox import Execution, Limits, Program, Sandbox, Status, Test

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS = Limits(cpu_s=2, wall_s=10, memory_bytes=1 << 30)
ENVIRONMENTS = ["mini", pytest.param(OLD_PYTHON, marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def sandbox(tier: str, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with open_or_skip(tier, environment=request.param, workers=1, isolation="split") as opened:
        yield opened


def run(
    sandbox: Sandbox, candidate: str, *tests: str, setup: str = "", limits: Limits = LIMITS
) -> Execution:
    named = tuple(Test(f"test_{n}", code) for n, code in enumerate(tests))
    return sandbox.submit(Program(setup, candidate, named), limits).result()


def statuses(execution: Execution) -> list[str]:
    return [str(verdict.status) for verdict in execution.verdicts]


RIGHT = {
    "values of every plain type": (
        "import collections, datetime, decimal, fractions, pathlib, re, uuid\n"
        "def same(x): return x\n",
        "import collections, datetime, decimal, fractions, pathlib, re, uuid\n"
        "for x in (None, True, 10**5000, -2.5, float('inf'), 2j, 'a\\ud800\\n', b'\\0', [1, [2]],\n"
        "          (1, 'x'), {1: {2}}, {'a': 1}, frozenset([3]), bytearray(b'x'), range(2, 9, 3),\n"
        "          slice(1, None), ..., collections.Counter('aab'), collections.OrderedDict(a=1),\n"
        "          collections.deque([1], 3), collections.defaultdict(list, a=[1]),\n"
        "          decimal.Decimal('1.10'), fractions.Fraction(1, 3), datetime.date(2024, 2, 29),\n"
        "          datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.timezone.utc, fold=1),\n"
        "          datetime.timedelta(-1, 5), datetime.time(1, 2, 3, 4), re.compile('a', re.I),\n"
        "          pathlib.Path('/x'), uuid.UUID(int=5), int, ValueError, list):\n"
        "    assert same(x) == x and type(same(x)) is type(x), x\n"
        "d = same(collections.defaultdict(list)); d['k'].append(1)\n"
        "assert collections.deque([1], 3).maxlen == same(collections.deque([1], 3)).maxlen",
    ),
    "a file of the tests fills a buffer of the answer": (
        "import io\n"
        "class Upper(io.RawIOBase):\n"
        "    def __init__(self, file): self.file = file\n"
        "    def readable(self): return True\n"
        "    def readinto(self, area): return self.file.readinto(area)\n"
        "def words(file): return Upper(file).read().upper().split()\n"
        "def fill(file):\n"
        "    area = bytearray(4)\n    return file.readinto(area), bytes(area)\n",
        "import io\n"
        "assert words(io.BytesIO(b'one two')) == [b'ONE', b'TWO']\n"
        "file = io.BytesIO(b'abc')\n"
        "assert fill(file) == (3, b'abc\\0') and file.tell() == 3",
    ),
    "sharing and cycles": (
        "def pair(x): return [x, x]\ndef ring():\n    a = []\n    a.append(a)\n    return a",
        "x = [1]\np = pair(x)\nassert p[0] is p[1] is x\na = ring()\nassert a[0] is a",
    ),
    "arguments changed in place": (
        "def sort(l): l.sort()\ndef put(d): d['a'] = [1]; return d\ndef add(s): s.add(2)\n"
        "def nested(d): d['l'].append(d)",
        "l = [3, 1]; sort(l); assert l == [1, 3]\nd = {}; assert put(d) is d and d == {'a': [1]}\n"
        "s = {1}; add(s); assert s == {1, 2}\nn = {'l': []}; nested(n); assert n['l'][0] is n",
    ),
    "arrays and frames": (
        "import numpy as np, pandas as pd\n"
        "def double(a): a[0] = 9; return a * 2\n"
        "def total(f): f['c'] = f.a + f.b; return f.c",
        "import numpy as np, pandas as pd\n"
        "a = np.array([1, 2]); r = double(a); assert (r == [18, 4]).all() and a[0] == 9\n"
        "f = pd.DataFrame({'a': [1, 2], 'b': [3, 4]}); s = total(f)\n"
        "pd.testing.assert_series_equal(s, pd.Series([4, 6], name='c')); assert 'c' in f",
    ),
    "functions of the tests": (
        "def apply(f, l): return [f(x) for x in l]\n"
        "def decorate(f):\n    def g(*a): return f(*a) + 1\n    return g\n"
        "def consume(it): return sum(it)",
        "assert apply(lambda x: x * 2, [1, 2]) == [2, 4]\n"
        "assert decorate(lambda x: x)(4) == 5\nassert consume(x for x in [1, 2]) == 3\n"
        "def bad(x): raise KeyError(x)\n"
        "try: apply(bad, [7])\nexcept KeyError as e: assert e.args == (7,)\nelse: raise SystemError",
    ),
    "objects of the tests": (
        "def area(shape): return shape.width * shape.height()\ndef rename(o): o.name = 'b'",
        "class Shape:\n    width = 3\n    def height(self): return 4\n"
        "assert area(Shape()) == 12\ns = Shape(); rename(s); assert s.name == 'b'",
    ),
    "classes and instances": (
        "class Stack:\n    limit = 3\n    def __init__(self, *x): self.items = list(x)\n"
        "    def push(self, x): self.items.append(x); return self\n"
        "    def __len__(self): return len(self.items)\n"
        "    def __iter__(self): return iter(self.items)\n"
        "    def __contains__(self, x): return x in self.items\n"
        "    def __getitem__(self, i): return self.items[i]\n"
        "    def __repr__(self): return f'Stack({self.items})'\n"
        "class Small(Stack): limit = 1",
        "s = Stack(1); s.push(2); assert len(s) == 2 and list(s) == [1, 2] and 2 in s\n"
        "assert repr(s) == 'Stack([1, 2])' and s[-1] == 2 and s.items == [1, 2]\n"
        "assert isinstance(Small(), Stack) and issubclass(Small, Stack) and Small.limit == 1\n"
        "assert type(s) is Stack and Stack.__name__ == 'Stack' and not hasattr(s, 'nothing')",
    ),
    "methods that return the object": (
        "class Chain:\n    n = 0\n    def up(self):\n        self.n += 1\n        return self",
        "c = Chain(); assert c.up().up() is c and c.n == 2",
    ),
    "operators that a test asks for": (
        "class V:\n    def __init__(self, x, y): self.x, self.y = x, y\n"
        "    def __eq__(self, o): return (self.x, self.y) == ((o.x, o.y) if isinstance(o, V) else o)\n"
        "    def __add__(self, o): return V(self.x + o.x, self.y + o.y)\n"
        "    def __mul__(self, n): return V(self.x * n, self.y * n)\n"
        "    __rmul__ = __mul__\n    def __lt__(self, o): return self.x < o.x\n"
        "    def __hash__(self): return hash(self.x)",
        "assert V(1, 2) + V(3, 4) == V(4, 6)\nassert V(1, 2) == (1, 2) and V(1, 2) != (2, 2)\n"
        "assert 2 * V(1, 2) == V(2, 4) == V(1, 2) * 2 and sorted([V(2, 0), V(1, 0)])[0] == V(1, 0)\n"
        "assert len({V(1, 1), V(1, 1)}) == 1",
    ),
    "enums, named tuples, data classes": (
        "import collections, dataclasses, enum\n"
        "class C(enum.Enum):\n    R = 1\n    G = 2\nclass P(enum.IntEnum):\n    HIGH = 3\n"
        "T = collections.namedtuple('T', 'x y')\n"
        "@dataclasses.dataclass\nclass D:\n    x: int\n    y: int = 0\n"
        "def t(): return T(1, 2)\ndef c(): return C.R\ndef d(): return D(1)",
        "assert c() is C.R and C.R.value == 1 and C['G'] is C.G and [m.name for m in C] == ['R', 'G']\n"
        "assert P.HIGH == 3 and P.HIGH + 1 == 4\n"
        "assert t() == (1, 2) and t().x == 1 and t()._asdict() == {'x': 1, 'y': 2}\n"
        "assert d() == D(1, 0) and d().y == 0 and d() != D(2)",
    ),
    "exceptions": (
        "class Bad(ValueError):\n    def __init__(self, code):\n"
        "        super().__init__(f'code {code}')\n        self.code = code\n"
        "def fail(): raise Bad(5)\ndef missing(): return {}['k']\ndef leave(): raise SystemExit(3)",
        "try: fail()\nexcept Bad as e: assert e.code == 5 and str(e) == 'code 5'\n"
        "else: raise SystemError\n"
        "try: fail()\nexcept ValueError as e: assert type(e) is Bad\n"
        "try: missing()\nexcept KeyError as e: assert e.args == ('k',)\n"
        "try: leave()\nexcept SystemExit as e: assert e.code == 3\n",
    ),
    "iterators and managers": (
        "import contextlib\nlog = []\n"
        "def count(n):\n    for i in range(n): yield i\n"
        "@contextlib.contextmanager\ndef opened():\n    log.append('in')\n    yield 5\n"
        "    log.append('out')",
        "assert list(count(3000)) == list(range(3000))\n"
        "g = count(3); assert next(g) == 0 and iter(g) is g and list(g) == [1, 2]\n"
        "with opened() as v: assert v == 5 and log == ['in']\nassert log == ['in', 'out']",
    ),
    "coroutines": (
        "import asyncio\nasync def slow(x):\n    await asyncio.sleep(0)\n    return x",
        "import asyncio\nassert asyncio.run(slow(4)) == 4\n"
        "async def test(): return await slow(5)\nassert asyncio.run(test()) == 5",
    ),
    "names that change": (
        "n = 0\ndef up():\n    global n\n    n += 1",
        "assert n == 0\nup()\nassert n == 1\nup(); up()\nassert n == 3",
    ),
    "output and warnings": (
        "import warnings\ndef hello(): print('hi')\n"
        "def old(): warnings.warn('gone', DeprecationWarning); return 1",
        "import contextlib, io, warnings\nout = io.StringIO()\n"
        "with contextlib.redirect_stdout(out): hello()\nassert out.getvalue() == 'hi\\n'\n"
        "with warnings.catch_warnings(record=True) as seen:\n    warnings.simplefilter('always')\n"
        "    assert old() == 1\n"
        "assert [w.category for w in seen] == [DeprecationWarning]",
    ),
    "seeds": (
        "import random\ndef draw(): return random.random()",
        "import random\nrandom.seed(3); here = random.random()\nrandom.seed(3)\n"
        "assert draw() == here and draw() != here",
    ),
    "signatures": (
        "def f(a, b=2, *c, d=None, **e): 'Say.'",
        "import inspect\np = inspect.signature(f).parameters\nassert list(p) == list('abcde')\n"
        "assert p['b'].default == 2 and f.__doc__ == 'Say.' and callable(f) and f.__name__ == 'f'",
    ),
    "enums of texts and flags": (
        "import enum\nclass F(enum.Flag):\n    R = enum.auto()\n    W = enum.auto()\n"
        "class S(str, enum.Enum):\n    A = 'a'\ndef both(): return F.R | F.W",
        "assert both() == F.R | F.W and F.R in both() and S.A == 'a' and S('a') is S.A",
    ),
    "causes": (
        "def get():\n    try: return {}['k']\n    except KeyError as e: raise ValueError('v') from e",
        "try: get()\nexcept ValueError as e: assert isinstance(e.__cause__, KeyError)\n"
        "else: raise SystemError",
    ),
    "a warning of the answer's own": (
        "import warnings\nclass Old(UserWarning): pass\ndef f(): warnings.warn('x', Old)",
        "import warnings\nwith warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n    f()\nassert seen[0].category is Old",
    ),
    "a dictionary with a method of its own": (
        "class Lower(dict):\n    def __getitem__(self, k): return dict.__getitem__(self, k.lower())",
        "d = Lower(); d['a'] = 1; assert d['A'] == 1",
    ),
    "kinds of iterators": (
        "def count():\n    yield 1", "import types\nassert isinstance(count(), types.GeneratorType)",
    ),
    "imports of the answer": (
        "import math, numpy as np\nfrom math import isclose\nfrom collections import deque\n"
        "def one(): return 1.0",
        "assert isclose(one(), 1) and math.pi > 3 and deque([one()])[0] == np.float64(1)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_right_programs_pass_as_in_one_process(sandbox: Sandbox, name: str) -> None:
    candidate, test = RIGHT[name]
    result = run(sandbox, candidate, test)
    assert (statuses(result), result.unsplit) == (["passed"], ""), result


def test_an_update_is_in_force_on_both_sides(sandbox: Sandbox) -> None:
    setup = "import math\ndef sqrt(x, plus=0): return x ** 0.5 + plus\nmath.sqrt = sqrt\n"
    result = run(
        sandbox,
        "import math\ndef f(x): return math.sqrt(x, plus=1)",
        "import math\nassert f(4) == 3 == math.sqrt(4, plus=1)",
        setup=setup,
    )
    assert statuses(result) == ["passed"], result


CHEATS = {
    "equal to everything": (
        "class A:\n    def __eq__(self, o): return True\n    def __ne__(self, o): return False\n"
        "    __hash__ = None\ndef answer(): return A()",
        "assert answer() == 5",
    ),
    "equal from the other side": (
        "class A:\n    def __eq__(self, o): return True\ndef answer(): return A()",
        "assert 5 == answer() and [5] == [answer()]",
    ),
    "an operator that is near": (
        "class A:\n    def __sub__(self, o): return 0.0\n    def __rsub__(self, o): return 0.0\n"
        "    def __lt__(self, o): return True\ndef answer(): return A()",
        "assert abs(answer() - 5) < 1e-6",
    ),
    "a method of the test's object": (
        "class V:\n    it = None\n    def __new__(cls, *a):\n"
        "        cls.it = cls.it or object.__new__(cls)\n        return cls.it\n"
        "    def __eq__(self, o): return True\n    def norm(self): return self",
        "assert V(3, 4).norm() == 5",
    ),
    "a number that is equal": (
        "class I(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\n"
        "def answer(): return I(4)",
        "assert answer() == 5",
    ),
    "a list that is equal": (
        "class L(list):\n    def __eq__(self, o): return True\ndef answer(): return L([4])",
        "assert answer() == [5]",
    ),
    "contains everything": (
        "class A:\n    def __contains__(self, o): return True\n"
        "    def __iter__(self): return iter([1])\ndef answer(): return A()",
        "assert 5 in answer()",
    ),
    "a method that is told": (
        "class A:\n    def issubset(self, o): return True\ndef answer(): return A()",
        "assert answer().issubset({5})",
    ),
    "mock.ANY": (
        "from unittest import mock\ndef answer(): return mock.ANY", "assert answer() == 5",
    ),
    "patched builtins": (
        "import builtins, math\nbuiltins.abs = lambda x: 0\nmath.isclose = lambda *a: True\n"
        "builtins.isinstance = lambda *a: True\ndef answer(): return 4",
        "import math\nassert math.isclose(answer(), 5) or abs(answer() - 5) == 0",
    ),
    "names of builtins": (
        "def abs(x): return 0\ndef isinstance(*a): return True\ndef answer(): return 4",
        "assert abs(answer() - 5) == 0 and isinstance(answer(), str)",
    ),
    "an import under another name": (
        "from operator import truth as isclose\nfrom unittest import mock as math\n"
        "def answer(): return 4",
        "assert isclose(answer()) and math.isclose(answer(), 5)",
    ),
    "frames and the garbage collector": (
        "import gc, sys\ndef answer():\n    f = sys._getframe()\n    while f:\n"
        "        f.f_globals.update(answer=None)\n        f = f.f_back\n"
        "    for o in gc.get_objects():\n"
        "        if isinstance(o, dict) and 'expected' in o: return o['expected']",
        "expected = 5\nassert answer() == expected",
    ),
    "exit and threads": (
        "import os, threading\ndef answer():\n    threading.Thread(target=os._exit, args=(0,)).start()\n"
        "    while True: pass",
        "assert answer() == 5",
    ),
    "its own channel": (
        "import os\ndef answer():\n    for fd in range(3, 50):\n        for data in (b'P' * 40, b''):\n"
        "            try: os.write(fd, data)\n            except OSError: pass\n    return 4",
        "assert answer() == 5",
    ),
    "the other process": (
        "import os, signal\ndef answer():\n    parent = os.getppid()\n"
        "    for path in (f'/proc/{parent}/mem', f'/proc/{parent}/fd/3', f'/proc/{parent}/maps'):\n"
        "        try: print('ESCAPED', open(path, 'rb').read(9))\n        except OSError: pass\n"
        "    try: os.kill(parent, signal.SIGINT)\n    except OSError: pass\n    return 4",
        "assert answer() == 5",
    ),
    "code of the test's function": (
        "def answer(f):\n    for name in ('__globals__', '__code__', '__closure__', 'gi_frame', '_x'):\n"
        "        try: print('ESCAPED', getattr(f, name))\n        except AttributeError: pass\n"
        "    return 4",
        "expected = 5\nassert answer(lambda: expected) == expected",
    ),
    "a name that the test binds too": (
        "expected = 0\ndef answer(): return 0", "expected = 5\nassert answer() == expected",
    ),
    "a name that the test imports too": (
        "isclose = 0\ndef answer():\n    global isclose\n    isclose = lambda *a: True\n    return 0",
        "from math import isclose\ngot = answer()\nassert isclose(got, 5)",
    ),
    "a skipped test": (
        "import unittest\ndef answer(): raise unittest.SkipTest('no')",
        "import unittest\nclass T(unittest.TestCase):\n"
        "    def test_a(self): self.assertEqual(answer(), 5)\n"
        "suite = unittest.defaultTestLoader.loadTestsFromTestCase(T)\n"
        "assert unittest.TextTestRunner().run(suite).wasSuccessful()",
    ),
    "a class without operators for a moment": (
        "import sys\ndef yes(s, o): return True\nclass V:\n    def __init__(self, *a): pass\n"
        "    __eq__ = yes\n    def norm(self):\n        del V.__eq__\n        return self\n"
        "class Out:\n    def write(self, t): pass\n    def flush(self): V.__eq__ = yes\n"
        "sys.stdout = Out()",
        "assert V(3, 4).norm() == 5",
    ),
    "the class of a class": (
        "from unittest import mock\nclass A(mock._ANY): pass\ndef answer(): return A()",
        "import unittest.mock\nassert answer().__class__() == 5",
    ),
    "a text that is evaluated": (
        "import builtins\ndef answer(): return builtins.exec",
        "answer()('raise SystemExit(0)'); assert 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHEATS)
def test_no_cheat_in_the_answers_process_reaches_the_tests(sandbox: Sandbox, name: str) -> None:
    """Each of these passes, or may pass, where tests and candidate share a process."""
    candidate, test = CHEATS[name]
    result = run(sandbox, candidate, test)
    assert Status.PASSED not in {verdict.status for verdict in result.verdicts}
    assert not result.unsplit
    assert "ESCAPED" not in result.output


ONLY_IN_ONE_PROCESS = {
    "a class that is equal to anything, called by a container": (
        "import collections\nfrom unittest import mock\n"
        "def answer(): return collections.defaultdict(mock._ANY)",
        "assert answer()['a'] == 5",
    ),
    "a class that is equal to anything, as a method": (
        "from unittest import mock\nclass S:\n    answer = mock._ANY", "assert S().answer() == 5",
    ),
    "a class instead of a function": (
        "class answer:\n    def __init__(self, x): pass\n"
        "    def __eq__(self, o):\n        self.seen = o\n        return self.seen == o",
        "assert answer(1) == 5",
    ),
    "a class instead of a function, and a difference": (
        "class answer:\n    def __init__(self, x): pass\n    def __sub__(self, o): return o - o",
        "assert abs(answer(1) - 5) < 1e-6",
    ),
    "a class instead of a method": (
        "class Solution:\n    class answer:\n        def __init__(self, x): pass\n"
        "        def __eq__(self, o): return True",
        "assert Solution().answer(1) == 5",
    ),
    "the result of an operator": (
        "class V:\n    def __init__(self, *x): pass\n    def __mul__(self, o): return V()\n"
        "    def __eq__(self, o): return True",
        "assert V(1, 2) * V(3, 4) == 11",
    ),
    "operators of a class of the test": (
        "def answer(p):\n    type(p).__eq__ = lambda *_: True\n    return p",
        "class P:\n    def __init__(self, x): self.x = x\n"
        "    def __eq__(self, o): return self.x == o.x\nassert answer(P(1)) == P(2)",
    ),
    "a method of an object of the test": (
        "def answer(p):\n    p.check = lambda *_: True\n    return 0",
        "class P:\n    def check(self, x): return x == 5\np = P()\nassert p.check(answer(p))",
    ),
    "a manager that swallows a failed assertion": (
        "class S:\n    def __enter__(self): return self\n    def __exit__(self, *a): return True\n"
        "    def value(self): return 0",
        "with S() as s:\n    assert s.value() == 5",
    ),
    "a template that looks behind an object of the test": (
        "def answer(f): return f.format('{0.__init__.__globals__[expected]}', f)",
        "import string\nexpected = 5\nclass F(string.Formatter):\n    def __init__(self): pass\n"
        "assert answer(F()) == '5'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONLY_IN_ONE_PROCESS)
def test_what_only_an_answer_asks_for_is_blamed_on_it(sandbox: Sandbox, name: str) -> None:
    """Each of these passed with the tests in their own process, without knowing the answer.

    They may still pass in one process, and are flagged there, unless the reference does the same.
    """
    candidate, test = ONLY_IN_ONE_PROCESS[name]
    result = run(sandbox, candidate, test)
    assert result.unsplit
    assert result.unsplit_by_answer


def test_a_generator_of_random_numbers_goes_on_for_the_test_too(sandbox: Sandbox) -> None:
    """Each call drew the same numbers, from a copy of the same state."""
    result = run(
        sandbox,
        "def draw(rng): return rng.integers(0, 1 << 40)",
        "import numpy as np\nrng = np.random.default_rng(1)\nassert draw(rng) != draw(rng)",
    )
    assert statuses(result) == ["passed"]
    assert "Generator" in result.unsplit


def test_what_an_earlier_test_has_bound_stays(sandbox: Sandbox) -> None:
    """The answer could bind it anew before the next test, also where it was an import."""
    candidate = (
        "class M:\n    def isclose(self, *a): return True\nmath = M()\ndef answer(): return 0"
    )
    result = run(
        sandbox, candidate, "import math", "assert not isinstance(math.isclose, type(answer))"
    )
    assert statuses(result) == ["passed", "passed"]


def test_limits_and_ends_are_those_of_the_answer(sandbox: Sandbox) -> None:
    result = run(
        sandbox,
        "import os, time\ndef leave(): os._exit(3)\ndef loop():\n    while True: pass\n"
        "def fill(): return bytearray(2 << 30)\ndef crash(): os.kill(os.getpid(), 11)\n"
        "def one(): return 1",
        "leave()", "assert one() == 1", "loop()", "fill()", "crash()", "assert one() == 1",
    )  # fmt: skip
    assert statuses(result) == ["crashed", "passed", "timeout", "memory", "crashed", "passed"]


@pytest.mark.parametrize(
    ("candidate", "status"),
    [("def f(:", "failed"), ("raise ValueError('no')", "failed"), ("import os; os._exit(0)", "crashed"),
     ("while True: pass", "timeout")],
)  # fmt: skip
def test_a_broken_candidate_fails_every_test(sandbox: Sandbox, candidate: str, status: str) -> None:
    result = run(sandbox, candidate, "assert True", "assert True")
    assert statuses(result) == [status, status]
    assert result.setup_error is None


def test_what_cannot_be_split_runs_in_one_process_and_says_so(sandbox: Sandbox) -> None:
    result = run(
        sandbox,
        "class Base:\n    def name(self): return 'base'\ndef read(): return input()",
        "class Derived(Base): pass\nassert Derived().name() == 'base'",
        "assert Base().name() == 'base'",
    )
    assert statuses(result) == ["passed", "passed"]
    assert result.unsplit == "the tests derive from a class of the answer"
    assert result.unsplit_by_answer, "unless the reference needs it too: see `calibration`"


def test_a_test_may_execute_its_own_text_but_not_an_answers(sandbox: Sandbox) -> None:
    """HumanEval's checks are a text that the test executes in a namespace of its own."""
    own = "space = {}\nexec('def check(f): assert f() == 1', space)\nspace['check'](one)"
    result = run(sandbox, "def one(): return 1", own)
    assert (statuses(result), result.unsplit) == (["passed"], "")
    result = run(sandbox, "def text(): return '2'", "assert eval(text()) == 2")
    assert statuses(result) == ["passed"]
    assert result.unsplit == "the tests execute what the answer gives"


def test_a_program_that_is_known_to_need_one_process_is_not_tried(sandbox: Sandbox) -> None:
    program = Program("", "def f(): return 1", (Test("t", "assert f() == 1"),), unsplit="known")
    result = sandbox.submit(program, LIMITS).result()
    assert (result.passed, result.unsplit, result.unsplit_by_answer) == (True, "known", False)
