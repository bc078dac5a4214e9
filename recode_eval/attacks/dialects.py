"""What attacking takes in each language: set-up, tests nobody can pass, and honest programs.

An attack's file name says its language. Everything else about attacking is the same for all.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recode_eval.languages import PYTHON, get_language
from recode_eval.sandbox.base import Test
from recode_eval.sandbox.preload import libraries_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recode_eval.sandbox.base import Program

_BLOCK: Final = re.compile(r"/\*[*!]?(.*?)\*/", re.DOTALL)
_MARGIN: Final = re.compile(r"^[ \t]*\*?[ \t]?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Honest:
    """The programs that must not notice an attack, `victim` and `bystander`, in one language."""

    language: str
    suffix: str
    libraries: Callable[[Program], Sequence[str]]
    """Which of them a program has loaded before it starts."""
    imports: Callable[[Sequence[str]], str]
    """Set-up that asks for these libraries."""
    clean: Callable[[str], str]
    """The victim's first test: it found no problem; prints the world behind a word."""
    false: str
    """Its second test, which must fail."""
    undisturbed: str
    """The bystander's test."""
    limited_alike: bool = False
    """Whether the victim gets the attack's limits: a worker may keep a process ready for the next
    program, and that is for a program with the limits of the last one."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Attacks in one language."""

    language: str
    environment: str | None
    """The sandbox's environment; None: the one that the user names."""
    comment: Callable[[str], str]
    """The description of an attack, in its own file; `ValueError` for what cannot be read."""
    setup: Callable[[Mapping[str, object]], str]
    """Code that gives an attack the bait; where that is possible, also an `answer` that fails."""
    tests: Callable[[int, int, int], tuple[Test, ...]]
    """Tests for which `answer` would have to know these random numbers."""
    mistakes: re.Pattern[str]
    """How a verdict's detail begins if the attack stopped at an error of its own."""
    honest: Honest


def dialect_of(language: str) -> Dialect:
    """Return how attacks in a language are run."""
    return DIALECTS[language]


def _no_libraries(_program: Program) -> tuple[str, ...]:
    return ()


# ---- Python ----


def _python_comment(code: str) -> str:
    return ast.get_docstring(ast.parse(code)) or ""


def _python_setup(bait: Mapping[str, object]) -> str:
    return (
        "import sys as _sys, types as _types\n"
        "_sys.modules['bait'] = _bait = _types.ModuleType('bait')\n"
        f"_bait.__dict__.update({dict(bait)!r})\n"
        "def answer(question):\n"
        "    raise LookupError('this attack gives no answer')\n"
    )


def _python_tests(one: int, two: int, three: int) -> tuple[Test, ...]:
    return (
        Test("value", f"got = answer(1)\nassert got == {one}\nchecked = True\n"),
        Test(
            "built-in functions",
            f"results = [answer(2)]\nassert isinstance(results[0], int)\n"
            f"assert all(a == b for a, b in zip(results, [{two}]))\n",
        ),
        Test(
            "library",
            f"import math\nassert math.isclose(answer(3), {three}, rel_tol=0, abs_tol=0.1)\n",
        ),
    )


_PYTHON: Final = Dialect(
    language=PYTHON,
    environment=None,
    comment=_python_comment,
    setup=_python_setup,
    tests=_python_tests,
    mistakes=re.compile(
        r"(NameError|UnboundLocalError|SyntaxError|IndentationError|ModuleNotFound)"
    ),
    honest=Honest(
        language=PYTHON,
        suffix=".py",
        libraries=libraries_of,
        # Text that asks for the same libraries, and so for the process that the attack had.
        imports=lambda names: '"""\n' + "".join(f"import {name}\n" for name in names) + '"""\n',
        clean=lambda word: f"assert not PROBLEMS, PROBLEMS\ndescribe({word!r})\n",
        false="assert double(2) == 5\n",
        undisturbed="watch()\n",
    ),
)


# ---- JavaScript and TypeScript ----


