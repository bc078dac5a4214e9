"""Patterns of API use, by hand and by property."""

from __future__ import annotations

import keyword
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recode_eval.languages.python.api_usage import Pattern, matches, uses
from recode_eval.languages.python.syntax import MAX_CODE_CHARS


def found(pattern: str, code: str) -> bool:
    return matches(Pattern.parse(pattern), code)


@pytest.mark.parametrize(
    "code",
    [
        "import numpy\nnumpy.in1d(a, b)",
        "import numpy as np\nnp.in1d(a, b)",
        "import numpy as np, math\nmap(np.in1d, a)",
        "from numpy import in1d",
        "from numpy import in1d as f\nf(a, b)",
        "from numpy import *\nin1d(a, b)",
        "from math import *\nfrom numpy import *\nin1d(a, b)",
        "def f(a):\n    import numpy as xp\n    return xp.in1d(a, a)",
        "import numpy as np\nxp = np\nxp.in1d(a, b)",
        "import numpy as np\nf = g = np.in1d\n",
        "import numpy as np\nxp: object = np\nxp.in1d",
        "import numpy as np\nxp, y = np, 3\nxp.in1d",
        "import numpy as np\nxp = np if fast else other\nxp.in1d",
        "import numpy as np\nxp = fast or np\nxp.in1d",
        "import numpy as np\nif (xp := np):\n    xp.in1d",
        "import numpy as np\n(xp := np).in1d",
        'import numpy as np\ngetattr(np, "in1d")(a, b)',
        'import numpy as np\nf = getattr(np, "in1d", None)',
        "import numpy.linalg\nnumpy.in1d",
        'import importlib\nnp = importlib.import_module("numpy")\nnp.in1d',
        "try:\n    import numpy as np\nexcept ImportError:\n    np = None\nnp.in1d",
        "import numpy as np\n@np.in1d\ndef f(): pass",
        "import numpy as np\ndef f(x: np.in1d = 3): pass",
        "import numpy as np\nclass A(np.in1d): pass",
        "import numpy as np\nclass A:\n    def f(self): return np.in1d(self)",
        "import numpy as np\nf'{np.in1d(a, b)}'",
        "import numpy as np\n[np.in1d(x, y) for x in y]",
        "import numpy as np\nlambda x: np.in1d(x, x)",
        "import numpy as np\nnp.in1d.__doc__",
        "import numpy as np\ndel np.in1d",
        "import numpy as np\nmatch x:\n    case np.in1d: pass",
        "import numpy as np\nasync def f():\n    async with np.in1d(x): pass",
        "def f():\n    global np\n    import numpy as np\ndef g(): return np.in1d",
        (
            "def f():\n    np = None\n    def g():\n        nonlocal np\n"
            "        import numpy as np\n    return np.in1d"
        ),
        "def g(): return np.in1d\nimport numpy as np",
        "class np: pass\nimport numpy as np\nnp.in1d",
        "for i in x:\n    if i: np.in1d\n    import numpy as np",
        "import numpy as np\nnp = np\nnp.in1d",
        "import numpy as np\nif x:\n    np = 3\nnp.in1d",
        "import numpy as np\n[np for np in x]\nnp.in1d",
        "class A:\n    np = 3\n    def f(self):\n        return np.in1d\nimport numpy as np",
    ],
)
def test_a_dotted_name_is_found(code: str) -> None:
    assert found("numpy.in1d", code)
    assert found("numpy", code)
    assert not found("numpy.isin", code)
    assert not found("numpy.in1d.in1d", code)
    assert not found("_.in1d", code)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "in1d(a, b)",
        "np.in1d(a, b)",
        "# np.in1d\nimport numpy as np",
        '"""import numpy; numpy.in1d"""',
        "import numpy as np\nx = 'np.in1d'",
        "import numpy as np\nx = f'np.in1d {{np.in1d}}'",
        "import numpy as np\ndef f(x: 'np.in1d'): pass",
        "import numpy as np\nnp.in1dim(a)",
        "import numpy as np\ndef f(np): return np.in1d",
        "import numpy as np\ndef f(*np): return np.in1d",
        "import numpy as np\ndef f(x, /, *, np=1, **k): return np.in1d",
        "import numpy as np\nlambda np: np.in1d",
        "import numpy as np\ndef f():\n    np = x()\n    return np.in1d",
        "import numpy as np\ndef f():\n    for np in x: np.in1d",
        "import numpy as np\ndef f():\n    with x() as np: return np.in1d",
        "import numpy as np\n[np.in1d for np in x]",
        "import numpy as np\n{np.in1d: 1 for y, (np, *z) in x}",
        "import numpy as np\nnp = Fake()\nnp.in1d",
        "import numpy as np\nnp = Fake()\ndef f(): return np.in1d",
        "import numpy as np\nif x:\n    np = 3\n    np.in1d",
        "import numpy as np\nclass np: pass\nnp.in1d",
        "import numpy as np\ndef np(): pass\nnp.in1d",
        "import numpy as np\nmatch x:\n    case [np, *y]: np.in1d",
        "import numpy as np\ntry: pass\nexcept E as np: np.in1d",
        "import numpy as np\nimport cupy as np\nnp.in1d",
        "import numpy as np\nclass A:\n    np = 3\n    np.in1d",
        "import numpy as np\nx.np.in1d",
        "import numpy as np\nnp.array(x).in1d",
        "import numpy as np\nnp.x[0].in1d",
        "import numpy as np\ngetattr(np, 'in1d' + '')",
        "import numpy as np\ngetattr(np, name)",
        "import numpy as np\ndef getattr(a, b): pass\ngetattr(np, 'in1d')",
        "import numpy as np\nhasattr(np, 'in1d')",
        "from numpy import *\ndef in1d(a, b): pass\nin1d(a, b)",
        "from numpy import *\ndef f(in1d): return in1d",
        "from .numpy import in1d",
        "from . import numpy\nnumpy.in1d",
        "import mynumpy as np\nnp.in1d",
        "import numpy as np\nnp.in1d(",
        "import numpy as np\nnp.in1d\0",
        "import numpy as np\nnp.in1d\n'\ud800'",
    ],
)
def test_a_dotted_name_is_not_found(code: str) -> None:
    assert not found("numpy.in1d", code)


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("scipy.misc", "from scipy.misc import derivative"),
        ("scipy.misc", "import scipy.misc"),
        ("scipy.misc", "import scipy.misc as m"),
        ("scipy.misc", "from scipy import misc"),
        ("scipy.misc", "from scipy.misc import *"),
        ("scipy.misc", "import scipy\nscipy.misc.derivative(f, 1)"),
        ("scipy.misc.derivative", "from scipy.misc import *\nderivative(f, 1)"),
        ("scipy.misc.derivative", "from scipy import *\nmisc.derivative(f, 1)"),
        ("numpy.linalg.norm", "import numpy.linalg as la\nla.norm(x)"),
        ("numpy.linalg.norm", "import numpy.linalg\nnumpy.linalg.norm(x)"),
        ("numpy.linalg.norm", "from numpy import linalg\nf = linalg.norm\n"),
        ("numpy.linalg.norm", 'import numpy as n\ngetattr(getattr(n, "linalg"), "norm")(x)'),
        ("pydantic.validator", 'from pydantic import validator\n@validator("x")\ndef f(): pass'),
        ("torch.nn.Module", "import torch.nn as nn\nclass Net(nn.Module): pass"),
        ("concurrent.futures", "from concurrent.futures import ThreadPoolExecutor"),
    ],
)
def test_imports_and_prefixes(pattern: str, code: str) -> None:
    assert found(pattern, code)


