"""Right programs that use the standard library and those for numbers; see `right_programs`."""
# ruff: noqa: E501 - programs as people write them

from __future__ import annotations

LIBRARY: dict[str, str] = {
    "ctypes": r"""
import ctypes, ctypes.util
class Point(ctypes.Structure): _fields_ = [('x', ctypes.c_int), ('y', ctypes.c_double)]
def run():
    libc, libm = ctypes.CDLL(None), ctypes.CDLL('libm.so.6')
    libm.cos.restype, libm.cos.argtypes = ctypes.c_double, [ctypes.c_double]
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    values = (ctypes.c_int * 4)(3, 1, 4, 2)
    libc.qsort(values, 4, ctypes.sizeof(ctypes.c_int), compare(lambda a, b: a[0] - b[0]))
    return libc.abs(-3), libm.cos(0.0), list(values), Point(1, 2.5).y, ctypes.sizeof(Point)
# test
assert run() == (3, 1.0, [1, 2, 3, 4], 2.5, 16)
""",
    "time zones and dates": r"""
import calendar, datetime as dt, time
def zoned():
    east = dt.timezone(dt.timedelta(hours=9), 'JST')
    noon = dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc)
    return noon.astimezone(east).isoformat(), noon.astimezone(east).tzname(), noon.timestamp()
def parsed(text): return dt.datetime.strptime(text, '%d %b %Y').strftime('%A %j')
def span(): return (dt.date(2024, 3, 1) - dt.date(2024, 2, 1)).days, calendar.monthrange(2023, 2)[1]
def local(): return time.strftime('%Y', time.gmtime(0)), time.mktime(time.localtime(86400)), len(time.tzname)
# test
assert zoned() == ('2024-02-29T21:00:00+09:00', 'JST', 1709208000.0)
# test
assert parsed('06 Jul 2024') == 'Saturday 188' and span() == (29, 28)
# test
assert local() == ('1970', 86400.0, 2)
""",
    "time zones by name": r"""
import datetime as dt, zoneinfo
def offset(name, month): return dt.datetime(2024, month, 1, tzinfo=zoneinfo.ZoneInfo(name)).utcoffset()
# test
import datetime as dt
assert offset('Europe/Berlin', 1) == dt.timedelta(hours=1)
assert offset('Europe/Berlin', 7) == dt.timedelta(hours=2)
""",
    "regular expressions": r"""
import re
PATTERN = re.compile(r'''(?P<key>\w+)\s*=\s*(?P<value>"[^"]*"|\d+)''', re.VERBOSE)
def pairs(text): return {m['key']: m['value'].strip('"') for m in PATTERN.finditer(text)}
def camel(text): return re.sub(r'_(\w)', lambda m: m[1].upper(), text)
def words(text): return re.findall(r'(?i)\bb\w*', text), re.split(r'[,;]\s*', text)
# test
assert pairs('a = 1, b="x y"') == {'a': '1', 'b': 'x y'} and camel('a_bc_d') == 'aBcD'
# test
assert words('Bob, bee; cat') == (['Bob', 'bee'], ['Bob', 'bee', 'cat'])
""",
    "exact numbers": r"""
import cmath, decimal, fractions, math, statistics
def exact():
    with decimal.localcontext() as context:
        context.prec = 30
        third = decimal.Decimal(1) / 3
    rounded = decimal.Decimal('2.665').quantize(decimal.Decimal('0.01'), decimal.ROUND_HALF_UP)
    return str(third), rounded, fractions.Fraction('0.75') + fractions.Fraction(1, 4)
def more(): return math.gcd(12, 18), math.comb(5, 2), math.isqrt(99), abs(cmath.exp(1j * math.pi) + 1) < 1e-9
def middle(values): return statistics.median(values), statistics.pstdev(values), statistics.mode(values)
# test
from decimal import Decimal
assert exact() == ('0.' + '3' * 30, Decimal('2.67'), 1)
# test
assert more() == (6, 10, 9, True) and middle([1, 2, 2, 3]) == (2, 0.5 ** 0.5, 2)
""",
    "heaps and bisection": r"""
import bisect, heapq
def shortest(graph, start):
    best, heap = {}, [(0, start)]
    while heap:
        cost, node = heapq.heappop(heap)
        if node in best: continue
        best[node] = cost
        for other, step in graph.get(node, {}).items(): heapq.heappush(heap, (cost + step, other))
    return best
def grade(score): return 'FDCBA'[bisect.bisect([60, 70, 80, 90], score)]
# test
assert shortest({'a': {'b': 1, 'c': 5}, 'b': {'c': 2}}, 'a') == {'a': 0, 'b': 1, 'c': 3}
# test
assert [grade(n) for n in (59, 60, 95)] == ['F', 'D', 'A']
# test
import heapq
assert heapq.nlargest(2, [1, 5, 3]) == [5, 3] and list(heapq.merge([1, 4], [2])) == [1, 2, 4]
""",
    "itertools and functools": r"""
import functools, itertools, operator
def groups(words): return {k: list(g) for k, g in itertools.groupby(sorted(words, key=len), key=len)}
def primes():
    numbers = itertools.count(2)
    while True:
        prime = next(numbers)
        yield prime
        numbers = filter(functools.partial(lambda p, n: n % p, prime), numbers)
@functools.singledispatch
def show(value): return 'other'
@show.register
def _(value: int): return 'int'
@show.register(list)
def _(value): return 'list of ' + show(value[0])
@functools.lru_cache(maxsize=None)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
# test
assert groups(['a', 'bb', 'c']) == {1: ['a', 'c'], 2: ['bb']}
# test
import itertools
assert list(itertools.islice(primes(), 6)) == [2, 3, 5, 7, 11, 13]
# test
assert show([1]) == 'list of int' and show('x') == 'other' and fib(80) == 23416728348467685
""",
    "collections": r"""
import collections
Point = collections.namedtuple('Point', 'x y', defaults=[0])
class Cache(collections.OrderedDict):
    def __init__(self, size): super().__init__(); self.size = size
    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        if len(self) > self.size: self.popitem(last=False)
def counted(text): return collections.Counter(text).most_common(2), Point(1)._asdict()
def cached():
    cache = Cache(2)
    for key in 'abc': cache[key] = key.upper()
    return list(cache.items())
def chained():
    recent = collections.deque(range(9), maxlen=3)
    recent.rotate(1)
    tree = collections.defaultdict(lambda: collections.defaultdict(int))
    tree['a']['b'] += 2
    return list(recent), tree['a']['b'], collections.ChainMap({'x': 1}, {'x': 2, 'y': 3})['y']
# test
assert counted('banana') == ([('a', 3), ('n', 2)], {'x': 1, 'y': 0})
# test
assert cached() == [('b', 'B'), ('c', 'C')] and chained() == ([8, 6, 7], 2, 3)
""",
    "hashes and codes": r"""
import base64, binascii, hashlib, hmac, secrets, uuid, zlib
def digests(data): return hashlib.sha256(data).hexdigest()[:8], hashlib.md5(data).hexdigest()[:8], zlib.crc32(data)
def signed(data): return hmac.compare_digest(hmac.new(b'k', data, 'sha1').digest(), hmac.digest(b'k', data, 'sha1'))
def coded(data): return base64.b64encode(data), binascii.hexlify(data), base64.b32decode(base64.b32encode(data))
def derived(): return hashlib.pbkdf2_hmac('sha256', b'p', b's', 1000).hex()[:8], len(hashlib.scrypt(b'p', salt=b's', n=16, r=8, p=1))
def unique(): return len({secrets.token_hex(8), str(uuid.uuid4()), str(uuid.uuid4())}), uuid.uuid5(uuid.NAMESPACE_DNS, 'x').version
# test
assert digests(b'abc') == ('ba7816bf', '90015098', 891568578) and signed(b'x')
# test
assert coded(b'hi!') == (b'aGkh', b'686921', b'hi!') and unique() == (3, 5)
# test
import hashlib
assert derived() == (hashlib.pbkdf2_hmac('sha256', b'p', b's', 1000).hex()[:8], 64)
""",
    "random numbers with a seed": r"""
import random
def sample(seed):
    random.seed(seed)
    own = random.Random(seed)
    return [random.randint(0, 99) for _ in range(3)], [own.randint(0, 99) for _ in range(3)]
def shuffled(values, seed):
    values = list(values)
    random.Random(seed).shuffle(values)
    return values, random.Random(seed).choices('ab', weights=[0, 1], k=3)
# test
one, two = sample(42)
assert one == two == [81, 14, 3]
# test
values, chosen = shuffled(range(9), 1)
assert sorted(values) == list(range(9)) != values and chosen == ['b'] * 3
""",
    "strings": r"""
import string, textwrap, unicodedata
def formatted(): return f'{3.14159:.2f}|{42:>6}|{255:#x}|{1234567:,}|{"x":*^5}|{0.256:.1%}|{"a"!r}|{10:b}'
def old(): return '%-5s|%05d|%.1e' % ('a', 42, 12345.678), '{0[k]} {1.real}'.format({'k': 1}, 2)
def filled(**values): return string.Template('$name is ${age}').substitute(values)
def wrapped(text): return textwrap.wrap(text, 10), textwrap.dedent('  a\n   b'), textwrap.shorten(text, 9)
def plain(text): return unicodedata.normalize('NFKD', text).encode('ascii', 'ignore').decode(), 'ß'.casefold()
# test
assert formatted() == "3.14|    42|0xff|1,234,567|**x**|25.6%|'a'|1010"
# test
assert old() == ('a    |00042|1.2e+04', '1 2') and filled(name='A', age=3) == 'A is 3'
# test
assert wrapped('hello big world') == (['hello big', 'world'], 'a\n b', '[...]') and plain('café') == ('cafe', 'ss')
""",
    "json": r"""
import dataclasses, datetime, json
@dataclasses.dataclass
class Item:
    name: str
    when: datetime.date
class Encoder(json.JSONEncoder):
    def default(self, value):
        if dataclasses.is_dataclass(value): return dataclasses.asdict(value)
        if isinstance(value, datetime.date): return value.isoformat()
        return super().default(value)
def dump(): return json.dumps([Item('a', datetime.date(2024, 1, 2))], cls=Encoder, sort_keys=True)
def load(text): return json.loads(text, object_hook=lambda d: tuple(sorted(d.items())))
def broken(text):
    try: json.loads(text)
    except json.JSONDecodeError as error: return error.lineno, error.colno
# test
assert dump() == '[{"name": "a", "when": "2024-01-02"}]'
# test
assert load('{"b": [1, null], "a": true}') == (('a', True), ('b', [1, None])) and broken('[1,\n}') == (2, 1)
""",
    "mocks": r"""
import time, unittest.mock
class Client:
    def get(self, name): raise OSError('no network')
def fetch(client, name):
    for _ in range(3):
        try: return client.get(name)
        except OSError: time.sleep(1)
def tried():
    client = unittest.mock.Mock(spec=Client)
    client.get.side_effect = [OSError, OSError, 'found']
    with unittest.mock.patch('time.sleep') as sleep: found = fetch(client, 'x')
    return found, sleep.call_count, client.get.call_args_list == [unittest.mock.call('x')] * 3
# test
assert tried() == ('found', 2, True)
# test
from unittest.mock import patch
with patch('time.sleep') as sleep:
    assert fetch(Client(), 'y') is None
assert sleep.call_count == 3
""",
    "a test case of its own": r"""
import unittest
def divide(a, b): return a / b
# test
import unittest
class TestDivide(unittest.TestCase):
    def setUp(self): self.values = [(6, 3, 2), (1, 2, 0.5)]
    def test_values(self):
        for a, b, expected in self.values:
            with self.subTest(a=a): self.assertAlmostEqual(divide(a, b), expected)
    def test_zero(self):
        with self.assertRaisesRegex(ZeroDivisionError, 'division'): divide(1, 0)
result = unittest.TestResult()
unittest.defaultTestLoader.loadTestsFromTestCase(TestDivide).run(result)
assert result.testsRun == 2 and result.wasSuccessful(), result.failures + result.errors
""",
    "input and output replaced": r"""
import io, sys
def ask():
    name = input('name? ')
    print('hello', name)
    sys.stderr.write('done\n')
def played(text):
    stdin, stdout, stderr = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(text), io.StringIO(), io.StringIO()
    try:
        ask()
        return sys.stdout.getvalue(), sys.stderr.getvalue()
    finally: sys.stdin, sys.stdout, sys.stderr = stdin, stdout, stderr
# test
assert played('Ada\n') == ('name? hello Ada\n', 'done\n')
""",
    "numpy": r"""
import numpy as np
def solve(): return np.linalg.solve([[2.0, 1], [1, 3]], [3, 5])
def stats(values):
    array = np.asarray(values, dtype=float)
    return array.mean(), array[array > array.mean()].tolist(), np.percentile(array, 50)
def grid(n): return (np.arange(n)[:, None] * np.arange(n)).trace(), np.einsum('ij->', np.ones((n, n)))
def stored():
    np.savez('a.npz', x=np.eye(2), y=np.arange(3))
    with np.load('a.npz') as found: return {name: found[name].shape for name in found.files}
def seeded(): return np.random.default_rng(0).integers(0, 100, 3).tolist()
def parts(): return np.array_split(np.arange(5), 2)[0].tolist(), np.unique([3, 1, 3], return_counts=True)[1].tolist()
# test
import numpy as np
np.testing.assert_allclose(solve(), [0.8, 1.4])
# test
assert stats([1, 2, 6]) == (3.0, [6.0], 2.0) and grid(4) == (14, 16)
# test
assert stored() == {'x': (2, 2), 'y': (3,)} and seeded() == [85, 63, 51] and parts() == ([0, 1, 2], [1, 2])
""",
    "pandas": r"""
import io
import pandas as pd
def totals(text):
    frame = pd.read_csv(io.StringIO(text), parse_dates=['day'])
    frame['month'] = frame.day.dt.month
    return frame.groupby('month').price.agg(['sum', 'max'])
def joined():
    left = pd.DataFrame({'k': [1, 2], 'a': ['x', 'y']})
    right = pd.DataFrame({'k': [2, 3], 'b': [True, False]})
    return left.merge(right, how='outer', on='k').fillna('-').values.tolist()
def pivoted():
    frame = pd.DataFrame({'r': list('aab'), 'c': list('xyx'), 'v': [1, 2, 3]})
    return frame.pivot_table(index='r', columns='c', values='v', fill_value=0)
def saved(frame):
    frame.to_json('f.json')
    frame.to_pickle('f.pkl')
    return pd.read_json('f.json').equals(frame), pd.read_pickle('f.pkl').equals(frame)
# test
table = totals('day,price\n2024-01-01,2\n2024-01-05,3\n2024-02-01,7\n')
assert table['sum'].tolist() == [5, 7] and table.loc[1, 'max'] == 3
# test
assert joined() == [[1, 'x', '-'], [2, 'y', True], [3, '-', False]] and pivoted().loc['b', 'y'] == 0
# test
import pandas as pd
assert saved(pd.DataFrame({'a': [1, 2]})) == (True, True)
""",
    "sympy": r"""
import sympy
x, y = sympy.symbols('x y')
def roots(): return sorted(sympy.solve(x**2 - 5*x + 6, x))
def area(): return sympy.integrate(sympy.sin(x), (x, 0, sympy.pi)), sympy.diff(x**3 * y, x)
def number(): return sympy.lambdify((x, y), x**2 + y, 'math')(3, 1), sympy.factorint(360), sympy.N(sympy.pi, 5)
# test
assert roots() == [2, 3]
# test
import sympy
area_, slope = area()
assert area_ == 2 and slope == 3 * sympy.Symbol('x')**2 * sympy.Symbol('y')
# test
value, factors, pi = number()
assert value == 10 and factors == {2: 3, 3: 2, 5: 1} and str(pi) == '3.1416'
""",
}
