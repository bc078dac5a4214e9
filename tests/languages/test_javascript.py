"""JavaScript and TypeScript as text: parsing, names, tests, similarity, patterns of use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.languages import get_language
from recode_eval.languages.base import MAX_CODE_CHARS
from recode_eval.scoring.extraction import extract
from recode_eval.scoring.similarity import similarity_scores

JS = get_language("javascript")
TS = get_language("typescript")

PROGRAM = """
import chalk, { Chalk as C } from "chalk";
import * as D from "date-fns";
const { pluck, default: lodash } = require("lodash");
const LRU = require("lru-cache");
const { default: map } = await import("p-map");
const z = (await import("zod")).z;
const opts = { strict: true };
function shadowed(parse) { return parse("x"); }
import { parse } from "qs";
result.error.errors.map((e) => e.path);
const { issues } = result.error;
D.format(new Date(), "yyyy");
new LRU({ max: 3 });
z.string().email();
parser.read("a", opts);
pluck(xs, "a"); lodash.map(xs); map(1, 2, { concurrency: -1 });
chalk["red"].bold("x");
Buffer.from("x");
"""


@pytest.mark.parametrize(
    ("code", "javascript", "typescript"),
    [
        ("", True, True),
        ("const a = await f();\nexport default a;", True, True),
        ("const a: number = 1;", True, True),
        ("interface A { x: number }\nenum E { A }", True, True),
        ("def f():\n    return 1", False, False),
        ("function f() {", False, False),
        ("```js\nlet a = 1;\n```", False, False),
        ("<answer>1</answer>", False, False),
        ("let a = 1;\0", False, False),
        ("x" * (MAX_CODE_CHARS + 1), False, False),
        ("#!/usr/bin/env node\nlet a;", True, True),
    ],
)
def test_what_parses(code: str, javascript: bool, typescript: bool) -> None:
    assert (JS.parses(code), TS.parses(code)) == (javascript, typescript)


def test_nesting_as_deep_as_the_text_harms_nothing() -> None:
    """A recursive walk over the tree of such an answer would end the evaluator."""
    for code in ("(" * 50_000, "[" * 50_000 + "]" * 50_000, "a=>" * 50_000 + "1", "`${" * 30_000):
        JS.parses(code)
        JS.defined_names(code)
        JS.normalize(code)
        JS.api_uses(['"x".y', "_.y()"], code)
        JS.tamper_flags(code)


def test_names_at_the_top_level() -> None:
    code = """
import { no } from "x";
export default function f({ inner }) { var local; }
const { a, b: [c], ...d } = g, h = (x) => x;
if (h) { let no2; var yes; }
for (var i = 0, j; ;) { break; }
class K { method() {} }
export { a as renamed };
"""
    assert JS.defined_names(code) == {"f", "a", "c", "d", "h", "yes", "i", "j", "K"}
    assert JS.entry_point(code) == "K"
    assert JS.entry_point("function f() {}\nconst g = async () => 1;\nconst k = 2;") == "g"
    assert JS.entry_point("const k = 2;") is None
    typed = "type T = number; enum E { A } namespace N { export const x = 1 } abstract class C {}"
    assert TS.defined_names(typed) == {"E", "N", "C"}
    assert JS.defined_names("function f( {") == frozenset()


def test_a_test_must_mention_what_the_program_binds() -> None:
    program = 'import chalk from "chalk";\nfunction paint(x) { return chalk.red(x); }'
    assert JS.mentions("assert.equal(paint(1), 2);", program)
    assert JS.mentions("assert.equal({ paint }.paint(1), 2);", program)
    assert not JS.mentions("assert.equal(other.paint, 2);", program)


def test_tests_are_functions_with_the_helpers_before_them() -> None:
    tests = JS.split_tests(
        "const two = 2;\n// about a\nasync function testA() { assert.equal(two, 2); }\n"
        "function helper() {}\nfunction testB() { helper(); }\n"
    )
    assert [(test.name, test.code) for test in tests] == [
        (
            "testA",
            (
                "const two = 2;\nfunction helper() {}\n// about a\n"
                "async function testA() { assert.equal(two, 2); }\nawait testA();\n"
            ),
        ),
        (
            "testB",
            (
                "const two = 2;\nfunction helper() {}\n"
                "function testB() { helper(); }\nawait testB();\n"
            ),
        ),
    ]
    with pytest.raises(ValueError, match="are not JavaScript"):
        JS.split_tests("function test( {")
    with pytest.raises(ValueError, match="import or export"):
        JS.split_tests('import x from "y";\nfunction testA() {}')


def test_comments_and_blank_lines_do_not_count() -> None:
    code = """// first
