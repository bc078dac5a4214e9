"""What JavaScript programs may use, and that nothing of one is left for the next."""
# ruff: noqa: E501 - programs as people write them

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sandbox.conftest import open_or_skip
from sandbox.test_node import run, statuses

from recode_eval.sandbox import Limits, Sandbox, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMITS = Limits(cpu_s=2, wall_s=8, memory_bytes=300 << 20)
OK = "assert.equal(1, 1)"


@pytest.fixture(scope="module")
def node(tier: str) -> Iterator[Sandbox]:
    with open_or_skip(tier, environment="node", workers=1) as opened:
        yield opened


def clean(sandbox: Sandbox) -> bool:
    """Whether the next program finds an empty folder and no process of its user."""
    found = run(
        sandbox,
        "const fs = require('node:fs');",
        "assert.deepEqual(fs.readdirSync('.').filter((n) => n !== 'node_modules'), ['solution.cjs'])",
        limits=LIMITS,
    )
    return found.passed


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("for (;;);", Status.TIMEOUT),
        ("/^(a+)+$/.test('a'.repeat(40) + 'b')", Status.TIMEOUT),
        ("setInterval(() => {}, 10); await new Promise(() => {})", Status.TIMEOUT),
        ("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)", Status.TIMEOUT),
        ("process.nextTick(function again() { process.nextTick(again) }); await new Promise(() => {})", Status.TIMEOUT),
        ("const all = []; for (;;) all.push(Array(1000).fill(0).map((x) => ({ x })))", Status.MEMORY),
        ("const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1))", Status.MEMORY),
        ("let text = 'x'; const all = []; for (;;) { all.push(text + all.length + text); text = all.at(-1).slice(0, 1 << 20) }", Status.MEMORY),
        ("const { Worker } = require('node:worker_threads'); new Worker('const a = []; for (;;) a.push(Buffer.alloc(1 << 20, 1))', { eval: true }); await new Promise((r) => setTimeout(r, 7000))", Status.MEMORY),
        ("const cp = require('node:child_process'); cp.spawnSync(process.execPath, ['-e', 'for (;;);'])", Status.TIMEOUT),
        ("new Array(-1)", Status.FAILED),
        ("(function f() { f(); })()", Status.FAILED),
        ("process.kill(process.pid, 'SIGSEGV'); await new Promise(() => setTimeout(() => {}, 1e6))", Status.CRASHED),
    ],
)  # fmt: skip
def test_a_limit_ends_one_test_and_not_the_others(
    node: Sandbox, code: str, expected: Status
) -> None:
    started = time.monotonic()
    limits = replace(LIMITS, cpu_s=8) if expected is Status.MEMORY else LIMITS
    result = run(node, "", code, OK, limits=limits)
    assert statuses(result) == [expected, Status.PASSED], result
    assert time.monotonic() - started < 40
    assert clean(node)


def test_candidates_have_the_same_limits(node: Sandbox) -> None:
    assert statuses(run(node, "for (;;);", OK, OK, limits=LIMITS)) == [Status.TIMEOUT] * 2
    longer = replace(LIMITS, cpu_s=8)
    heavy = run(node, "const a = []; for (;;) a.push({ x: a.length })", OK, limits=longer)
    assert statuses(heavy) == [Status.MEMORY], heavy
    assert run(node, "", OK, setup="for (;;);", limits=LIMITS).setup_error is not None


