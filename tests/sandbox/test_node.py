"""JavaScript and TypeScript programs: how they are loaded, and who decides that a test has passed."""
# ruff: noqa: E501 - programs as people write them

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sandbox.conftest import open_or_skip

from recode_eval.sandbox import Limits, Program, Sandbox, Status, Test

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS = Limits(cpu_s=5, wall_s=20, memory_bytes=512 << 20)


@pytest.fixture(scope="module")
def node(tier: str) -> Iterator[Sandbox]:
    with open_or_skip(tier, environment="node", workers=1) as opened:
        yield opened


def run(
    sandbox: Sandbox,
    candidate: str,
    *tests: str,
    setup: str = "",
    language: str = "javascript",
    limits: Limits = LIMITS,
):
    named = tuple(Test(f"test_{n}", code) for n, code in enumerate(tests))
    return sandbox.submit(Program(setup, candidate, named, language=language), limits).result(120)


def statuses(execution) -> list[Status]:
    return [verdict.status for verdict in execution.verdicts]


def details(execution) -> list[str]:
    return [verdict.detail for verdict in execution.verdicts]


def test_each_test_gets_its_own_verdict(node: Sandbox) -> None:
    result = run(
        node,
        "const add = (a, b) => a + b; console.log('hello \\u0001');",
        "assert.equal(add(1, 2), 3)",
        "assert.equal(add(1, 2), 4)",
        "await null; assert.deepEqual({ a: [1] }, { a: [2] })",
        "missing()",
        "throw 5",
        "return;",
        "assert.equal(add(2, 2), 4)",
    )
    expected = [Status.PASSED, *[Status.FAILED] * 4, Status.PASSED, Status.PASSED]
    assert statuses(result) == expected, result
    told = details(result)
    assert told[1] == "AssertionError: Expected values to be strictly equal: 3 !== 4"
    assert told[3:5] == ["ReferenceError: missing is not defined", "threw 5"]
    assert result.output == "hello \\x01\n"
    assert result.setup_error is None
    assert all(verdict.cpu_s is not None and verdict.cpu_s >= 0 for verdict in result.verdicts)


@pytest.mark.parametrize(
    "candidate",
    [
        "function double(x) { return x * 2; }",
        "'use strict'; const double = (x) => x * 2;",
        "const double = (x) => x * 2; module.exports = { double };",
        "const path = require('node:path'); exports.double = (x) => x * 2; const { double } = exports;",
        "export const double = (x) => x * 2;",
        "import path from 'node:path'; export default function double(x) { return x * 2; }",
        "const { add } = await import('data:text/javascript,export const add = (a, b) => a + b'); const double = (x) => add(x, x);",
        "#!/usr/bin/env node\nconst double = (x) => x * 2;",
        "const double = (x) => x * 2; return;",
        "const double = (x) => x * 2; // the end",
        "class eval2 { static f = (x) => x * 2 } const double = eval2.f;",
        "const double = (x: number): number => x * 2;",
        "interface A { x: number } export type B = A; export const double = (x: A['x']) => x * 2;",
        "let n = 0; const double = (x) => { n += 1; return x * 2; }; const assert = null; const c = 1;",
    ],
)
def test_every_kind_of_module_is_loaded(node: Sandbox, candidate: str) -> None:
    """Names are visible whether exported or not, and whatever a candidate calls its own."""
    result = run(node, candidate, "assert.equal(double(2), 4)", "assert.equal(double(2), 5)")
    assert statuses(result) == [Status.PASSED, Status.FAILED], result


def test_imports_of_the_candidate_are_visible(node: Sandbox) -> None:
    result = run(
        node,
        "import { join as put, default as path } from 'node:path'; import * as all from 'node:os';",
        "assert.equal(put('a', 'b'), path.join('a', 'b')); assert.ok(all.EOL)",
        "const { strictEqual } = await import('node:assert'); strictEqual(typeof put, 'function')",
    )
    assert result.passed, result