def test_a_star_import_alone_uses_no_name_of_the_module() -> None:
    assert not found("scipy.misc.derivative", "from scipy.misc import *")


@pytest.mark.parametrize(
    "code",
    [
        "df.applymap(f)",
        "df[0].applymap",
        "g = df.applymap",
        "self.df.applymap(f)",
        "frame(x).applymap(f).sum()",
        "df.applymap.cache",
        'getattr(df, "applymap")(f)',
        "import pandas as pd\npd.DataFrame(x).applymap(f)",
        "import pandas as pd\ndf = pd.DataFrame(x)\ndf.applymap(f)",
        "import pandas as pd\ndef f(pd): return pd.applymap",
        "[row.applymap(f) for row in rows]",
        "x.applymap = 3",
        "class A:\n    def f(self): self.applymap(f)",
        "class A:\n    def f(self): super().applymap(f)",
        "(yield_ if x else y).applymap",
    ],
)
def test_an_attribute_of_any_object(code: str) -> None:
    assert found("_.applymap", code)
    assert not found("applymap", code)
    assert not found("_.map", code)


@pytest.mark.parametrize(
    "code",
    [
        "import numpy as np\nnp.append(a, b)",
        "import numpy\nnumpy.ma.append(a, b)",
        "from numpy import append\nappend(a, b)",
        "from numpy import ma\nma.append(a, b)",
        "try:\n    import numpy as np\nexcept ImportError:\n    np = None\nnp.append(a, b)",
        "append(a)",
        "def append(a): pass",
        "'x.append'",
        "getattr(x, append)",
        "f(append=1)",
    ],
)
def test_not_an_attribute_of_an_object(code: str) -> None:
    assert not found("_.append", code)


