"""The scan of JavaScript answers: what it names, and what it lets be."""
# ruff: noqa: E501 - programs as people write them

from __future__ import annotations

import pytest

from recode_eval.languages import get_language

JS = get_language("javascript")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("Object.prototype.equals = 1;", "prototypes"),
        ("Array.prototype['map'] = f;", "prototypes"),
        ("({}).__proto__.x = 1;", "prototypes"),
        ("Object.defineProperty(Object.prototype, 'x', {});", "prototypes"),
        ("Reflect.set(globalThis, 'assert', f);", "built-in names"),
        ("Object.assign(assert, { equal() {} });", "assertions"),
        ("assert.strictEqual = () => {};", "assertions"),
        ("import assert from 'node:assert'; assert.ok = f;", "assertions"),
        ("require('assert').equal = f;", "assertions"),
        ("Object.setPrototypeOf(Array.prototype, null);", "prototypes"),
        ("Object.getPrototypeOf([]).map = f;", "prototypes"),
        ("JSON.stringify = () => '';", "built-in names"),
        ("Promise = class {};", "built-in names"),
        ("globalThis.Promise = class {};", "built-in names"),
        ("globalThis['Sym' + 'bol'] = 1;", "names made at run time"),
        ("[Symbol] = [1];", "built-in names"),
        ("({ a: JSON.parse } = { a: f });", "built-in names"),
        ("for (JSON.parse of [f]);", "built-in names"),
        ("delete Math.max;", "built-in names"),
        ("process.binding('fs');", "internals"),
        ("const { exit: leave } = process; process.exit(0);", "exit"),
        ("import process from 'node:process'; process.exit(0);", "exit"),
        ("import { exit } from 'node:process'; exit(0);", "exit"),
        ("const { exit } = require('process'); exit(0);", "exit"),
        ("globalThis.process.exit(0);", "exit"),
        ("process.on('exit', f);", "process events"),
        ("process[name]('x');", "names made at run time"),
        ("process.reallyExit(0);", "exit"),
        ("process.dlopen(module, 'x.node');", "native code"),
        ("require('./x.node');", "native code"),
        ("import { spawn } from 'node:child_process';", "processes"),
        ("require('worker_threads');", "threads"),
        ("import vm from 'vm';", "executed text"),
        ("eval('1');", "executed text"),
        ("(0, eval)('1');", "executed text"),
        ("globalThis.eval('1');", "executed text"),
        ("new Function('return 1')();", "executed text"),
        ("f.constructor('return 1')();", "executed text"),
        ("[].constructor.constructor('x');", "executed text"),
        ("setTimeout('x()', 1);", "executed text"),
        ("await import('data:text/javascript,x');", "executed text"),
        ("await import(name);", "names made at run time"),
        ("require(name);", "names made at run time"),
        ("import fs from 'node:fs'; fs.readSync(3, b);", "file descriptors"),
        ("import { writeSync } from 'fs'; writeSync(3, b);", "file descriptors"),
        ("import { createWriteStream } from 'fs'; createWriteStream(null, { fd: 3 });",
         "file descriptors"),
        ("import fs from 'fs'; fs.readFileSync('/proc/self/mem');", "places of the system"),
        ("const path = `/dev/fd/3`;", "places of the system"),
        ("Error.prepareStackTrace = (e, s) => s;", "frames"),
        ("Error.captureStackTrace(o);", "frames"),
        ("f.caller;", "frames"),
        ("const o = { [Symbol.toPrimitive]() { return 1; } };", "equality"),
        ("class A { static [Symbol.hasInstance]() { return true; } }", "equality"),
        ("new WebAssembly.Module(b);", "native code"),
        ("__recodeScope('x');", "the sandbox's own names"),
        ("module.constructor._load = f;", "modules"),
        ("require.cache[x] = y;", "modules"),
        ("import inspector from 'inspector';", "the interpreter's memory"),
        ("import { createHook } from 'async_hooks';", "hooks"),
        ("import http from 'http';", "network"),
        ("import assert from 'assert';", "assertions"),
        ("const fd = 1 + 2; require('fs').readSync(fd, b);", "file descriptors"),
        ("for (let fd = 3; fd < 9; fd += 1) require('fs').writeSync(fd, b);", "file descriptors"),
        ("import { readSync as r } from 'fs'; const f = (fd) => r(fd, b); f(3);",
         "file descriptors"),
        ("const { openSync, closeSync } = fs; fs.fstatSync(3);", "file descriptors"),
        ("import fs from 'fs'; fs.openSync('x'); fs.closeSync('abc'.length);", "file descriptors"),
        ("import fs from 'fs'; const r = fs['read' + 'Sync'];", "names made at run time"),
        ("import { ReadStream } from 'node:tty'; new ReadStream(3);", "file descriptors"),
        ("const F = (() => {}).constructor; F('x');", "executed text"),
        ("const F = answer.constructor; F('x');", "executed text"),
        ("const { constructor: F } = async () => {}; F('x');", "executed text"),
        ("module.require('assert').equal = f;", "assertions"),
        ("const load = require('module').createRequire(__filename); load('vm');", "executed text"),
        ("import { createRequire } from 'module'; const r = createRequire(import.meta.url); r('a' + 'b');",
         "names made at run time"),
        ("const Math = { abs: () => 0 };", "built-in names"),
        ("export class String {}", "built-in names"),
        ("function Number() {}", "built-in names"),
        ("var undefined = 5;", "built-in names"),
        ("const all = everything(); all.Math = {};", "built-in names"),
        ("this.JSON = {};", "built-in names"),
        ("function hide(owner) {} hide(Array.prototype);", "prototypes"),
        ("require('events').prototype.emit = f;", "modules"),
        ("import { EventEmitter } from 'events'; EventEmitter.prototype.emit = f;", "modules"),
        ("Object.getPrototypeOf(module).x;", "modules"),
    ],
)  # fmt: skip
def test_what_an_answer_reaches_its_grader_by(code: str, reason: str) -> None:
    assert JS.parses(code)
    assert reason in JS.tamper_flags(code)