def test_helpers_and_functions_of_a_test(node: Sandbox) -> None:
    code = "const two = 2; function check(x) { assert.equal(x, two); } async function testIt() { check(one() + 1); } await testIt();"
    assert run(node, "const one = () => 1;", code, code).passed


def test_typescript_is_stripped_first(node: Sandbox) -> None:
    candidate = "const f = <T,>(x: T): T => x satisfies T;"
    assert run(node, candidate, "assert.equal(f(1), 1)", language="typescript").passed
    enum = run(node, "enum A { B }", "assert.ok(1)", language="typescript")
    assert statuses(enum) == [Status.FAILED]
    assert "enum is not supported" in enum.verdicts[0].detail


def test_errors_name_their_place(node: Sandbox) -> None:
    result = run(node, "\nfunction f(x) {\n  return x.y.z;\n}", "f({})")
    told = "TypeError: Cannot read properties of undefined (reading 'z') (solution.cjs:3)"
    assert details(result) == [told]
    module = run(node, "export const a = 1;\n\nnull.x;", "assert.ok(1)", "assert.ok(2)")
    assert statuses(module) == [Status.FAILED] * 2
    assert details(module)[0].endswith("(solution.mjs:3)")


def test_syntax_errors_fail_every_test(node: Sandbox) -> None:
    for candidate in ("const x = ;", "export const x = ;", "function f() {", "/* no end"):
        result = run(node, candidate, "assert.ok(1)", "assert.ok(1)")
        assert statuses(result) == [Status.FAILED] * 2, candidate
        assert details(result)[0].startswith("SyntaxError: "), result


def test_a_module_that_is_missing_is_named(node: Sandbox) -> None:
    for candidate in ("require('left-pad')", "import 'left-pad'"):
        (told,) = details(run(node, candidate, "assert.ok(1)"))
        assert told.startswith("Error: Cannot find"), told
        assert "left-pad" in told


def test_a_broken_set_up_is_the_datas_fault(node: Sandbox) -> None:
    thrown = run(node, "const x = 1", "assert.ok(x)", setup="throw new TypeError('bad row')")
    assert (thrown.verdicts, thrown.setup_error) == ((), "TypeError: bad row")
    late = run(node, "const x = 1", "assert.ok(x)", setup="await Promise.reject(new Error('no'))")
    assert late.setup_error == "Error: no"
    ended = run(node, "const x = 1", "assert.ok(x)", setup="process.exit(0)")
    assert ended.setup_error is not None
    never = run(node, "const x = 1", "assert.ok(x)", setup="await new Promise(() => {})")
    assert never.setup_error == "Error: the setup awaits something that never comes"


def test_what_a_set_up_changes_stays(node: Sandbox) -> None:
    setup = "globalThis.offset = 40; Math.twice = (x) => 2 * x; Math.max = () => 7;"
    test = "assert.equal(plus(2), 42); assert.equal(Math.max(1), 7); assert.equal(Math.twice(4), 8)"
    assert run(node, "const plus = (x) => x + offset;", test, test, setup=setup).passed


def test_no_tests_is_no_pass(node: Sandbox) -> None:
    result = run(node, "const x = 1")
    assert (result.verdicts, result.setup_error, result.passed) == ((), None, False)


WRONG = "assert.equal(1, 2)"