@pytest.mark.slow
def test_processes_are_limited_and_none_is_left(node: Sandbox) -> None:
    bomb = (
        "const cp = require('node:child_process'); let failed = 0; for (let i = 0; i < 200; i += 1) "
        "{ try { cp.spawn('sleep', ['100'], { stdio: 'ignore' }).on('error', () => { failed += 1 }) } "
        "catch { failed += 1 } } await new Promise((r) => setTimeout(r, 500)); assert.ok(failed > 0)"
    )
    result = run(node, "", bomb, OK, limits=replace(LIMITS, processes=60))
    assert Status.PASSED in statuses(result), result
    shell = "require('node:child_process').execSync('f() { f | f & }; f'); await new Promise(() => setInterval(() => {}, 9))"
    assert statuses(run(node, "", shell, limits=LIMITS)) != [Status.PASSED]
    left = "require('node:child_process').spawn('sleep', ['300'], { detached: false, stdio: 'ignore' }).unref()"
    started = time.monotonic()
    assert run(node, "", left, limits=LIMITS).passed
    assert clean(node)
    assert time.monotonic() - started < 20


@pytest.mark.slow
def test_disk_and_output_are_limited(node: Sandbox) -> None:
    many = "const fs = require('node:fs'); for (let i = 0; i < 1e6; i += 1) fs.writeFileSync('f' + i, 'x')"
    large = "const fs = require('node:fs'); for (let i = 0; ; i += 1) fs.writeFileSync('g' + i, Buffer.alloc(30 << 20))"
    for code in (many, large):
        result = run(node, "", code, limits=Limits(cpu_s=30, wall_s=60))
        assert statuses(result) == [Status.FAILED], result
        assert clean(node)
    flood = "for (let i = 0; i < 3000; i += 1) console.log('a'.repeat(1000)); console.error('the end\\u0007')"
    small = replace(LIMITS, output_bytes=1000)
    result = run(node, "", flood, limits=small)
    assert result.passed, result
    assert len(result.output) < 2000
    assert result.output.endswith("the end\\x07\n")


def test_programs_are_confined(node: Sandbox, public_folder: Path) -> None:
    (public_folder / "secret").write_text("x")
    result = run(
        node,
        "const fs = require('node:fs'); const net = require('node:net'); const denied = require('node:assert').throws;",
        "denied(() => fs.writeFileSync('/etc/recode-eval-attack', 'x'))",
        "denied(() => fs.writeFileSync('/usr/recode-eval-attack', 'x'))",
        "denied(() => fs.readFileSync('/etc/shadow'))",
        f"denied(() => fs.readFileSync('{public_folder}/secret'))",
        "denied(() => process.kill(1, 0))",
        "denied(() => process.setuid(0))",
        "await assert.rejects(new Promise((_, no) => net.connect(53, '127.0.0.1').on('error', no)))",
        "await assert.rejects(new Promise((_, no) => net.createServer().on('error', no).listen(0)))",
        "await assert.rejects(fetch('http://127.0.0.1:9/'))",
        "require('node:inspector').open(0); assert.equal(require('node:inspector').url(), undefined)",
        "fs.writeFileSync('here', 'x'); assert.equal(fs.readFileSync('here', 'utf8'), 'x')",
        "assert.equal(Object.keys(process.env).filter((n) => /^(NODE_|npm_|RECODE|PYTHON)/.test(n)).length, 0)",
        "assert.equal(require('node:child_process').execFileSync('sh', ['-c', 'echo x >&3 || echo closed'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString(), 'closed\\n')",
        limits=replace(LIMITS, cpu_s=10),
    )
    wrong = [v for v in result.verdicts if v.status is not Status.PASSED]
    assert not wrong, result


def test_the_working_folder_is_the_programs_own(node: Sandbox) -> None:
    """What Node needs to find packages is there, and nothing of the program before."""
    listing = "require('node:fs').readdirSync('.').sort()"
    result = run(node, "", f"assert.deepEqual({listing}, ['node_modules', 'solution.cjs'])")
    assert result.passed, result


def test_node_options_of_the_user_never_reach_programs(
    tier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_OPTIONS", "--throw-deprecation --require /nonexistent.js")
    monkeypatch.setenv("NODE_PATH", "/nonexistent")
    with open_or_skip(tier, environment="node", workers=1) as sandbox:
        assert run(sandbox, "", "assert.equal(process.env.NODE_OPTIONS, undefined)").passed