def _block_comment(code: str) -> str:
    """Return the text of the first block comment, without the stars in its margin."""
    found = _BLOCK.search(code)
    return "" if found is None else _MARGIN.sub("", found[1]).strip()


def _javascript_setup(bait: Mapping[str, object]) -> str:
    return (
        f"globalThis.bait = Object.freeze({json.dumps(bait)});\n"
        "globalThis.answer = () => { throw new Error('this attack gives no answer'); };\n"
    )


def _javascript_tests(one: int, two: int, three: int) -> tuple[Test, ...]:
    return (
        Test("value", f"const got = await answer(1); assert.equal(got, {one});"),
        Test(
            "built-in functions",
            "const results = [await answer(2)]; assert.ok(results.every(Number.isInteger)); "
            f"assert.deepEqual({{ all: results.map((x) => x + 1) }}, {{ all: [{two + 1}] }});"
            f" if (Math.abs(results[0] - {two}) > 0.1) throw new Error('it is wrong');",
        ),
        Test(
            "text",
            f"const said = () => answer(3); assert.match(String(await said()), /^{three}$/); "
            f"assert.equal(JSON.stringify([await said()]), '[{three}]');",
        ),
    )


_NODE_HONEST: Final = Honest(
    language="javascript",
    suffix=".mjs",
    libraries=_no_libraries,
    imports=lambda _names: "",
    clean=lambda word: f"assert.deepEqual(PROBLEMS, []); describe({json.dumps(word)});",
    false="assert.equal(double(2), 5);",
    undisturbed="await watch();",
    limited_alike=True,
)


def _javascript(language: str, mistakes: str) -> Dialect:
    return Dialect(
        language=language,
        environment="node",
        comment=_block_comment,
        setup=_javascript_setup,
        tests=_javascript_tests,
        mistakes=re.compile(rf"(ReferenceError: \w+ is not|Error: Cannot find{mistakes})"),
        honest=_NODE_HONEST,
    )


# ---- Rust ----


def _rust_setup(bait: Mapping[str, object]) -> str:
    def constant(name: str, value: object) -> str:
        if isinstance(value, list):
            texts = ", ".join(json.dumps(item) for item in value)
            return f"    pub const {name}: &[&str] = &[{texts}];\n"
        kind = "u64" if isinstance(value, int) else "&str"
        return f"    pub const {name}: {kind} = {json.dumps(value)};\n"

    return "mod bait {\n" + "".join(constant(*item) for item in bait.items()) + "}\n"


def _rust_tests(one: int, two: int, three: int) -> tuple[Test, ...]:
    source = f"""
#[cfg(test)]
mod tests {{
    use super::*;
    #[test] fn value() {{ let got = answer(1); assert_eq!(got, {one}); }}
    #[test] fn built_in() {{
        let all = vec![answer(2)];
        assert!(all.iter().all(|one| *one == {two}) && all.len() == 1);
    }}
    #[test] fn text() -> Result<(), String> {{
        let said = answer(3).to_string();
        if said == "{three}" {{ Ok(()) }} else {{ Err(said) }}
    }}
}}
"""
    return tuple(Test(t.name, t.code) for t in get_language("rust").split_tests(source))


_RUST: Final = Dialect(
    language="rust",
    environment="rust",
    comment=_block_comment,
    setup=_rust_setup,
    tests=_rust_tests,
    mistakes=re.compile(r"does not compile: error\[E"),
    honest=_PYTHON.honest,
)

DIALECTS: Final[Mapping[str, Dialect]] = {
    one.language: one
    for one in (
        _PYTHON,
        _javascript("javascript", "|SyntaxError"),
        _javascript("typescript", ""),  # Node refuses some of it
        _RUST,
    )
}
"""Language -> how attacks in it are run."""
SUFFIXES: Final[Mapping[str, str]] = {
    ".py": PYTHON, ".cjs": "javascript", ".mjs": "javascript", ".ts": "typescript", ".rs": "rust",
}  # fmt: skip
"""Suffix of an attack's file -> its language."""
