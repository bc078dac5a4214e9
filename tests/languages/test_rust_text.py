"""Rust as text: parsing, names, tests, similarity, API use, and what the scan names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval.errors import InfrastructureError
from recode_eval.languages import get_language
from recode_eval.languages.rust.runtime import find_rustc
from recode_eval.scoring.extraction import extract

RUST = get_language("rust")

PROGRAM = """
#![allow(dead_code)]
use std::{collections::HashMap as Map, mem};
use std::num::NonZeroI32;
/// A point.
pub struct Point { x: i32 }
impl Point { pub fn moved(&self) -> Point { Point { x: self.x + 1 } } }
macro_rules! twice { ($e:expr) => { $e * 2 } }
fn last(n: NonZeroI32) -> NonZeroI32 { mem::take(&mut 1); n.wrapping_neg() }
fn main() {}
"""


def test_a_program_that_is_no_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """`RECODE_EVAL_RUSTC=/bin/true` lost the sandbox three times with every program."""
    monkeypatch.setenv("RECODE_EVAL_RUSTC", "/bin/true")
    find_rustc.cache_clear()
    with pytest.raises(InfrastructureError, match=r"/bin/true is no Rust compiler.*apt-get"):
        find_rustc()
    find_rustc.cache_clear()


@pytest.mark.parametrize(
    ("code", "parses"),
    [
        (PROGRAM, True),
        ("", True),
        ("fn f() -> i32 { 1 }", True),
        ("fn f( {", False),
        ("let x = 1;", False),
        ("def f():\n    return 1", False),
        ("```rust\nfn f() {}\n```", False),
        ("Sure", False),
        ("fn f() {}\0", False),
    ],
)
def test_what_parses(code: str, parses: bool) -> None:
    assert RUST.parses(code) is parses


def test_names() -> None:
    assert RUST.defined_names(PROGRAM) == {"Point", "moved", "twice", "last", "main"}
    assert RUST.entry_point(PROGRAM) == "last"
    assert RUST.entry_point("struct A; struct B;") == "B"
    assert RUST.mentions("assert_eq!(last(n), n);", PROGRAM)
    assert not RUST.mentions("assert_eq!(first(n), n);", PROGRAM)


@pytest.mark.parametrize(
    ("pattern", "code", "occurs"),
    [
        ("wrapping_neg", PROGRAM, True),
        ("mem::take", PROGRAM, True),
        ("std::mem::take", PROGRAM, True),
        ("std::collections::HashMap", PROGRAM, True),
        ("add", PROGRAM, True),  # by its operator
        ("sub", PROGRAM, False),
        ("sub_assign", "fn f(mut a: i32) { a -= 1; }", True),
        ("neg", "fn f(a: i32) -> i32 { -a }", True),
        ("take", "fn take() {}", False),  # only defined
        ("take", "// x.take()\nfn f() { g(\"take\") }", False),
        ("take", "fn f() { assert_eq!(x.take(), 1); }", True),
        ("take", "fn f( {", False),
    ],
)  # fmt: skip
def test_api_use(pattern: str, code: str, occurs: bool) -> None:
    RUST.check_pattern(pattern)
    assert bool(RUST.api_uses([pattern], code)) is occurs


def test_what_is_no_pattern() -> None:
    with pytest.raises(ValueError, match="no name and no path"):
        RUST.check_pattern("x.take()")


def test_each_test_has_the_rest_of_the_file_around_it() -> None:
    source = """