@pytest.mark.parametrize(
    "code",
    [
        "module.exports = { f };\nexports.g = g;",
        "import chalk from 'chalk';\nexport const f = (x) => chalk.red(x);",
        "class Point { constructor(x) { this.x = x; } }\nPoint.prototype.twice = function () {};",
        "class A extends Error { constructor(m) { super(m); this.name = 'A'; } }",
        "const o = { __proto_: 1 }; o.constructor === Object;",
        "const o = {}; o[key] = 1; Object.defineProperty(o, 'x', { value: 1 });",
        "const copy = Object.assign({}, a, b); Object.freeze(copy);",
        "function f(Promise) { Promise = 1; return Promise; }",
        "let name = 'x'; name = 'y';",
        "process.env.HOME = '/tmp'; const v = process.version;",
        "x instanceof Function; typeof eval_ === 'function';",
        "import { AsyncLocalStorage } from 'node:async_hooks';",
        "import { createRequire } from 'node:module'; const r = createRequire(import.meta.url);",
        "import fs from 'node:fs'; fs.writeFileSync('a.txt', 'x'); fs.readFileSync('a.txt');",
        "setTimeout(() => f(), 10); await new Promise((done) => setTimeout(done, 1));",
        "const i = { *[Symbol.iterator]() {}, get [Symbol.toStringTag]() { return 'x'; } };",
        "console.log('process.exit in a text, eval too');",
        "const { on } = emitter; emitter.on('exit', f); emitter.emit('x');",
        "export default async function handler(req, res) { res.end(); }",
        "map.set(a, b); reflect.set(c); new Map([[1, 2]]);",
        "const global = 1;",
        "import fs from 'fs'; const fd = fs.openSync('a', 'w'); fs.writeSync(fd, 'x'); fs.closeSync(fd);",
        "import fs from 'fs'; let fd = -1; fd = fs.openSync('a'); fs.readSync(fd, b, 0, b.length);",
        "const fs = require('fs'); fs.writeSync(1, 'x'); fs.writeFileSync(name, 'x');",
        "import { Map, Set } from 'immutable'; import Promise from 'bluebird';",
        "const { Number, String } = require('runtypes'); const Symbol = z.symbol();",
        "mongoose.Promise = global.Promise; lib.Number = types.Number;",
        "Dog.prototype = Object.create(Animal.prototype); Dog.prototype.constructor = Dog;",
        "util.inherits(MyError, Error); Object.setPrototypeOf(A.prototype, Error.prototype);",
        "require('events').defaultMaxListeners = 20;",
        "const { constructor } = this; if (x.constructor === Object) f(x.constructor.name);",
        "import tty from 'node:tty'; const colour = tty.isatty(1);",
        "",
    ],
)
def test_what_answers_do_is_not_named(code: str) -> None:
    assert JS.parses(code)
    assert JS.tamper_flags(code) == ()


def test_no_code_has_no_reasons() -> None:
    assert JS.tamper_flags(None) == ()
    assert JS.tamper_flags("function (") == ()
