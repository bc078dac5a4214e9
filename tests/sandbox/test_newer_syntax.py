"""A source in a Python newer than the interpreter is told from one that is no Python at all."""

from __future__ import annotations

import ast
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.sandbox.local import supervisor_folder

sys.path.insert(0, str(supervisor_folder()))
from recode_program.newer_syntax import needed, note

THIS = sys.version_info[:2]
NEWER = {
    "match x:\n    case [1, {'a': y}] if y > 3: z = 1\n    case _:\n        pass\n": (3, 10),
    "try:\n    pass\nexcept* A:\n    pass\n": (3, 11),
    "a[*b]": (3, 11),
    "type X = int\n": (3, 12),
    "type X[T] = list[T]\n": (3, 12),
    "def f[T: (int, str)](x: T) -> T:\n    return x\n": (3, 12),
    "class A[T, *Ts, **P](B):\n    def g[K](self): return 1\n": (3, 12),
    'async def f[T](x):\n    return f"{await g("a")}"\n': (3, 12),
    "x = f'{d['a']}'\n": (3, 12),
    'x = f"{"\\n".join(a)}"\n': (3, 12),
    "x = f'{a!r:>{w}} {'#'} {b == c} {d['x']=}'\n": (3, 12),
    "x = f'''{\n# c\n d['''k''']}'''\n": (3, 12),
    "class A[T = int]: pass\n": (3, 13),
    "try:\n    pass\nexcept A, B:\n    pass\n": (3, 14),
    "x = t'{a}'\n": (3, 14),
}
BROKEN = (
    "def f(:", "x = f'{'\n", "type X = (\n", "x = f'{a b['c']}'", "x = '", "print 'a'\n", "x = (",
    "def f[T](x): return x\nif x = 3: pass\n", "x = f'{d['a']} {'", "x = f'{1 if': None}'",
    "match x:\n    case 1 pass\n", "try: pass\nexcept A, B pass\n", "t'{a b}'", "\\",
)  # fmt: skip
CODE = st.lists(
    st.sampled_from([
        "def f", "class A", "[T]", "(x)", ":", "\n", "    ", "pass", "type ", "X", " = ", "1", "f'",
        "{", "}", "'", '"', "'''", "!r", "match ", "case ", "except", "*", ",", "try:", "#", "\\",
    ])
).map("".join)  # fmt: skip


@pytest.mark.parametrize("source", NEWER)
def test_the_version_is_named(source: str) -> None:
    """The versions are those of the interpreters that were asked: 3.7 to 3.13."""
    version = NEWER[source]
    if version > THIS:
        assert needed(source) == version
        assert note(source) == b" (needs Python %d.%d, this is %d.%d)" % (*version, *THIS)
    else:
        ast.parse(source)
        assert needed(source) is None


@pytest.mark.parametrize("source", BROKEN)
def test_no_version_is_named_for_what_none_can_read(source: str) -> None:
    assert note(source) == b""


def test_another_error_beside_it_is_no_version() -> None:
    """It would be a lie: that Python could not read it either."""
    for source in NEWER:
        assert note(f"{source}\nif x = 3: pass\n") == b"", source


@given(st.text() | CODE)
def test_any_text_is_survived_and_valid_code_needs_nothing(source: str) -> None:
    said = note(source)
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        assert said == b"" or said.startswith(b" (needs Python 3.")
    else:
        assert said == b""
