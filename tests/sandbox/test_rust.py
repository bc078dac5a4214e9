"""Rust programs: compiled within limits of their own, and judged test by test."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from sandbox.conftest import open_or_skip

from recode_eval.languages import get_language
from recode_eval.sandbox import Limits, Program, Sandbox, Status, Test

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.sandbox import Execution

pytestmark = pytest.mark.rust
LIMITS = Limits(cpu_s=3, wall_s=20, memory_bytes=512 << 20)
TESTS = """
use std::num::NonZeroI32;
#[cfg(test)]
mod tests {
    use super::*;
    const ONE: i32 = 1;
    #[test] fn passes() { assert_eq!(next(ONE), 2); }
    #[test] fn fails() { assert_eq!(next(ONE), 3, "not next"); }
    #[test] #[should_panic(expected = "overflow")] fn panics() { next(i32::MAX); }
    #[test] #[should_panic] fn should_have() { next(1); }
    #[test] fn says_no() -> Result<(), String> { Err("no".into()) }
    #[test] fn leaves() { std::process::exit(0); }
    #[test] fn comes_last() { let _ = NonZeroI32::new(next(2)); }
}
"""


@pytest.fixture(scope="module")
def rust(tier: str) -> Iterator[Sandbox]:
    # Long enough for rustc on a busy machine, and short for the test of a compiler that never ends.
    runtime = dataclasses.replace(get_language("rust").runtime(), compile_cpu_s=6)
    with open_or_skip(tier, environment="rust", workers=1, runtimes=[runtime]) as opened:
        yield opened


def run(rust: Sandbox, candidate: str, tests: str = TESTS, limits: Limits = LIMITS) -> Execution:
    found = get_language("rust").split_tests(tests)
    named = tuple(Test(test.name, test.code) for test in found)
    return rust.submit(Program("", candidate, named, language="rust"), limits).result(300)


def test_each_test_gets_its_own_verdict(rust: Sandbox) -> None:
    result = run(rust, "use std::num::NonZeroI32;\nfn next(x: i32) -> i32 { x + 1 }\nfn main() {}")
    verdicts = {verdict.name: (verdict.status, verdict.detail) for verdict in result.verdicts}
    failed = Status.FAILED
    assert verdicts == {
        "passes": (Status.PASSED, ""),
        "fails": (failed, "assertion `left == right` failed: not next   left: 2  right: 3"),
        "panics": (Status.PASSED, ""),
        "should_have": (failed, "did not panic, but should"),
        "says_no": (failed, 'returned Err("no")'),
        "leaves": (Status.CRASHED, "the process ended without a verdict"),
        "comes_last": (Status.PASSED, ""),
    }
    assert rust.info.runtimes["rust"]["version"].startswith("rustc 1.")


@pytest.mark.parametrize(
    ("candidate", "detail"),
    [
        ("fn next(x: i32) -> i64 { x + 1 }", "does not compile: error[E0308]: mismatched types"),
        ("\nfn next(x: i32) -> i32 { y }", "--> solution.rs:2:26"),
        ("fn other() {}", "does not compile: error[E0425]"),
        ("fn next(", "does not compile: error"),
        ("#![feature(f16)]\nfn next(x: i32) -> i32 { x }", "E0554"),
    ],
)
def test_what_does_not_compile_fails_every_test(rust: Sandbox, candidate: str, detail: str) -> None:
    result = run(rust, candidate)
    assert {verdict.status for verdict in result.verdicts} == {Status.FAILED}
    assert all(detail in verdict.detail for verdict in result.verdicts), result.verdicts[0]
    assert result.setup_error is None


def test_limits_of_the_program_are_not_those_of_the_compiler(rust: Sandbox) -> None:
    """Compiling takes more memory and time than a program may have."""
    tests = """
    #[test] fn loops() { loop { std::hint::black_box(0); } }
    #[test] fn fills() { let mut v = vec![]; loop { v.push(vec![1u8; 1 << 24]); } }
    #[test] fn works() { assert_eq!(next(1), 2); }
    """
    limits = Limits(cpu_s=0.5, wall_s=20, memory_bytes=128 << 20)
    result = run(rust, "fn next(x: i32) -> i32 { x + 1 }", tests, limits)
    statuses = [verdict.status for verdict in result.verdicts]
    assert statuses == [Status.TIMEOUT, Status.MEMORY, Status.PASSED]
    assert result.verdicts[0].detail == "more than 0.5 s of CPU time"


def test_a_compiler_that_never_ends_is_the_answers_fault(rust: Sandbox) -> None:
    """A loop in a constant once held a worker for as long as it liked."""
    endless = (
        "const X: u64 = { let mut i = 0; while i < u64::MAX { i += 1; } i };"
        "fn next(x: i32) -> i32 { x + X as i32 }"
    )
    result = run(rust, endless)
    assert {verdict.status for verdict in result.verdicts} == {Status.TIMEOUT}
    assert "of CPU time" in result.verdicts[0].detail


def test_a_compiler_that_is_killed_has_found_no_error(tier: str) -> None:
    """Killed for want of memory, its silence was once the verdict "does not compile"."""
    killed = dataclasses.replace(
        get_language("rust").runtime(), compile=("/bin/sh", "-c", "kill -9 $$"), in_images=""
    )
    with open_or_skip(tier, environment="rust", workers=1, runtimes=[killed]) as sandbox:
        result = run(sandbox, "fn next(x: i32) -> i32 { x + 1 }")
    assert {verdict.status for verdict in result.verdicts} == {Status.CRASHED}
    assert "SIGKILL" in result.verdicts[0].detail


@pytest.mark.parametrize(
    "candidate",
    [
        # says that all is well, in every form that a verdict could have
        'fn next(_: i32) -> i32 { println!("passed\\n0 passed\\nrecode-eval: defined"); 0 }',
        "fn next(_: i32) -> i32 { std::process::exit(0) }",
        "fn next(_: i32) -> i32 { std::process::abort() }",
        'fn next(_: i32) -> i32 { panic!("passed") }',
        "fn next(_: i32) -> i32 { unsafe { *(8 as *const i32) } }",
    ],
)
def test_no_program_passes_by_what_it_prints_or_how_it_ends(rust: Sandbox, candidate: str) -> None:
    result = run(rust, candidate, "#[test] fn a() { assert_eq!(next(1), 2); }")
    assert result.verdicts[0].status in {Status.FAILED, Status.CRASHED}


def test_programs_have_no_network_and_no_other_files(rust: Sandbox) -> None:
    tests = """
    #[test] fn network() { assert!(std::net::TcpStream::connect("127.0.0.1:1").is_err()); }
    #[test] fn files() { assert!(std::fs::read_to_string("/etc/shadow").is_err()); }
    #[test] fn own() {
        std::fs::write("a.txt", "x").unwrap();
        assert_eq!(std::fs::read_to_string("a.txt").unwrap(), "x");
    }
    #[test] fn threads() {
        let all: Vec<_> = (0..4).map(|i| std::thread::spawn(move || next(i))).collect();
        let sum: i32 = all.into_iter().map(|one| one.join().unwrap()).sum();
        assert_eq!(sum, 10);
    }
    """
    result = run(rust, "fn next(x: i32) -> i32 { x + 1 }", tests)
    assert result.passed, result.verdicts
