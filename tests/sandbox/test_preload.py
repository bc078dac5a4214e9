"""Which warmed process a program goes to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.sandbox import Program, Test
from recode_eval.sandbox.preload import WARMED, libraries_of


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import math", []),
        ("import numpy as np, sympy", ["numpy", "sympy"]),
        ("from numpy.linalg import inv", ["numpy"]),
        ("def f():\n    import torch\n    import numpy", ["torch"]),
        ("# import torch", []),
        ("import networkx", []),
        ("x = 'numpy'", []),
    ],
)
def test_imports_decide(source: str, expected: list[str]) -> None:
    assert libraries_of(Program("", source, ())) == expected
    assert libraries_of(Program(source, "", ())) == expected
    assert libraries_of(Program("", "", (Test("t", source),))) == expected


def test_preloaded_names_count_when_they_occur() -> None:
    program = Program("", "__import__('networkx')", (), frozenset({"networkx", "torch"}))
    assert libraries_of(program) == ["networkx"]


def test_a_submodule_counts_when_its_package_is_imported() -> None:
    """Loading matplotlib.figure takes a second, and matplotlib alone does not load it."""
    wanted = frozenset({"matplotlib.figure", "scipy.stats", "a..b", ".c"})
    program = Program("", "from matplotlib import pyplot", (), wanted)
    assert libraries_of(program) == ["matplotlib.figure"]


@given(st.text(), st.text(), st.frozensets(st.text(max_size=12), max_size=3))
def test_any_text_gives_plain_names(setup: str, candidate: str, preload: frozenset[str]) -> None:
    for name in libraries_of(Program(setup, candidate, (), preload)):
        assert name in WARMED or (
            name in preload and all(part.isidentifier() for part in name.split("."))
        )
