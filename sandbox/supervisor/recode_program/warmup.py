"""Load libraries and use them once, so that what they import lazily is there before the fork.

Lazy imports after the fork cost more than the fork itself (numpy.testing 50 ms, sympy 44, pandas
15). A library that is missing or breaks here is left out: programs that need it import it
themselves and get the error they would get anywhere.
"""

from __future__ import annotations

import contextlib
import importlib
import random
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_SEED = 20240706

_STANDARD = (
    "abc", "argparse", "array", "ast", "asyncio", "base64", "bisect", "calendar", "cmath",
    "collections", "collections.abc", "concurrent.futures", "contextlib", "copy", "csv",
    "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools", "hashlib",
    "heapq", "html", "inspect", "io", "itertools", "json", "locale", "logging", "math",
    "multiprocessing", "numbers", "operator", "os", "pathlib", "pickle", "platform", "pprint",
    "queue", "random", "re", "secrets", "shutil", "signal", "socket", "statistics", "string",
    "struct", "subprocess", "sys", "tempfile", "textwrap", "threading", "time", "timeit",
    "traceback", "types", "typing", "unicodedata", "unittest", "unittest.mock", "urllib.parse",
    "uuid", "warnings", "weakref", "xml.etree.ElementTree", "zlib", "_strptime",
)  # fmt: skip


def start_by_fork() -> None:
    """Let `multiprocessing` fork unless a program chooses otherwise, as before Python 3.14.

    Its default since, the fork server, is reached by a socket with an address, and there is none.
    What works with the fork server works with a fork as well.
    """
    if sys.version_info >= (3, 14):
        from multiprocessing import context

        with contextlib.suppress(AttributeError, KeyError):
            default = context._default_context  # type: ignore[attr-defined]
            default._default_context = context._concrete_contexts["fork"]  # type: ignore[attr-defined]


def load(libraries: tuple[str, ...]) -> list[str]:
    """Import the standard library's usual modules and `libraries`; return which of those worked."""
    for name in _STANDARD:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    _use(_use_standard, None)
    loaded = []
    for name in libraries:
        try:
            module = importlib.import_module(name)
        except BaseException:  # noqa: BLE001, S112 - also SystemExit; the program will see its own
            continue
        loaded.append(name)
        _use(_USES.get(name), module)
    "".encode("unicode_escape")  # loads the codec, which every program would load anew
    random.seed(_SEED)
    if "decimal" in sys.modules:
        sys.modules["decimal"].getcontext().clear_flags()  # honest programs may look at them
    return loaded


def _use(use: Callable[[Any], None] | None, module: Any) -> None:
    if use is not None:
        with contextlib.suppress(Exception):
            use(module)


def _use_standard(_: None) -> None:
    import dataclasses
    import datetime as dt
    import decimal
    import json
    import re
    import statistics
    import traceback

    re.sub(r"(\w+)\s", r"\1-", "warm up the compiler ")
    json.loads(json.dumps({"a": [1, 2.5, None]}))
    dt.datetime.strptime("2024-07-06", "%Y-%m-%d")
    statistics.mean([1, 2, 3])
    decimal.Decimal("1.1").sqrt()
    dataclasses.make_dataclass("Warm", ["x"])(1)
    try:
        raise ValueError("x")
    except ValueError as error:
        traceback.format_exception(error)
    with contextlib.suppress(SyntaxError):
        compile("def f(:", "<warm>", "exec")
    space: dict[str, Any] = {}
    exec("def f(x):\n    return [y for y in x]\nassert f([1]) == [1]", space)  # noqa: S102


def _use_numpy(np: Any) -> None:
    import numpy.testing  # noqa: F401

    a = np.arange(12.0).reshape(3, 4)
    a @ a.T
    np.linalg.inv(np.eye(3))
    np.linalg.svd(a)
    np.fft.fft(a)
    np.sort(a, axis=0)
    np.unique(a)
    np.array2string(a)
    str(np.array([1, 2], dtype=complex)), repr(np.array(["a"]))
    np.testing.assert_allclose(a, a)
    np.testing.assert_array_equal(a, a)
    with contextlib.suppress(AssertionError):
        np.testing.assert_array_almost_equal(a, a + 1)
    np.allclose(a, a)
    np.einsum("ij,kj->ik", a, a)
    np.polyfit([0.0, 1, 2], [0.0, 1, 2], 1)
    np.random.default_rng(0).normal(size=3)
    np.random.rand(3)
    np.random.seed(_SEED)


def _use_pandas(pd: Any) -> None:
    import pandas.testing

    frame = pd.DataFrame(
        {"k": ["a", "b", "a"], "v": [1, 2, 3], "t": pd.date_range("2024", periods=3)}
    )
    frame.groupby("k").v.agg(["sum", "mean"])
    frame.merge(frame, on="k").sort_values("v_x").to_string()
    frame.pivot_table(index="k", values="v")
    frame.describe(), frame.v.rolling(2).mean(), frame.apply(str)
    frame.isna().any(), frame.loc[frame.v > 1, "k"], frame.iloc[0]
    pd.concat([frame, frame], ignore_index=True).drop_duplicates()
    pd.to_datetime(["2024-01-01"]), pd.Series([1, None]).fillna(0)
    pandas.testing.assert_frame_equal(frame, frame)
    frame.to_csv()


def _use_sympy(sympy: Any) -> None:
    x, y = sympy.symbols("x y")
    sympy.diff(sympy.sin(x) * x**2, x)
    sympy.factor(x**2 - 1), sympy.expand((x + y) ** 3)
    sympy.simplify(sympy.sin(x) ** 2 + sympy.cos(x) ** 2)
    sympy.solve(x**2 - 2, x), sympy.integrate(x**2, x), sympy.limit(sympy.sin(x) / x, x, 0)
    sympy.Matrix([[1, 2], [3, 4]]).det()
    sympy.sympify("x + 1").subs(x, 2).evalf(), sympy.lambdify(x, x + 1)(1)
    str(sympy.sqrt(x)), sympy.latex(x / y)


def _use_torch(torch: Any) -> None:
    torch.set_num_threads(1)
    start = torch.get_rng_state()
    a = torch.rand(3, 4, requires_grad=True)
    (a @ a.T).sum().backward()
    repr(a), torch.allclose(a, a), a.detach().numpy()
    b = torch.randn(2, 3, 3)
    torch.bmm(b, b), torch.cat([b, b]), torch.stack([b, b]), b.view(-1), b.unsqueeze(0).squeeze()
    torch.matmul(b, b), torch.nn.Linear(3, 3)(b), torch.nn.functional.softmax(b, -1)
    torch.optim.SGD([a], lr=0.1).step()
    importlib.import_module("torch.testing").assert_close(b, b)
    torch.equal(b, b)
    torch.set_rng_state(start)


def _use_scipy(_: Any) -> None:
    import scipy.linalg
    import scipy.optimize
    import scipy.special
    import scipy.stats

    scipy.stats.norm.cdf(0.0)
    scipy.linalg.inv([[1.0, 0.0], [0.0, 1.0]])
    scipy.optimize.minimize(lambda v: float(v[0] ** 2), [1.0])


def _use_pytest(pytest: Any) -> None:
    pytest.approx(1.0) == 1.0  # noqa: B015
    with pytest.raises(ValueError, match="x"):
        raise ValueError("x")


_USES: dict[str, Callable[[Any], None]] = {
    "numpy": _use_numpy,
    "pandas": _use_pandas,
    "sympy": _use_sympy,
    "torch": _use_torch,
    "scipy": _use_scipy,
    "pytest": _use_pytest,
}
