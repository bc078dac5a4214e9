"""Right programs about the language itself; see `right_programs`."""
# ruff: noqa: E501 - programs as people write them

from __future__ import annotations

LANGUAGE: dict[str, str] = {
    "main guard with argparse": r"""
import argparse, sys
def parse(arguments):
    parser = argparse.ArgumentParser(prog='tool')
    parser.add_argument('--count', type=int, default=1)
    parser.add_argument('names', nargs='+')
    return vars(parser.parse_args(arguments))
def main():
    print(parse(sys.argv[1:]))
    return 0
if __name__ == '__main__':
    sys.exit(main())
# test
assert parse(['--count', '3', 'a', 'b']) == {'count': 3, 'names': ['a', 'b']}
# test
try: parse([])
except SystemExit as error: assert error.code == 2
else: assert False
""",
    "main guard with its own unit tests": r"""
import unittest
def add(a, b): return a + b
class TestAdd(unittest.TestCase):
    def test_small(self): self.assertEqual(add(1, 2), 3)
    @unittest.skip('later')
    def test_big(self): pass
def run():
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(TestAdd).run(result)
    return result.testsRun, result.wasSuccessful()
if __name__ == '__main__':
    unittest.main()
# test
assert run() in {(2, True), (1, True)} and add(2, 3) == 5
""",
    "main guard that reads and exits": r"""
def double(x): return 2 * x
if __name__ == '__main__':
    print(double(int(input('number: '))))
    exit()
# test
assert double(4) == 8
""",
    "doctest": r'''
import doctest, sys
def fib(n):
    """The n-th number.

    >>> [fib(n) for n in range(6)]
    [0, 1, 1, 2, 3, 5]
    """
    a, b = 0, 1
    for _ in range(n): a, b = b, a + b
    return a
def check(): return tuple(doctest.testmod(sys.modules[__name__]))
if __name__ == '__main__':
    doctest.testmod()
# test
assert check() == (0, 1) and fib(10) == 55
''',
    "deep recursion": r"""
import functools, sys
sys.setrecursionlimit(10**5)
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
@functools.lru_cache(maxsize=None)
def paths(n): return 1 if n < 2 else (paths(n - 1) + paths(n - 2)) % 1_000_007
def endless(): return endless()
def caught():
    sys.setrecursionlimit(2000)
    try: endless()
    except RecursionError: return 'deep'
# test
assert depth(9000) == 9000
# test
assert paths(5000) == 519363
# test
assert caught() == 'deep'
""",
    "dataclasses": r"""
from dataclasses import asdict, astuple, dataclass, field, replace
@dataclass(order=True)
class Card:
    rank: int
    suit: str = field(default='S', compare=False)
    tags: list = field(default_factory=list, compare=False, repr=False)
@dataclass(frozen=True)
class Point:
    x: float
    y: float = 0.0
    def __post_init__(self):
        if self.x < 0: raise ValueError('negative')
# test
assert Card(1) < Card(2) and repr(Card(3, 'H')) == "Card(rank=3, suit='H')"
# test
assert asdict(Card(1)) == {'rank': 1, 'suit': 'S', 'tags': []} and astuple(Point(1, 2)) == (1, 2)
# test
assert replace(Point(1), y=5) == Point(1, 5) and len({Point(1), Point(1)}) == 1
# test
try: Point(-1)
except ValueError as error: assert str(error) == 'negative'
else: assert False
""",
    "enum": r"""
import enum
class Color(enum.Enum):
    RED = 1
    GREEN = enum.auto()
    CRIMSON = 1
    @property
    def low(self): return self.name.lower()
class Right(enum.IntFlag):
    READ = enum.auto()
    WRITE = enum.auto()
def names(): return [color.name for color in Color], Color(2).low, Color['RED'] is Color.CRIMSON
def rights(): return int(Right.READ | Right.WRITE), Right.READ in Right(3)
# test
assert names() == (['RED', 'GREEN'], 'green', True)
# test
assert rights() == (3, True)
""",
    "typing": r"""
import collections, typing
T = typing.TypeVar('T')
class Stack(typing.Generic[T]):
    def __init__(self) -> None: self.items: typing.List[T] = []
    def push(self, item: T) -> 'Stack[T]':
        self.items.append(item)
        return self
    def pop(self) -> T: return self.items.pop()
class Movie(typing.TypedDict, total=False):
    title: str
    year: int
class Pair(typing.NamedTuple):
    left: 'Pair | None'
    right: int = 0
def hints(): return typing.get_type_hints(Stack.push)['return'] == Stack[T]
def movie(): return Movie(title='x'), Pair(None)._replace(right=2)
# test
assert Stack[int]().push(1).push(2).pop() == 2 and hints()
# test
made, pair = movie()
assert made == {'title': 'x'} and pair == (None, 2) and pair.right == 2
""",
    "abstract classes and protocols": r"""
import abc
from typing import Protocol, runtime_checkable
class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...
    @property
    @abc.abstractmethod
    def name(self): ...
class Square(Shape):
    def __init__(self, side): self.side = side
    def area(self): return self.side ** 2
    name = 'square'
@runtime_checkable
class HasArea(Protocol):
    def area(self): ...
def works(): return isinstance(Square(2), HasArea), isinstance(3, HasArea), issubclass(Square, Shape)
# test
assert Square(3).area() == 9 and Square(1).name == 'square' and works() == (True, False, True)
# test
try: Shape()
except TypeError as error: assert 'abstract' in str(error)
else: assert False
""",
    "pickles and copies of its own classes": r"""
import copy, pickle
class Node:
    __slots__ = ('value', 'children')
    def __init__(self, value): self.value, self.children = value, []
    def __getstate__(self): return self.value, self.children
    def __setstate__(self, state): self.value, self.children = state
class Error(Exception):
    def __init__(self, code): super().__init__(code); self.code = code
def tree():
    root = Node(1)
    root.children += [Node(2), root]
    return root
def copies():
    root = tree()
    shallow, deep = copy.copy(root), copy.deepcopy(root)
    loaded = pickle.loads(pickle.dumps(root, protocol=5))
    return (shallow.children is root.children, deep.children[1] is deep,
            loaded.children[1] is loaded, pickle.loads(pickle.dumps(Error(4))).code)
# test
assert copies() == (True, True, True, 4)
""",
    "generators": r"""
def walk(tree):
    if isinstance(tree, list):
        for part in tree: yield from walk(part)
    else: yield tree
def average():
    total = count = 0
    value = None
    while True:
        value = yield value
        if value is None: return total
        total, count = total + value, count + 1
        value = total / count
def drive(values):
    running, seen = average(), []
    next(running)
    for value in values: seen.append(running.send(value))
    try: running.send(None)
    except StopIteration as stop: return seen, stop.value
# test
assert list(walk([1, [2, [3]], 4])) == [1, 2, 3, 4]
# test
assert drive([2, 4]) == ([2, 3], 6)
""",
    "context managers": r"""
import contextlib, io
class Recorder:
    def __init__(self): self.log = []
    def __enter__(self): self.log.append('in'); return self
    def __exit__(self, kind, error, trace): self.log.append(kind and kind.__name__); return True
def swallow():
    with Recorder() as recorder: raise KeyError
    return recorder.log
def stack():
    log = []
    with contextlib.ExitStack() as exits:
        for n in range(3): exits.callback(log.append, n)
        exits.enter_context(contextlib.suppress(ValueError))
        raise ValueError
    return log
def captured():
    with contextlib.redirect_stdout(io.StringIO()) as out: print('x', end='')
    return out.getvalue()
# test
assert swallow() == ['in', 'KeyError'] and stack() == [2, 1, 0] and captured() == 'x'
""",
    "descriptors and properties": r"""
import functools
class Positive:
    def __set_name__(self, owner, name): self.name = '_' + name
    def __get__(self, one, owner=None): return self if one is None else getattr(one, self.name)
    def __set__(self, one, value):
        if value <= 0: raise ValueError(f'{self.name[1:]} must be positive')
        setattr(one, self.name, value)
class Box:
    width = Positive()
    def __init__(self, width): self.width, self.asked = width, 0
    @property
    def double(self): return self.width * 2
    @double.setter
    def double(self, value): self.width = value // 2
    @functools.cached_property
    def area(self): self.asked += 1; return self.width ** 2
    @classmethod
    def unit(cls): return cls(1)
    @staticmethod
    def help(): return 'help'
# test
box = Box(3)
box.double = 10
assert (box.width, box.double, box.area, box.area, box.asked) == (5, 10, 25, 25, 1)
# test
assert Box.unit().width == 1 and Box.help() == 'help'
try: Box(0)
except ValueError as error: assert str(error) == 'width must be positive'
else: assert False
""",
    "metaclasses": r"""
class Registry(type):
    known = {}
    def __new__(meta, name, bases, space, **options):
        made = super().__new__(meta, name, bases, space)
        meta.known[options.get('key', name.lower())] = made
        return made
    def __init__(cls, name, bases, space, **options): super().__init__(name, bases, space)
    def __call__(cls, *args):
        if not hasattr(cls, 'only'): cls.only = super().__call__(*args)
        return cls.only
class Plugin(metaclass=Registry): pass
class Csv(Plugin, key='comma'): pass
class Base:
    def __init_subclass__(cls, /, tag=None, **rest): cls.tag = tag
class Sub(Base, tag='t'): pass
def run(): return sorted(Registry.known), Plugin() is Plugin(), type('Made', (Base,), {'x': 1}).x, Sub.tag
# test
assert run() == (['comma', 'plugin'], True, 1, 't')
""",
    "operators": r"""
import functools
@functools.total_ordering
class Money:
    def __init__(self, cents): self.cents = cents
    def __eq__(self, other): return isinstance(other, Money) and self.cents == other.cents
    def __lt__(self, other): return self.cents < other.cents
    def __hash__(self): return hash(self.cents)
    def __add__(self, other): return Money(self.cents + getattr(other, 'cents', other))
    __radd__ = __add__
    def __mul__(self, times): return Money(self.cents * times)
    def __matmul__(self, other): return self.cents * other.cents
    def __neg__(self): return Money(-self.cents)
    def __bool__(self): return self.cents != 0
    def __format__(self, spec): return format(self.cents / 100, spec or '.2f')
    def __repr__(self): return f'Money({self.cents})'
class Line:
    def __init__(self, *items): self.items = list(items)
    def __len__(self): return len(self.items)
    def __getitem__(self, index): return self.items[index]
    def __contains__(self, item): return item in self.items
    def __call__(self, x): return sum(c * x ** n for n, c in enumerate(self.items))
# test
assert Money(1) + Money(2) == Money(3) and sum([Money(1), Money(2)]).cents == 3
# test
assert max(Money(1), Money(5)) >= Money(2) and Money(2) @ Money(4) == 8 and not Money(0)
# test
assert f'{Money(1234)}' == '12.34' and repr(-Money(2)) == 'Money(-2)' and repr(Money(2) * 2) == 'Money(4)'
# test
line = Line(1, 2, 3)
assert len(line) == 3 and line[-1] == 3 and 2 in line and line(2) == 17 and list(line) == [1, 2, 3]
""",
    "decorators and closures": r"""
import functools, inspect, time
def retry(times):
    def wrap(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            for attempt in range(times):
                try: return function(*args, **kwargs)
                except ValueError:
                    if attempt == times - 1: raise
        inner.times = times
        return inner
    return wrap
calls = []
@retry(times=3)
def flaky(x: int) -> int:
    'Sometimes.'
    calls.append(x)
    if len(calls) < 3: raise ValueError
    return x
def about(): return flaky.__name__, flaky.__doc__, str(inspect.signature(flaky)), flaky.times
def counter():
    n = 0
    def up():
        nonlocal n
        n += 1
        return n
    return up
# test
assert flaky(7) == 7
# test
assert about() == ('flaky', 'Sometimes.', '(x: int) -> int', 3)
# test
up = counter()
assert [up(), up()] == [1, 2]
""",
    "exceptions": r"""
import sys, traceback
class Problem(Exception):
    def __init__(self, message, *, code): super().__init__(message); self.code = code
def chained():
    try:
        try: {}['x']
        except KeyError as error: raise Problem('no x', code=3) from error
    except Problem as error:
        return error.code, repr(error.__cause__), traceback.format_exc().splitlines()[-1]
def order():
    log = []
    try:
        try: return log
        finally: log.append('finally')
    finally: log.append('last')
def location():
    try: 1 / 0
    except ZeroDivisionError:
        return traceback.extract_tb(sys.exc_info()[2])[-1].line
# test
assert chained() == (3, "KeyError('x')", chained()[2]) and chained()[2].endswith('Problem: no x')
# test
assert order() == ['finally', 'last'] and location() == 'try: 1 / 0'
# test
try: raise Problem('x', code=1)
except Problem as error: assert error.code == 1
""",
    "warnings as errors": r"""
import warnings
def old():
    warnings.warn('old() is old', DeprecationWarning, stacklevel=2)
    return 1
def strict():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        try: old()
        except DeprecationWarning as error: return str(error)
def caught():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        old(); old()
    return [one.category.__name__ for one in seen]
# test
assert strict() == 'old() is old' and caught() == ['DeprecationWarning'] * 2
""",
    "context variables": r"""
import asyncio, contextvars
user = contextvars.ContextVar('user', default='nobody')
async def one(name):
    user.set(name)
    await asyncio.sleep(0)
    return user.get()
async def many(): return await asyncio.gather(*map(one, 'abc')), user.get()
def run():
    token = user.set('x')
    inside = contextvars.copy_context().run(lambda: user.set('y') and user.get())
    user.reset(token)
    return asyncio.run(many()), inside, user.get()
# test
assert run() == ((['a', 'b', 'c'], 'nobody'), 'y', 'nobody')
""",
    "weak references and the collector": r"""
import gc, weakref
class Thing: pass
def run():
    log, thing = [], Thing()
    reference = weakref.ref(thing, lambda _: log.append('gone'))
    weakref.finalize(thing, log.append, 'final')
    known = weakref.WeakValueDictionary(thing=thing)
    thing.itself = thing
    del thing
    gc.collect()
    return reference(), sorted(log), len(known)
# test
assert run() == (None, ['final', 'gone'], 0)
""",
    "code that makes code": r"""
import ast, dis, types
def compute(text): return eval(compile(ast.parse(text, mode='eval'), '<text>', 'eval'), {'x': 3})
def build():
    space = {}
    exec('def twice(x):\n    return 2 * x', space)
    return space['twice'](4), types.FunctionType(space['twice'].__code__, {})(5)
class Double(ast.NodeTransformer):
    def visit_Constant(self, node): return ast.copy_location(ast.Constant(node.value * 2), node)
def changed(text): return eval(compile(ast.fix_missing_locations(Double().visit(ast.parse(text, mode='eval'))), '', 'eval'))
def names(): return {one.opname for one in dis.get_instructions(build)} >= {'RETURN_VALUE'}
# test
assert compute('x ** 2 + 1') == 10 and build() == (8, 10) and changed('1 + 2') == 6 and names()
""",
    "names of the module": r"""
import sys
x: int = 5
def where(): return __name__ in sys.modules and sys.modules[__name__].x, globals()['x'], where.__module__ == __name__
def hidden(): return [name for name in ('x', 'where') if name in dir(sys.modules[__name__])]
def annotated(): return sys.modules[__name__].__annotations__
# test
assert where() == (5, 5, True) and hidden() == ['x', 'where'] and annotated() == {'x': int}
""",
    "a clean exit in a function": r"""
import atexit, sys
atexit.register(lambda: None)
def stop(code):
    try: sys.exit(code)
    except SystemExit as error: return error.code
# test
assert stop(3) == 3 and stop(None) is None
""",
}