use std::time::Duration;
#[cfg(test)]
mod tests {
    use super::*;
    const ONE: i32 = 1;
    #[test]
    fn adds() { assert_eq!(add(ONE), 2); }
    #[test]
    #[should_panic(expected = "over")]
    fn panics() { add(i32::MAX); }
    #[test]
    #[ignore]
    fn slow() {}
    #[cfg(windows)]
    mod elsewhere { #[test] fn never() {} }
}
"""
    first, second = RUST.split_tests(source)
    assert (first.name, second.name) == ("adds", "panics")
    assert "fn panics" not in first.code
    assert "pub(crate) fn adds() { assert_eq!(add(ONE), 2); }" in first.code
    assert first.code.endswith("__recode::check(|| __recode_test::tests::adds(), None);")
    assert second.code.endswith('__recode::check(|| __recode_test::tests::panics(), Some("over"));')
    assert "cfg(test)" not in first.code
    with pytest.raises(ValueError, match="are not Rust"):
        RUST.split_tests("INCORRECT CODE")
    assert RUST.split_tests("") == ()


def test_a_file_that_implements_for_other_types_is_one_test() -> None:
    """Two modules with `impl Shape for Answer` do not compile together."""
    source = "impl Shape for Answer {}\n#[test] fn a() {}\n#[test] fn b() {}"
    [test] = RUST.split_tests(source)
    assert test.code.count("impl Shape") == 1
    assert test.code.count("__recode::run(") == 2
    assert test.code.endswith("__recode::passed();")


def test_comments_do_not_count() -> None:
    code = '/* a /* b */ */\n/// doc\nfn f() -> &\'static str { // x\n    "// y"\n}\n\n'
    assert RUST.normalize(code) == 'fn f() -> &\'static str {\n    "// y"\n}'


def test_an_answer_is_found_by_its_fence() -> None:
    found = extract("```toml\n[x]\n```\n```rs\nfn f() {}\n```", language="rust", entry_point="f")
    assert found.code == "fn f() {}"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("macro_rules! assert_eq { ($($t:tt)*) => {} }", "assertions"),
        ("mod std { }", "built-in names"),
        ("use crate::fake as Vec;", "built-in names"),
        ("fn f() { std::process::exit(0) }", "exit"),
        ("use std::process; fn f() { process::exit(0) }", "exit"),
        ("use std::process::{abort, Command};", "processes"),
        ("use std::os::fd::FromRawFd;", "file descriptors"),
        ("fn f() { std::fs::read(\"/proc/self/fd/3\"); }", "places of the system"),
        ("const S: &str = include_str!(\"solution.rs\");", "the tests' file"),
        ("extern \"C\" { fn read(); }", "native code"),
        ("#[no_mangle] pub fn write() {}", "attributes of the linker"),
        ("fn f() { unsafe { std::arch::asm!(\"nop\") } }", "native code"),
        ("fn f() { std::panic::set_hook(g); }", "panics"),
        ("fn f() { __recode::check(g, None) }", "the sandbox's own names"),
        ("impl PartialEq for A { fn eq(&self, _: &A) -> bool { true } }", "equality"),
        ("fn f() { std::net::TcpStream::connect(x); }", "network"),
    ],
)  # fmt: skip
def test_what_an_answer_reaches_its_grader_by(code: str, reason: str) -> None:
    assert RUST.parses(code)
    assert reason in RUST.tamper_flags(code)


@pytest.mark.parametrize(
    "code",
    [
        PROGRAM,
        "impl PartialEq for A { fn eq(&self, o: &A) -> bool { self.x == o.x } }",
        "fn f() { unsafe { std::mem::transmute::<u32, i32>(1) }; }",
        "use std::io::{self, Write}; fn f() -> io::Result<()> { std::fs::write(\"a\", \"b\") }",
        "#[derive(Debug, Clone, PartialEq)] struct A; #[inline] fn f() {}",
        "use std::sync::{Arc, Mutex}; fn f() { std::thread::spawn(|| ()).join().unwrap(); }",
    ],
)  # fmt: skip
def test_what_answers_do_is_not_named(code: str) -> None:
    assert RUST.tamper_flags(code) == ()


@given(st.text(alphabet=st.sampled_from("(){}[]<>'\"/*\\$=#!&|:;.,fn a1\nrR_"), max_size=60))
def test_no_text_makes_it_raise(text: str) -> None:
    RUST.parses(text)
    RUST.defined_names(text)
    RUST.entry_point(text)
    RUST.api_uses(["take", "mem::take"], text)
    RUST.tamper_flags(text)
    RUST.normalize(text)