@pytest.mark.parametrize(
    "candidate",
    [
        "process.exit(0)",
        "process.reallyExit(0)",
        "process.on('exit', () => process.exit(0)); process.exitCode = 0",
        "console.log('passed'); process.exit(0)",
        "process.kill(process.pid, 'SIGKILL')",
        "process.abort()",
        "require('node:fs').closeSync(3)",
        "require('node:fs').writeSync(3, 'P'.repeat(40))",
        "require('node:fs').writeSync(3, 'C')",
        "for (let i = 0; i < 9; i += 1) require('node:fs').writeSync(3, Buffer.alloc(25, i))",
        "new Promise(() => {}); setTimeout(() => process.exit(0), 0)",
        "throw 1",
        "Promise.reject(new Error('x')); setImmediate(() => {})",
        "await new Promise(() => {})",
        "for (const key of Object.keys(require('assert'))) require('assert').strict[key] = () => {}",
        "require('assert').strict.equal = require('assert').strictEqual = () => {}",
        "const assert = { equal() {} };",
        "var eval = (code) => async () => {};",
        "globalThis.eval = (code) => async () => {};",
        "Object.is = () => true;",
        "Error.captureStackTrace = () => { throw 1 }; Error.prepareStackTrace = () => { throw 2 }",
        "Promise.prototype.then = function (done) { done(); return this; }",
        "Object.defineProperty(Promise.prototype, 'constructor', { get() { return Object } })",
        "process.on('uncaughtException', () => {}); process.on('unhandledRejection', () => {})",
        "process.setUncaughtExceptionCaptureCallback(() => {})",
        "process.removeAllListeners(); process.emit = () => true",
        "Reflect.apply = () => {}; Function.prototype.call = () => {}; Function.prototype.apply = () => {}",
        "JSON.parse = () => '1'; String.prototype.slice = () => ''",
        "globalThis.setImmediate = () => {}; globalThis.setTimeout = () => {}",
        "require('fs').readSync = () => 0; require('fs').writeSync = () => 0",
        "for (const n of Object.getOwnPropertyNames(globalThis)) { try { globalThis[n] = undefined } catch {} }",
        "Object.freeze(globalThis); Object.freeze(Promise.prototype); Object.freeze(process)",
        "Array.prototype[Symbol.iterator] = function* () {}",
        "require('assert').AssertionError.prototype.toString = () => { process.exit(0) }",
    ],
)
def test_nothing_passes_by_a_trick(node: Sandbox, candidate: str) -> None:
    tests = (WRONG, f"await null; {WRONG}", "assert.deepEqual([1], [2])")
    result = run(node, candidate, *tests)
    assert len(result.verdicts) == 3, result
    assert Status.PASSED not in statuses(result), result
    assert result.setup_error is None
    assert run(node, "const x = 1", "assert.equal(x, 1)").passed


@pytest.mark.parametrize(
    "trick",
    [
        "process.exit(0)",
        "try { throw 1 } finally { process.exit(0) }",
        "queueMicrotask(() => process.exit(0))",
        "setTimeout(() => process.exit(0), 0)",
        "require('assert').strict.equal = () => {}",
        "Object.assign(require('assert').strict, { equal() {}, ok() {} })",
        "Promise.prototype.then = function (f) { f(); }",
        "Object.defineProperty(Promise.prototype, 'constructor', { value: class {} })",
        "require('fs').writeSync(3, Buffer.alloc(25))",
        "require('fs').readSync(3, Buffer.alloc(100))",
        "throw { get message() { process.exit(0) } }",
        "throw new Proxy({}, { get() { throw 1 } })",
        "throw Object.assign(new Error('x'), { stack: { toString() { process.exit(0) } } })",
        "throw null",
        "process.on('uncaughtException', () => {})",
        "process.on('unhandledRejection', () => {})",
    ],
)
def test_nothing_passes_by_a_trick_in_a_test(node: Sandbox, trick: str) -> None:
    """Functions of the candidate run during tests, and can do this there."""
    result = run(
        node,
        f"function f() {{ {trick} }}",
        f"f(); {WRONG}",
        f"f(); setTimeout(() => {WRONG}, 1); await new Promise((r) => setTimeout(r, 20))",
        f"f(); await (async () => {{ {WRONG} }})()",
        f"f(); (async () => {{ {WRONG} }})()",
        "assert.equal(2, 2)",
    )
    assert len(result.verdicts) == 5, result
    assert Status.PASSED not in statuses(result)[:4], result


TAKE = "for (const o of [globalThis, Function.prototype]) for (const n of Object.getOwnPropertyNames(o)) if (/^_[0-9a-f]{16}/.test(n))"
YES = "(code) => code.includes('FAIL') ? eval(code) : (assert, done) => done(false)"