@pytest.mark.parametrize(
    ("pattern", "code", "expected"),
    [
        ("pandas.read_csv(date_parser=...)", "pd.read_csv(f, date_parser=g)", True),
        ("pandas.read_csv(date_parser=...)", "pd.read_csv(f)", False),
        ("pandas.read_csv(date_parser=...)", "pd.read_csv(f, date_parse=g)", False),
        ("pandas.read_csv(date_parser=...)", "pd.read_csv", False),
        ("pandas.read_csv(date_parser=...)", "pd.io.read_csv(date_parser=g)", False),
        ("pandas.read_csv(date_parser=...)", "x.read_csv(date_parser=g)", False),
        ("pandas.read_csv(date_parser=...)", "pd.read_csv(**{'date_parser': g})", True),
        ("pandas.read_csv(date_parser=...)", "pd.read_csv(f, **options)", False),
        ("pandas.read_csv(a=..., b=1)", "pd.read_csv(b=1, c=2, a=3)", True),
        ("pandas.read_csv(a=..., b=1)", "pd.read_csv(b=2, a=3)", False),
        ("pandas.read_csv(a=..., b=1)", "pd.read_csv(b=1)", False),
        ("pandas.read_csv()", "pd.read_csv(f)", True),
        ("pandas.read_csv()", "pd.read_csv", False),
        ("pandas.date_range(freq='M')", "pd.date_range(a, freq='M')", True),
        ("pandas.date_range(freq='M')", 'pd.date_range(a, freq="M")', True),
        ("pandas.date_range(freq='M')", "pd.date_range(a, freq='ME')", False),
        ("pandas.date_range(freq='M')", "pd.date_range(a, freq=M)", False),
        ("pandas.date_range(freq='M')", "pd.date_range(a, freq=f'M')", False),
        ("pandas.date_range(freq='M')", "pd.date_range('M')", False),
        ("pandas.f(x=1)", "pd.f(x=True)", False),
        ("pandas.f(x=1)", "pd.f(x=1.0)", False),
        ("pandas.f(x=-1)", "pd.f(x=-1)", True),
        ("pandas.f(x=-1)", "pd.f(x=+1)", False),
        ("pandas.f(x=-1)", "pd.f(x=1)", False),
        ("pandas.f(x=None)", "pd.f(x=None)", True),
        ("pandas.f(x=None)", "pd.f(x=...)", False),
        ("pandas.f(x=(0, ...))", "pd.f(x=(0, y))", True),
        ("pandas.f(x=(0, ...))", "pd.f(x=(1, y))", False),
        ("pandas.f(x=(0, ...))", "pd.f(x=[0, y])", False),
        ("pandas.f(x=[0, 'a'])", "pd.f(x=[0, 'a'])", True),
        ("pandas.f(x=[0, 'a'])", "pd.f(x=[0, 'a', 1])", False),
        ("_.resample('M')", "df.resample('M').sum()", True),
        ("_.resample('M')", "df.resample('M', closed=1)", True),
        ("_.resample('M')", "df.resample(x, 'M')", False),
        ("_.resample('M')", "df.resample(rule='M')", False),
        ("_.resample('M')", "df.resample", False),
        ("_.resample('M')", "pd.resample('M')", False),
        ("_.drop(..., ...)", "df.drop('a', 1)", True),
        ("_.drop(..., ...)", "df.drop('a', 1, 2)", True),
        ("_.drop(..., ...)", "df.drop('a', axis=1)", False),
        ("_.drop(..., ...)", "df.drop('a', *rest)", False),
        ("_.drop(..., ...)", "df.drop('a', 1, *rest)", True),
        ("_.drop(..., 1)", "df.drop('a', 1)", True),
        ("_.drop(..., 1)", "df.drop('a', 0)", False),
        ("_.groupby(axis=...)", "df.groupby(k, axis=1)", True),
        ("_.groupby(axis=...)", "x().y[0].groupby(axis=1)", True),
        ("_.groupby(axis=...)", "getattr(df, 'groupby')(axis=1)", True),
        ("_.groupby(axis=...)", "df.groupby(k).agg(axis=1)", False),
        ("_.dt.weekday()", "df.x.dt.weekday()", True),
        ("_.dt.weekday()", "df.weekday()", False),
        ("_.dt.week", "df.x.dt.week.astype(int)", True),
        ("_.dt.week", "df.dt.x.week", False),
        ("_.dt.week", "dt.week", False),
        ("pandas.f(...)", "@pd.f\ndef g(): pass", True),
        ("pandas.f(..., ...)", "@pd.f\ndef g(): pass", False),
        ("pandas.f(1)", "@pd.f\ndef g(): pass", False),
        ("pandas.f(pre=True)", "@pd.f('x', pre=True)\nclass G: pass", True),
        ("_.f(pre=True)", "@app.f('x', pre=True)\nasync def g(): pass", True),
        ("pandas.Frame(dtype=...)", "x = [pd.Frame(y, dtype=z) for y in a]", True),
    ],
)
def test_calls(pattern: str, code: str, expected: bool) -> None:
    assert found(pattern, f"import pandas as pd\n{code}") is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("class A:\n    class Config: pass", True),
        ("class A:\n    if x:\n        class Config(B): pass", True),
        ("def f():\n    class A:\n        class Config: pass", True),
        ("class Config: pass", False),
        ("class A:\n    def f(self):\n        class Config: pass", False),
        ("class A:\n    Config = 3", False),
        ("class A:\n    class Configuration: pass", False),
        ("class Config:\n    class A: pass", False),
        ("'''class A:\n    class Config: pass'''", False),
    ],
)
def test_nested_classes(code: str, expected: bool) -> None:
    assert found("class Config", code) is expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not one Python expression"),
        ("a.b c", "not one Python expression"),
        ("a = 1", "not one Python expression"),
        ("a\nb", "not one Python expression"),
        ("a.b(x=1, x=2)", "."),
        ("class", "`class` and one name"),
        ("class A B", "`class` and one name"),
        ("class if", "`class` and one name"),
        ("class A:", "`class` and one name"),
        ("_", "`_` alone"),
        ("_()", "`_` alone"),
        ("a._.b", "must come first"),
        ("_._", "must come first"),
        ("'a'.b", "dotted name"),
        ("a().b", "dotted name"),
        ("a[0]", "dotted name"),
        ("a + b", "dotted name"),
        ("...", "dotted name"),
        ("a.b(c)", "literal"),
        ("a.b(x=c)", "literal"),
        ("a.b(_)", "literal"),
        ("a.b(*...)", "literal"),
        ("a.b(**...)", "`[*][*]`"),
        ("a.b({})", "literal"),
        ("a.b(-...)", "literal"),
        ("a.b(not 1)", "literal"),
        ("a.b(f'x')", "literal"),
        ("a" * 1001, "at most 1000"),
        (".".join("a" * 40), "fewer than 32 parts"),
        ("a.b(" + "(" * 300 + ")" * 300 + ")", "not one Python expression"),
        ("a\0", "not one Python expression"),
        ("\ud800", "not one Python expression"),
    ],
)
def test_faulty_patterns_are_named(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Pattern.parse(text)


def test_patterns_are_values() -> None:
    assert Pattern.parse("numpy.in1d") == Pattern.parse("numpy.in1d")
    assert len({Pattern.parse("_.a(1)"), Pattern.parse("_.a(1)"), Pattern.parse("_.a(2)")}) == 2
    assert Pattern.parse(" numpy.in1d ").path == ("numpy", "in1d")
    assert repr(Pattern.parse("_.a(1)")) == "Pattern(text='_.a(1)')"


def test_uses_gives_those_that_occur_in_order() -> None:
    patterns = [Pattern.parse(text) for text in ("_.b", "numpy.a", "_.a", "class B", "numpy")]
    code = "import numpy as np\nnp.a\nx.b\n"
    assert [pattern.text for pattern in uses(patterns, code)] == ["_.b", "numpy.a", "numpy"]
    assert uses([], code) == ()
    assert uses(patterns, "def") == ()


HOSTILE = {
    "too long": "import numpy as np\nnp.in1d\n" + "#" * MAX_CODE_CHARS,
    "megabytes": "x." * 2_000_000 + "y",
    "deep parentheses": "(" * 50_000 + ")" * 50_000,
    "long chain": "import a\na" + ".b" * 2_500,
    "long call chain": "import a\na" + ".b()" * 900,
    "many aliases": "import a\n" + "".join(f"x{i} = x{i - 1}.y\n" for i in range(1, 9_000)),
    "aliases backwards": "def f():\n    return x0.y\n"
    + "".join(f"x{i} = x{i + 1}.y\n" for i in range(9_000))
    + "import a as x9000",
    "aliases in a circle": "for i in j:\n    x = y\n    y = z\n    z = x\n    x.in1d\n",
    "one name bound often": "import a\n" + "if x: a = a.b\n" * 9_000 + "a.b\n" * 9_000,
    "in a loop": "for i in j:\n" + " a.b\n" * 9_000 + " a = a.b\n" * 9_000,
    "used later": "def f():\n" + " a.b\n" * 9_000 + "if x: a = a.b\n" * 9_000,
    "alternatives": "import a, b\n" + "a, b = a.x if c else b.y, b.z if c else a.u\n" * 4_000,
    "stars": "".join(f"from m{i} import *\n" for i in range(3_000)) + "x.y\n" * 9_000,
    "lambdas": "import a\n" + "lambda: " * 400 + "a.b",
    "comprehensions": "import a\n" + "[" * 60 + "a.b" + " for x in y]" * 60,
    "elif": "if x: a\n" + "elif x: a.b\n" * 900,
    "getattr": "getattr(" * 60 + "a" + ', "b")' * 60,
    "operators": "import a\n" + "+".join(["a.b"] * 900),
    "many names": "import a\n" + "\n".join(f"a.x{i}.y{i}" for i in range(9_000)),
    "globals": "import a\n" + "def f():\n global a\n a = a.b\n" * 5_000,
    "tuples": "import a\n" + "a = " + "(" * 150 + "a," + ")," * 149 + ")",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_code_is_bounded(name: str) -> None:
    """Chains, nests and aliases that would make recursion or naive resolution explode."""
    patterns = [Pattern.parse(text) for text in ("numpy.in1d", "_.in1d(1)", "class A", "_.q.r")]
    start = time.process_time()
    assert uses(patterns, HOSTILE[name]) == ()
    assert time.process_time() - start < 5


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name) and name != "getattr"
)
PATHS = st.lists(NAMES, min_size=2, max_size=5, unique=True)