const re = /\\/\\/x/, s = "// no";   // last

/* one
   two */ let t = `a
  // not a comment

 b`; /* x */
let/**/u = 1 /* y */ + 2;
"""
    assert JS.normalize(code) == (
        'const re = /\\/\\/x/, s = "// no";\n let t = `a\n  // not a comment\n\n b`;\n'
        "let u = 1 + 2;"
    ).replace("1 + 2", "1  + 2")
    assert similarity_scores("let a = 1; // x", "let a = 1;", "javascript").em == 1.0
    assert similarity_scores("function (", "let a = 1;", "javascript").es_star == -2.0


@pytest.mark.parametrize(
    "pattern",
    [
        '"chalk".red',
        '"chalk".Chalk',
        '"date-fns".format(_, "yyyy")',
        '"lodash".pluck(_, "a")',
        '"lodash".map',
        'new "lru-cache"(_)',
        'new "lru-cache"({max: 3})',
        '"p-map"(_, _, {concurrency: -1})',
        '"zod".z.string()',
        "_.email()",
        "_.errors",
        "_.issues",
        "_.error.errors",
        "_.read({strict: true})",
        "_.read({strict: _})",
        '"zod"',
        '"qs".parse',
        "Buffer.from",
    ],
)
def test_uses_that_occur(pattern: str) -> None:
    JS.check_pattern(pattern)
    assert JS.api_uses([pattern], PROGRAM) == (pattern,)


@pytest.mark.parametrize(
    "pattern",
    [
        '"date-fns".format(_, _, _)',
        '"date-fns".parse',
        '"lru-cache"(_)',
        'new "lru-cache"({max: 4})',
        "_.read({strict: false})",
        '"chalk"(_)',
        'parse("x")',
        '"qs".parse("x")',
        "_.error.path",
        '"lodash/fp"',
    ],
)
def test_uses_that_do_not_occur(pattern: str) -> None:
    assert JS.api_uses([pattern], PROGRAM) == ()


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("_", "`_` alone matches anything"),
        ("a b", "not one JavaScript expression"),
        ("", "not one JavaScript expression"),
        ("1", "expected a module in quotes"),
        ('"x".y(z)', "an argument is a literal"),
        ('"x".y({...a})', "an option is"),
        ('"x"._', "must come first"),
        ('"x"' + ".y" * 30, "fewer than"),
        ("x" * 2_000, "at most 1000 characters"),
    ],
)
def test_what_is_no_pattern(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JS.check_pattern(pattern)


def test_text_in_strings_and_comments_is_no_use() -> None:
    assert JS.api_uses(["_.errors"], '// a.errors\nconst x = "a.errors", y = `a.errors`;') == ()
    assert JS.api_uses(["_.errors"], "const x = `${a.errors}`;") == ("_.errors",)
    assert JS.api_uses(["_.errors"], "a.errors (") == ()


def test_an_answer_is_found_by_its_fence() -> None:
    text = "Install it:\n```bash\nnpm i\n```\nThen:\n```js\nfunction f() { return 1; }\n```\nDone."
    found = extract(text, language="javascript", entry_point="f")
    assert found.code is not None
    assert found.code.strip() == "function f() { return 1; }"
    typed = "```ts\nfunction f(a: number) { return a; }\n```"
    assert extract(typed, language="javascript", entry_point="f").code
    for tag in ("jsx", "tsx"):  # models write them around React, with or without its syntax
        assert extract(f"```{tag}\nconst f = 1;\n```", language="javascript").code


@given(
    st.text(alphabet=st.sampled_from("(){}[]`'\"/*\\$=>.,;:ax1 \n\r\u2028\ud800#@?!_"), max_size=60)
)
def test_no_text_makes_it_raise(text: str) -> None:
    for language in (JS, TS):
        language.parses(text)
        language.defined_names(text)
        language.entry_point(text)
        language.api_uses(['"x".y', "_.y({a: 1})", 'new "x"()'], text)
        language.tamper_flags(text)
        language.normalize(text)


_LINES = [
    "let a = 1;", "// c", "/* d */", "", "  ", "f(`x\n\n// y`);", "/* e\n\nf */", "g() // h",
    '"//"',
]  # fmt: skip


@given(st.lists(st.sampled_from(_LINES), max_size=8))
def test_normalizing_twice_changes_nothing(lines: list[str]) -> None:
    once = JS.normalize("\n".join(lines))
    assert JS.normalize(once) == once
    assert "// c" not in once