@pytest.mark.parametrize(
    "module",
    [
        f"{TAKE} {{ const take = o[n]; try {{ Object.defineProperty(o, n, {{ value() {{}} }}) }} catch {{}} take.call({YES}, {YES}, () => eval); }}",
        f"{TAKE} o[n].call({YES}, () => eval)",
        f"export default new Proxy({{}}, {{ get: () => () => {{ {TAKE} o[n].call({YES}, {YES}, () => eval) }} }})",
    ],
)
def test_a_module_that_runs_first_takes_no_test_over(node: Sandbox, module: str) -> None:
    """What an answer imports runs before its first statement, took the hook, and passed each test.

    So did a module that an answer called `globalThis`, where the hook was looked up.
    """
    name = "globalThis from" if module.startswith("export") else ""
    candidate = f'import {name} "data:text/javascript,{module}"; const one = 1;'
    result = run(node, candidate, WRONG, WRONG)
    assert statuses(result) == [Status.FAILED] * 2, result


def test_what_a_test_calls_cannot_read_it(node: Sandbox) -> None:
    """The function around a test was a sloppy one: its callees saw it, and the expected value."""
    result = run(
        node,
        "function frames() { const old = Error.prepareStackTrace; Error.prepareStackTrace = (_, all) => all.map((f) => f.getFunction()); const found = new Error().stack; Error.prepareStackTrace = old; return found } "
        "function answer() { const all = [answer.caller, arguments.callee.caller, ...frames()]; return Number(/9\\d{4}/.exec(all.map(String).join())?.[0]) }",
        "const got = answer(); assert.equal(got, 98765)",
    )
    assert statuses(result) == [Status.FAILED], result


def test_a_thread_may_run_the_programs_own_file(node: Sandbox) -> None:
    """There is no hook in a thread; a file that insists on one would not run there."""
    result = run(
        node,
        "import { Worker, isMainThread, parentPort } from 'node:worker_threads'; if (!isMainThread) parentPort.postMessage(42); "
        "export const ask = () => new Promise((done) => new Worker(new URL(import.meta.url)).on('message', done));",
        "assert.equal(await ask(), 42)",
    )
    assert result.passed, result


def test_getters_on_all_objects_stop_no_restoring(node: Sandbox) -> None:
    """Descriptors inherited `get` from Object.prototype, so that nothing could be put back."""
    spoil = "Object.defineProperty(Object.prototype, 'get', { value: () => 1, configurable: true }); Math.max = null; Array.prototype.at = null"
    healthy = "assert.equal(Math.max(1, 2), 2); assert.equal([1].at(0), 1)"
    assert run(node, "", spoil, healthy, healthy).passed


def test_late_exceptions_fail_the_test_they_occur_in(node: Sandbox) -> None:
    result = run(
        node,
        "const sleep = (ms) => new Promise((done) => setTimeout(done, ms));",
        "setTimeout(() => { throw new Error('late') }, 1); await sleep(30)",
        "Promise.reject(new Error('nobody'))",
        "setTimeout(() => { throw new Error('much later') }, 50)",
        "await sleep(100)",
        "setInterval(() => {}, 10)",
        "new Promise((_, no) => setImmediate(no, new Error('x'))).catch(() => {}); await sleep(10)",
    )
    failed, passed = Status.FAILED, Status.PASSED
    assert statuses(result) == [failed, failed, passed, failed, passed, passed], result
    assert details(result)[:2] == ["Error: late", "Error: nobody"]


def test_promises_that_never_settle(node: Sandbox) -> None:
    """At once where nothing can settle them any more, else by the limit."""
    limits = Limits(cpu_s=5, wall_s=1.5)
    result = run(
        node,
        "",
        "await new Promise(() => {})",
        "setInterval(() => {}, 50); await new Promise(() => {})",
        "assert.ok(1)",
        limits=limits,
    )
    assert statuses(result) == [Status.FAILED, Status.TIMEOUT, Status.PASSED]
    assert details(result)[0] == "Error: the test awaits something that never comes"