@given(st.text())
@settings(max_examples=300)
def test_any_text_is_a_pattern_or_a_value_error(text: str) -> None:
    try:
        pattern = Pattern.parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert pattern.text == text
        assert not matches(pattern, "")


@given(st.text(alphabet="abnp._=(),\"'\n :*@[]1forinclassdefimportaswithlambda", max_size=200))
@settings(max_examples=500)
def test_any_text_can_be_searched(code: str) -> None:
    patterns = [Pattern.parse(text) for text in ("a.b", "_.b", "_.b(...)", "class A")]
    occurring = uses(patterns, code)
    assert list(occurring) == [pattern for pattern in patterns if matches(pattern, code)]


@given(PATHS, NAMES, st.data())
def test_every_way_to_import_is_seen_through(path: list[str], alias: str, data: st.DataObject):
    """The dotted name and all of its prefixes occur however the name was imported."""
    cut = data.draw(st.integers(1, len(path) - 1))
    module, rest = path[:cut], path[cut:]
    code = data.draw(
        st.sampled_from(
            [
                f"import {'.'.join(module)}\n{'.'.join(path)}",
                f"import {'.'.join(module)} as {alias}\n{'.'.join([alias, *rest])}",
                (
                    f"from {'.'.join(module)} import {rest[0]} as {alias}\n"
                    f"{'.'.join([alias, *rest[1:]])}"
                ),
                f"from {'.'.join(module)} import *\n{'.'.join(rest)}",
                (
                    f"def f_():\n    import {'.'.join(module)} as {alias}\n"
                    f"    return lambda: {'.'.join([alias, *rest])}"
                ),
                f"import {'.'.join(module)} as {alias}\nq_ = {alias}\n{'.'.join(['q_', *rest])}",
            ]
        )
    )
    for end in range(1, len(path) + 1):
        assert found(".".join(path[:end]), code)
    assert not found(".".join([*path, "more"]), code)
    # The same text says nothing inside of a string, and under a parameter of that name.
    assert not found(".".join(path), f"x_ = {code!r}")
    hidden = f"import {path[0]}\ndef f_({path[0]}):\n    return {'.'.join(path)}"
    assert not found(".".join(path), hidden)
    assert found(f"_.{path[1]}", hidden)


@given(NAMES, st.dictionaries(NAMES, st.integers() | st.text() | st.booleans() | st.none()))
def test_literal_keywords_match_themselves_only(name: str, keywords: dict[str, object]) -> None:
    call = ", ".join(f"{key}={value!r}" for key, value in keywords.items())
    code = f"x().{name}({call})"
    assert found(f"_.{name}({call})", code)
    for key, value in keywords.items():
        assert found(f"_.{name}({key}={value!r})", code)
        assert not found(f"_.{name}({key}={[value]!r})", code)
        assert not found(f"_.{name}({key}_={value!r})", code) or f"{key}_" in keywords
