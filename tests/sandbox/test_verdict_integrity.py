"""Objects that a program hands to its grader must not reach a verdict or its nonce.

All of this is isolation `program`: the candidate runs in the process that sends the verdicts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recode_eval.sandbox import Limits, Program, Sandbox, Status, Test, open_sandbox
from recode_eval.sandbox.landlock import reason_against

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS = Limits(cpu_s=2, wall_s=8)
FORGED = "packed[:16] + b'P' + packed[17:] if isinstance(packed, bytes) else packed"
DUNDERS = (
    "__add__", "__radd__", "__iadd__", "__str__", "__repr__", "__format__", "__bytes__", "__len__",
    "__getitem__", "__iter__", "__index__", "__int__", "__bool__", "__eq__", "__ne__", "__hash__",
    "__class__", "__getattribute__", "__buffer__", "__contains__", "__mod__", "__rmod__",
    "__instancecheck__", "__subclasscheck__", "__name__", "__qualname__", "__module__", "__doc__",
    "__dict__", "__traceback__", "__cause__", "__context__", "__notes__", "args", "encode", "join",
)  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    if reason := reason_against():
        pytest.skip(reason)
    with open_sandbox("landlock", workers=1, isolation="program") as opened:
        yield opened


def verdict(sandbox: Sandbox, candidate: str, test: str = "assert answer() == 1"):
    program = Program("", candidate, (Test("test", test),))
    [found] = sandbox.submit(program, LIMITS).result().verdicts
    return found


def test_text_of_an_exception_cannot_rewrite_the_verdict(sandbox: Sandbox) -> None:
    """`str(exception)` may be a subclass of `str`, whose `__radd__` got the packed verdict."""
    candidate = f"""
class Text(str):
    def encode(self, *_): return self
    def __add__(self, other): return self
    def __radd__(self, packed): return {FORGED}
    def __getitem__(self, _): return self
    def __len__(self): return 1
class Odd(Exception):
    def __str__(self): return Text("x")
def answer(): raise Odd
"""
    assert verdict(sandbox, candidate).status is Status.FAILED


@pytest.mark.parametrize("attribute", ["__name__", "__module__"])
def test_name_of_an_exception_cannot_rewrite_the_verdict(sandbox: Sandbox, attribute: str) -> None:
    """A metaclass may say any object for the name of a class."""
    candidate = f"""
class Line:
    def encode(self, *_): return self
    def __add__(self, other): return self
    def __radd__(self, packed): return {FORGED}
    def __getitem__(self, _): return self
class Meta(type):
    {attribute} = property(lambda cls: Line())
class Odd(Exception, metaclass=Meta): pass
def answer(): raise Odd("x")
"""
    found = verdict(sandbox, candidate)
    assert found.status is Status.FAILED
    assert found.detail == "Odd: x"


def test_a_hijacked_flush_runs_before_there_is_a_verdict(sandbox: Sandbox) -> None:
    candidate = """
import io, sys
class Buffer(io.BytesIO):
    def flush(self): raise SystemExit(0)
sys.stdout.__init__(Buffer(), "utf-8")
def answer(): return 0
"""
    assert verdict(sandbox, candidate).status is Status.FAILED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.sets(st.sampled_from(DUNDERS), max_size=len(DUNDERS)),
    on=st.sampled_from(["Text", "Meta", "Odd"]),
    behaviour=st.sampled_from([FORGED, "self", "True", "b'P' * 30", "Text('x')", "(yield)"]),
)
def test_no_hostile_method_of_an_exception_makes_a_pass(
    sandbox: Sandbox, names: set[str], on: str, behaviour: str
) -> None:
    """Every name that the grading code might look up on what a candidate raised, made hostile."""
    methods = "\n    ".join(
        f"def {name}(self, packed=b'', *_, **__): return {behaviour}" for name in sorted(names)
    )
    bases = {"Text": "str", "Meta": "type", "Odd": "Exception"}
    bodies = {name: methods if name == on and methods else "pass" for name in bases}
    candidate = f"""
class Text(str):
    {bodies["Text"]}
class Meta(type):
    {bodies["Meta"]}
try:
    class Odd(Exception, metaclass=Meta):
        {bodies["Odd"].replace(chr(10), chr(10) + "    ")}
        if {on != "Odd"}:
            def __str__(self): return Text("x")
except BaseException:
    Odd = ValueError
def answer(): raise Odd(Text("x"))
"""
    assert verdict(sandbox, candidate).status is not Status.PASSED


@pytest.mark.parametrize(
    ("candidate", "test", "named"),
    [
        ("import math\nmath.isclose = lambda *_, **__: True",
         "import math\nassert math.isclose(answer(), 1)", "math.isclose"),
        ("import builtins\nbuiltins.abs = lambda _: 0", "assert answer() == 0", "builtins.abs"),
        ("import builtins\ndef one():\n    builtins.abs = lambda _: 0", "one(), answer()",
         "builtins.abs"),
        ("import math\nvars(math).update(isclose=lambda *_: True)",
         "import math\nassert math.isclose(answer(), 1)", "math.isclose"),
        ("import unittest\nunittest.TestCase.assertEqual = lambda *_: None",
         "import unittest\nunittest.TestCase().assertEqual(answer(), 1)",
         "unittest.case.TestCase.assertEqual"),
        ("import copy\ncopy.deepcopy.__code__ = (lambda x, memo=None, _nil=[]: 1).__code__",
         "import copy\nassert copy.deepcopy(answer()) == 1", "copy.deepcopy"),
    ],
)  # fmt: skip
def test_what_the_candidate_replaced_is_named(
    sandbox: Sandbox, candidate: str, test: str, named: str
) -> None:
    """A pass after which something that the test uses is no longer what it was says so."""
    found = verdict(sandbox, f"{candidate}\ndef answer(): return 0\n", test)
    assert named in found.detail


def test_what_the_set_up_replaced_is_not_named(sandbox: Sandbox) -> None:
    """An update in force replaces a library's function, and that is what is measured."""
    setup = "import math\ndef sqrt(x): return 3\nmath.sqrt = sqrt\nsetattr(math, 'cube', sqrt)\n"
    program = Program(
        setup,
        "import math\ndef answer(): return math.sqrt(4)",
        (Test("test", "import math\nassert answer() == math.sqrt(1) == math.cube(2) == 3"),),
    )
    [found] = sandbox.submit(program, LIMITS).result().verdicts
    assert (found.status, found.detail) == (Status.PASSED, "")