def test_a_test_that_ended_cannot_end_another(node: Sandbox) -> None:
    """Its promise settles during the next one."""
    first = "const p = new Promise((r) => setTimeout(r, 30)); setTimeout(() => { throw new Error('early') }, 1); await p;"
    result = run(node, "", first, f"await new Promise((r) => setTimeout(r, 80)); {WRONG}")
    assert statuses(result) == [Status.FAILED, Status.FAILED]
    assert details(result)[1].startswith("AssertionError")


def test_builtins_are_restored_before_each_test(node: Sandbox) -> None:
    spoil = "Array.prototype.map = () => 'spoilt'; globalThis.setTimeout = null; process.nextTick = null; Math.max = null"
    healthy = "assert.deepEqual([1].map((x) => x + 1), [2]); await new Promise((r) => setTimeout(r, 1)); await new Promise((r) => process.nextTick(r)); assert.equal(Math.max(1, 2), 2)"
    assert run(node, spoil, healthy, spoil, healthy).passed


def test_many_and_large_tests(node: Sandbox) -> None:
    filler = "/* " + "é" * 200_000 + " */"
    result = run(
        node, f"{filler} const one = 1;", *[f"{filler} assert.equal(one, 1)"] * 5, setup=filler
    )
    assert result.passed, result
    many = run(node, "const one = 1;", *["assert.equal(one, 1)"] * 300, WRONG)
    assert statuses(many) == [Status.PASSED] * 300 + [Status.FAILED]


def test_isolation_test_uses_a_process_for_each(tier: str) -> None:
    with open_or_skip(tier, environment="node", workers=1, isolation="test") as sandbox:
        result = run(
            sandbox, "let n = 0;", "n += 1; assert.equal(n, 1)", "n += 1; assert.equal(n, 1)"
        )
        assert result.passed, result


def test_isolation_split_runs_as_program(tier: str) -> None:
    with open_or_skip(tier, environment="node", workers=1, isolation="split") as sandbox:
        result = run(sandbox, "let n = 1;", "assert.equal(n, 1)")
        assert result.passed
        assert "one process" in result.unsplit
        assert not result.unsplit_by_answer


def test_info_names_node(node: Sandbox) -> None:
    runtimes = node.info.runtimes
    assert runtimes["javascript"] == runtimes["typescript"]
    assert runtimes["javascript"]["kind"] == "node"
    assert int(runtimes["javascript"]["version"].split(".")[0]) >= 22
    assert node.info.python == ""


def test_an_error_from_a_timer_without_delay_fails_its_test(node: Sandbox) -> None:
    """XState reports so what nobody handles; whether it came before the verdict was luck."""
    late = "setTimeout(() => { throw new Error('late'); }); assert.ok(true);"
    for _ in range(5):
        result = run(node, "", late, "assert.ok(true);")
        assert statuses(result) == [Status.FAILED, Status.PASSED], result
        assert "late" in details(result)[0]


@pytest.mark.parametrize(
    "candidate",
    [
        "exports.double = (n) => 2 * n;",
        "module.exports = { double: (n) => 2 * n };",
        "const twice = (n) => 2 * n; export { twice as double };",
        "const twice = (n) => 2 * n; module.exports.double = twice;",
        "const double = (n) => 2 * n; exports.double = () => 0;",  # what is bound comes first
    ],
)
def test_what_is_only_exported_is_in_sight(node: Sandbox, candidate: str) -> None:
    """Models write such answers; they failed with "double is not defined"."""
    result = run(node, candidate, "assert.equal(double(2), 4)", "assert.equal(double(3), 6)")
    assert result.passed, result


def test_names_of_exports_cannot_become_code(node: Sandbox) -> None:
    names = ["x } ) => { _done(false) }) //", "assert", "default", "a-b", "\\u0061", "", "1a"]
    for candidate in (
        "".join(f"exports[{name!r}] = () => {{}};" for name in names),
        "module.exports = new Proxy({}, { ownKeys: () => ['b'], get: () => 1 });",
        "module.exports = function named() {};",
        "module.exports = 5;",
    ):
        result = run(
            node, candidate, "assert.equal(1, 2)", "assert.equal(typeof name, 'undefined')"
        )
        assert statuses(result) == [Status.FAILED, Status.PASSED], (candidate, result)
