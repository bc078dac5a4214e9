"""Right programs of JavaScript and TypeScript that people write; see `right_programs`."""
# ruff: noqa: E501 - programs as people write them

from __future__ import annotations

JAVASCRIPT: dict[str, str] = {
    "async iterators and generators": r"""
function* naturals() { let n = 0; while (true) yield n++; }
async function* slowly(items) { for (const item of items) { await null; yield item; } }
const take = (n, items) => { const all = []; for (const item of items) { if (all.length === n) break; all.push(item); } return all; };
// test
assert.deepEqual(take(3, naturals()), [0, 1, 2]);
// test
const seen = [];
for await (const item of slowly('abc')) seen.push(item);
assert.deepEqual(seen, ['a', 'b', 'c']);
""",
    "class fields and private methods": r"""
export class Counter {
  static #made = 0;
  #count = 0;
  step = 1;
  constructor() { Counter.#made += 1; }
  get value() { return this.#count; }
  add() { this.#increase(); return this; }
  #increase() { this.#count += this.step; }
  static { this.ready = true; }
  static get made() { return Counter.#made; }
  static isCounter(x) { return #count in x; }
}
// test
assert.equal(new Counter().add().add().value, 2);
assert.ok(Counter.made >= 1 && Counter.ready);
assert.ok(Counter.isCounter(new Counter()) && !Counter.isCounter({}));
""",
    "timers of all kinds": r"""
const { setTimeout: sleep } = require('node:timers/promises');
async function order() {
  const seen = [];
  setTimeout(() => seen.push('timeout'), 0);
  setImmediate(() => seen.push('immediate'));
  process.nextTick(() => seen.push('tick'));
  queueMicrotask(() => seen.push('microtask'));
  seen.push('now');
  await sleep(20);
  return seen;
}
// test
const seen = await order();
assert.deepEqual(seen.slice(0, 3), ['now', 'tick', 'microtask']);
assert.deepEqual(seen.slice(3).sort(), ['immediate', 'timeout']);
// test
let count = 0;
await new Promise((done) => { const t = setInterval(() => { if (++count === 3) { clearInterval(t); done(); } }, 2); });
assert.equal(count, 3);
""",
    "promises together": r"""
const later = (value, ms) => new Promise((done) => setTimeout(done, ms, value));
// test
assert.deepEqual(await Promise.all([later(1, 9), 2, later(3, 1)]), [1, 2, 3]);
assert.equal(await Promise.race([later('slow', 200), later('fast', 1)]), 'fast');
assert.equal(await Promise.any([Promise.reject(new Error('x')), later('ok', 1)]), 'ok');
const settled = await Promise.allSettled([Promise.reject(new Error('no')), 1]);
assert.deepEqual(settled.map((s) => s.status), ['rejected', 'fulfilled']);
const { promise, resolve } = Promise.withResolvers();
resolve(5);
assert.equal(await promise, 5);
await assert.rejects(Promise.any([Promise.reject(new Error('a'))]), AggregateError);
""",
    "streams and pipelines": r"""
import { Readable, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
export async function shout(words) {
  const seen = [];
  const upper = new Transform({ objectMode: true, transform(word, _, done) { done(null, word.toUpperCase()); } });
  const sink = new Writable({ objectMode: true, write(word, _, done) { seen.push(word); done(); } });
  await pipeline(Readable.from(words), upper, sink);
  return seen;
}
// test
assert.deepEqual(await shout(['a', 'b']), ['A', 'B']);
""",
    "web streams and blobs": r"""
const squares = (n) => new ReadableStream({ start(c) { for (let i = 0; i < n; i++) c.enqueue(i * i); c.close(); } });
// test
const seen = [];
for await (const x of squares(4)) seen.push(x);
assert.deepEqual(seen, [0, 1, 4, 9]);
// test
const blob = new Blob(['hello ', 'world']);
assert.equal(await blob.text(), 'hello world');
const text = await new Response(blob.stream().pipeThrough(new CompressionStream('gzip')).pipeThrough(new DecompressionStream('gzip'))).text();
assert.equal(text, 'hello world');
""",
    "worker threads": r"""
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
if (!isMainThread) parentPort.postMessage(workerData.reduce((a, b) => a + b, 0));
const sum = (numbers) => new Promise((done, fail) => {
  const worker = new Worker(__filename, { workerData: numbers });
  worker.once('message', done);
  worker.once('error', fail);
});
// test
assert.equal(await sum([1, 2, 3]), 6);
// test
assert.deepEqual(await Promise.all([sum([1]), sum([2, 2])]), [1, 4]);
""",
    "worker threads of a module": r"""
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
if (!isMainThread) parentPort.postMessage(workerData * 2);
export const double = (n) => new Promise((done, fail) => {
  const worker = new Worker(new URL(import.meta.url), { workerData: n });
  worker.once('message', done).once('error', fail);
});
// test
assert.equal(await double(21), 42);
""",
    "shared memory between threads": r"""
const { Worker } = require('node:worker_threads');
const run = (shared) => new Promise((done, fail) => new Worker(
  'const { workerData } = require("node:worker_threads"); for (let i = 0; i < 1000; i++) Atomics.add(new Int32Array(workerData), 0, 1);',
  { eval: true, workerData: shared }).once('exit', done).once('error', fail));
// test
const shared = new SharedArrayBuffer(4);
await Promise.all([run(shared), run(shared)]);
assert.equal(new Int32Array(shared)[0], 2000);
""",
    "messages and structured clones": r"""
const { port1, port2 } = new MessageChannel();
// test
const got = new Promise((done) => { port2.onmessage = (event) => done(event.data); });
port1.postMessage({ map: new Map([[1, new Set('ab')]]), date: new Date(0) });
assert.deepEqual(await got, { map: new Map([[1, new Set('ab')]]), date: new Date(0) });
port1.close();
const loop = { name: 'x' }; loop.self = loop;
const copy = structuredClone(loop);
assert.ok(copy !== loop && copy.self === copy);
""",
    "child processes": r"""
const { execFile, execFileSync, spawn, spawnSync, execSync } = require('node:child_process');
const { promisify } = require('node:util');
const { once } = require('node:events');
// test
assert.equal(execFileSync('echo', ['hi']).toString(), 'hi\n');
assert.equal(execSync('echo $((6 * 7))').toString().trim(), '42');
const { stdout } = await promisify(execFile)(process.execPath, ['-p', '1 + 1']);
assert.equal(stdout, '2\n');
// test
const cat = spawn('cat');
cat.stdin.end('through');
let text = '';
for await (const part of cat.stdout) text += part;
const [code] = cat.exitCode === null ? await once(cat, 'exit') : [cat.exitCode];
assert.deepEqual([text, code], ['through', 0]);
assert.equal(spawnSync('sh', ['-c', 'exit 3']).status, 3);
const sleeper = spawn('sleep', ['60']);
sleeper.kill();
assert.deepEqual(await once(sleeper, 'exit'), [null, 'SIGTERM']);
assert.equal(spawnSync('node', ['--version']).stdout.toString().trim(), process.version);
""",
    "fork with messages": r"""
const { fork } = require('node:child_process');
const fs = require('node:fs');
fs.writeFileSync('child.cjs', 'process.on("message", (n) => { process.send(n * 2); process.disconnect(); });');
const double = (n) => new Promise((done, fail) => {
  const child = fork('./child.cjs');
  child.on('message', done).on('error', fail);
  child.send(n);
});
// test
assert.equal(await double(4), 8);
""",
    "crypto": r"""
import { createHash, createHmac, randomUUID, randomBytes, scryptSync, createCipheriv, createDecipheriv, generateKeyPairSync, sign, verify, timingSafeEqual, webcrypto } from 'node:crypto';
// test
assert.equal(createHash('sha256').update('abc').digest('hex'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
assert.equal(createHmac('md5', 'k').update('x').digest('hex').length, 32);
assert.match(randomUUID(), /^[0-9a-f-]{36}$/);
assert.ok(timingSafeEqual(scryptSync('p', 's', 32), scryptSync('p', 's', 32)));
// test
const key = randomBytes(32), iv = randomBytes(16);
const cipher = createCipheriv('aes-256-gcm', key, iv);
const secret = Buffer.concat([cipher.update('hello'), cipher.final()]);
const decipher = createDecipheriv('aes-256-gcm', key, iv).setAuthTag(cipher.getAuthTag());
assert.equal(decipher.update(secret, null, 'utf8') + decipher.final('utf8'), 'hello');
// test
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
assert.ok(verify(null, Buffer.from('x'), publicKey, sign(null, Buffer.from('x'), privateKey)));
const digest = await webcrypto.subtle.digest('SHA-1', new TextEncoder().encode('abc'));
assert.equal(Buffer.from(digest).toString('hex'), 'a9993e364706816aba3e25717850c26c9cd0d89d');
""",
    "zlib": r"""
const zlib = require('node:zlib');
const { promisify } = require('node:util');
// test
const text = 'hello '.repeat(1000);
assert.equal(zlib.gunzipSync(zlib.gzipSync(text)).toString(), text);
assert.ok((await promisify(zlib.brotliCompress)(text)).length < 100);
assert.equal((await promisify(zlib.inflate)(await promisify(zlib.deflate)(text))).toString(), text);
""",
    "files": r"""
import fs from 'node:fs';
import { mkdtemp, readFile, writeFile, rm, readdir, stat, appendFile, rename, open } from 'node:fs/promises';
import path from 'node:path';
import os from 'node:os';
// test
const folder = await mkdtemp(path.join(os.tmpdir(), 'x-'));
const file = path.join(folder, 'a.txt');
await writeFile(file, 'one\n');
await appendFile(file, 'two\n');
assert.equal(await readFile(file, 'utf8'), 'one\ntwo\n');
await rename(file, file + '2');
assert.deepEqual(await readdir(folder), ['a.txt2']);
assert.equal((await stat(file + '2')).size, 8);
const lines = [];
for await (const line of (await open(file + '2')).readLines()) lines.push(line);
assert.deepEqual(lines, ['one', 'two']);
await rm(folder, { recursive: true });
assert.ok(!fs.existsSync(folder));
// test
fs.mkdirSync('deep/er', { recursive: true });
fs.writeFileSync('deep/er/b.json', JSON.stringify({ b: 1 }));
fs.copyFileSync('deep/er/b.json', 'copy.json');
fs.cpSync('deep', 'deep2', { recursive: true });
fs.symlinkSync('copy.json', 'link.json');
assert.deepEqual(JSON.parse(fs.readFileSync('link.json', 'utf8')), { b: 1 });
assert.deepEqual(fs.readdirSync('deep2', { recursive: true }).sort(), ['er', path.join('er', 'b.json')]);
fs.createWriteStream('s.txt').end('x');
fs.chmodSync('copy.json', 0o600);
fs.rmSync('deep', { recursive: true });
""",
    "URLs and query strings": r"""
const parse = (text) => { const url = new URL(text); return [url.host, url.pathname, url.searchParams.get('q'), url.hash]; };
// test
assert.deepEqual(parse('https://example.org:8080/a%20b?q=1&q=2#x'), ['example.org:8080', '/a%20b', '1', '#x']);
assert.equal(new URL('../c', 'https://example.org/a/b/').href, 'https://example.org/a/c');
assert.equal(new URLSearchParams({ a: 'x y', b: 'ü' }).toString(), 'a=x+y&b=%C3%BC');
assert.throws(() => new URL('no'), { code: 'ERR_INVALID_URL' });
assert.equal(URL.canParse('x:y'), true);
assert.equal(new URL('http://münchen.de').host, 'xn--mnchen-3ya.de');
""",
    "Intl": r"""
export const money = (n) => new Intl.NumberFormat('de-DE', { style: 'currency', currency: 'EUR' }).format(n);
// test
assert.equal(money(1234.5).replace(/\s/g, ' '), '1.234,50 €');
assert.equal(new Intl.PluralRules('pl').select(2), 'few');
assert.deepEqual(['ä', 'z', 'a'].sort(new Intl.Collator('de').compare), ['a', 'ä', 'z']);
assert.equal(new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', dateStyle: 'long' }).format(new Date(0)), '1 January 1970');
assert.equal([...new Intl.Segmenter('en', { granularity: 'grapheme' }).segment('👨‍👩‍👧a')].length, 2);
assert.equal(new Date(Date.UTC(2024, 1, 29)).toLocaleDateString('fr', { timeZone: 'Asia/Tokyo', month: 'long' }), 'février');
assert.equal('İ'.toLocaleLowerCase('tr'), 'i');
""",
    "AsyncLocalStorage": r"""
import { AsyncLocalStorage } from 'node:async_hooks';
const storage = new AsyncLocalStorage();
export const inside = (value, work) => storage.run(value, work);
export const current = () => storage.getStore();
// test
const seen = await Promise.all([1, 2].map((n) => inside(n, async () => { await new Promise((r) => setTimeout(r, 5 - n)); return current(); })));
assert.deepEqual(seen, [1, 2]);
assert.equal(current(), undefined);
""",
    "EventEmitter and EventTarget": r"""
const { EventEmitter, once, on } = require('node:events');
class Store extends EventEmitter { set(key, value) { this.emit('set', key, value); return this; } }
// test
const store = new Store(); const seen = [];
store.on('set', (k, v) => seen.push([k, v])).once('set', () => seen.push('once'));
store.set('a', 1).set('b', 2);
assert.deepEqual(seen, [['a', 1], 'once', ['b', 2]]);
setTimeout(() => store.set('c', 3), 1);
assert.deepEqual(await once(store, 'set'), ['c', 3]);
assert.throws(() => store.emit('error', new Error('unheard')), /unheard/);
// test
const target = new EventTarget(); let got;
target.addEventListener('x', (event) => { got = event.detail; });
target.dispatchEvent(new CustomEvent('x', { detail: 5 }));
assert.equal(got, 5);
""",
    "aborting": r"""
import { setTimeout as sleep } from 'node:timers/promises';
export const cancellable = (signal) => sleep(10_000, 'done', { signal });
// test
const controller = new AbortController();
setTimeout(() => controller.abort(), 2);
await assert.rejects(cancellable(controller.signal), { name: 'AbortError' });
await assert.rejects(cancellable(AbortSignal.timeout(3)), (error) => error.name === 'AbortError' || error.name === 'TimeoutError');
""",
    "weak references and finalizers": r"""
const registry = new FinalizationRegistry(() => {});
const cache = new Map();
const remember = (key, value) => { cache.set(key, new WeakRef(value)); registry.register(value, key); return value; };
// test
const object = remember('a', { x: 1 });
assert.equal(cache.get('a').deref(), object);
const secret = new WeakMap([[object, 2]]);
assert.ok(secret.has(object) && new WeakSet([object]).has(object));
""",
    "WebAssembly": r"""
const bytes = Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]);
export const load = async () => (await WebAssembly.instantiate(bytes)).instance.exports;
// test
assert.equal((await load()).add(2, 3), 5);
// test
assert.ok(WebAssembly.validate(bytes));
assert.equal(new WebAssembly.Memory({ initial: 2 }).buffer.byteLength, 131072);
""",
    "JSON modules and import attributes": r"""
import fs from 'node:fs';
fs.writeFileSync('data.json', '{"answer": 42}');
export const { default: data } = await import('./data.json', { with: { type: 'json' } });
// test
assert.equal(data.answer, 42);
const again = await import('./data.json', { with: { type: 'json' } });
assert.equal(again.default, data);
""",
    "modules that a program writes": r"""
const fs = require('node:fs');
fs.writeFileSync('util.js', 'exports.twice = (x) => 2 * x;');
fs.writeFileSync('esm.mjs', 'export const thrice = (x) => 3 * x;');
const { twice } = require('./util');
const loadThrice = async () => (await import('./esm.mjs')).thrice;
// test
assert.equal(twice(2), 4);
assert.equal((await loadThrice())(2), 6);
assert.equal(require('./esm.mjs').thrice(1), 3);
""",
    "top-level await and import.meta": r"""
import { readFile } from 'node:fs/promises';
const own = await readFile(new URL(import.meta.url), 'utf8');
export const name = import.meta.filename.split('/').at(-1);
export const main = import.meta.main;
// test
assert.ok(own.includes('top-level') === false && own.includes('import.meta'));
assert.equal(name, 'solution.mjs');
assert.ok(!main);
""",
    "main guards": r"""
function main() { process.exit(3); }
if (require.main === module) main();
module.exports = { main };
// test
assert.equal(typeof main, 'function');
assert.equal(require('./solution.cjs').main, main);
""",
    "main guard of a module": r"""
import { fileURLToPath } from 'node:url';
import process from 'node:process';
export const add = (a, b) => a + b;
export const own = fileURLToPath(import.meta.url);
if (process.argv[1] !== own || import.meta.main) process.exit(1);
// test
assert.equal(add(1, 2), 3);
assert.ok(own.endsWith('solution.mjs'));
""",
    "proxies and reflection": r"""
const observed = (target, seen) => new Proxy(target, { get(t, k, r) { seen.push(k); return Reflect.get(t, k, r); }, has: () => true });
// test
const seen = []; const proxy = observed({ a: 1 }, seen);
assert.equal(proxy.a, 1); assert.ok('zzz' in proxy); assert.deepEqual(seen, ['a']);
assert.deepEqual(Reflect.ownKeys({ b: 1, [Symbol.iterator]: 2 }), ['b', Symbol.iterator]);
""",
    "big integers and typed arrays": r"""
const factorial = (n) => (n <= 1n ? 1n : n * factorial(n - 1n));
// test
assert.equal(factorial(25n), 15511210043330985984000000n);
assert.deepEqual(new Float32Array([1.5, 2]).map((x) => x * 2), new Float32Array([3, 4]));
assert.equal(new DataView(Uint8Array.from([1, 2]).buffer).getUint16(0), 258);
assert.equal(Buffer.from('héllo').toString('base64'), 'aMOpbGxv');
assert.deepEqual([3, 1, 2].toSorted(), [1, 2, 3]);
assert.deepEqual(Object.groupBy([1, 2, 3], (n) => (n % 2 ? 'odd' : 'even')), Object.assign(Object.create(null), { odd: [1, 3], even: [2] }));
""",
    "errors with causes": r"""
export class ParseError extends Error { constructor(line, options) { super(`line ${line}`, options); this.name = 'ParseError'; this.line = line; } }
export const parse = (text) => { try { return JSON.parse(text); } catch (cause) { throw new ParseError(1, { cause }); } };
// test
assert.throws(() => parse('{'), (error) => error instanceof ParseError && error.cause instanceof SyntaxError && error.line === 1);
assert.throws(() => parse('{'), { name: 'ParseError', message: 'line 1' });
assert.match(new ParseError(2).stack, /ParseError: line 2|Error: line 2/);
""",
    "handlers of uncaught errors": r"""
const attempt = () => new Promise((done) => {
  process.once('uncaughtException', (error) => done(error.message));
  setTimeout(() => { throw new Error('caught at last'); }, 1);
});
const ignored = () => new Promise((done) => { process.once('unhandledRejection', (reason) => done(reason)); Promise.reject('why'); });
// test
assert.equal(await attempt(), 'caught at last');
assert.equal(await ignored(), 'why');
""",
    "utilities": r"""
import util, { inspect, promisify, format, isDeepStrictEqual, parseArgs, styleText } from 'node:util';
// test
assert.equal(format('%s=%d %j', 'a', 1, { b: 2 }), 'a=1 {"b":2}');
assert.equal(inspect({ a: [1, { b: new Map([[1, 2]]) }] }, { depth: 4, compact: true, breakLength: Infinity }), '{ a: [ 1, { b: Map(1) { 1 => 2 } } ] }');
assert.ok(isDeepStrictEqual(new Set([1]), new Set([1])));
assert.deepEqual({ ...parseArgs({ args: ['-v', '--n=3'], options: { v: { type: 'boolean', short: 'v' }, n: { type: 'string' } } }).values }, { v: true, n: '3' });
assert.equal(util.stripVTControlCharacters(styleText('red', 'x', { validateStream: false })), 'x');
assert.equal(await promisify((x, done) => done(null, x + 1))(1), 2);
""",
    "readline and text decoding": r"""
import readline from 'node:readline';
import { Readable } from 'node:stream';
export const lines = async (text) => { const all = []; for await (const line of readline.createInterface({ input: Readable.from([text]) })) all.push(line); return all; };
// test
assert.deepEqual(await lines('a\nb\r\nc'), ['a', 'b', 'c']);
assert.equal(new TextDecoder('utf-16le').decode(Uint8Array.from([65, 0])), 'A');
assert.equal(new TextDecoder('windows-1252').decode(Uint8Array.from([0x80])), '€');
""",
    "node:test and mocks": r"""
import { mock } from 'node:test';
export const clock = { now: () => Date.now() };
export const twice = (f) => { f(1); f(2); };
// test
const spy = mock.fn();
twice(spy);
assert.deepEqual(spy.mock.calls.map((c) => c.arguments), [[1], [2]]);
mock.method(clock, 'now', () => 5);
assert.equal(clock.now(), 5);
mock.restoreAll();
assert.ok(clock.now() > 5);
// test
mock.timers.enable({ apis: ['setTimeout', 'Date'] });
let fired = false;
setTimeout(() => { fired = true; }, 60_000);
mock.timers.tick(60_000);
assert.ok(fired);
mock.timers.reset();
""",
    "a database in memory": r"""
import { DatabaseSync } from 'node:sqlite';
const database = new DatabaseSync(':memory:');
database.exec('CREATE TABLE t (a INTEGER, b TEXT)');
export const add = (a, b) => database.prepare('INSERT INTO t VALUES (?, ?)').run(a, b);
// test
add(1, 'x'); add(2, 'y');
assert.deepEqual(database.prepare('SELECT sum(a) AS s FROM t').all().map((row) => row.s), [3]);
""",
    "scripts in contexts of their own": r"""
const vm = require('node:vm');
const evaluate = (code, values) => vm.runInNewContext(code, values, { timeout: 1000 });
// test
assert.equal(evaluate('a + b', { a: 1, b: 2 }), 3);
assert.throws(() => evaluate('throw new Error("x")', {}), /x/);
assert.equal(new Function('a', 'return a * 2')(4), 8);
assert.equal((0, eval)('1 + 1'), 2);
""",
    "performance and hooks": r"""
import { performance, PerformanceObserver } from 'node:perf_hooks';
import v8 from 'node:v8';
import os from 'node:os';
export const timed = (work) => { const start = performance.now(); work(); return performance.now() - start; };
// test
assert.ok(timed(() => {}) >= 0);
performance.mark('a'); performance.mark('b');
assert.ok(performance.measure('c', 'a', 'b').duration >= 0);
assert.ok(v8.getHeapStatistics().heap_size_limit > 0 && process.memoryUsage().rss > 0);
assert.deepEqual(v8.deserialize(v8.serialize({ a: new Date(0) })), { a: new Date(0) });
assert.ok(os.cpus().length >= 1 && os.totalmem() > 0 && os.platform() === 'linux');
assert.ok(process.hrtime.bigint() > 0n && process.uptime() > 0);
""",
    "deep recursion and long loops": r"""
const depth = (n) => (n === 0 ? 0 : 1 + depth(n - 1));
const sieve = (n) => { const composite = new Uint8Array(n + 1); let count = 0; for (let i = 2; i <= n; i++) { if (!composite[i]) { count++; for (let j = i * i; j <= n; j += i) composite[j] = 1; } } return count; };
// test
assert.equal(depth(5000), 5000);
assert.throws(() => depth(1e6), RangeError);
assert.equal(sieve(2_000_000), 148933);
""",
    "a server and its client over a pair of streams": r"""
import { duplexPair } from 'node:stream';
import http from 'node:http';
export const answer = (text) => new Promise((done) => {
  const [client, server] = duplexPair();
  http.createServer((request, response) => response.end(request.url + text)).emit('connection', server);
  http.get({ path: '/x', createConnection: () => client }, async (response) => { let all = ''; for await (const part of response) all += part; done(all); });
});
// test
assert.equal(await answer('!'), '/x!');
""",
}

TYPESCRIPT: dict[str, str] = {
    "generics, interfaces and assertions": r"""
import type { Readable } from 'node:stream';
interface Shape { readonly kind: 'circle' | 'square'; size: number }
type Area<T extends Shape> = (shape: T) => number;
export const area: Area<Shape> = ({ kind, size }: Shape): number => (kind === 'circle' ? Math.PI * size ** 2 : size ** 2);
export function first<T>(items: readonly T[]): T | undefined { return items[0]!; }
export abstract class Base<T> { readonly value?: T; protected constructor(value?: T) { this.value = value; } abstract get(): T; }
// test
assert.equal(area({ kind: 'square', size: 2 }), 4);
assert.equal(first([1, 2]), 1);
""",
    "overloads, declarations and generators": r"""
declare const nothing: string;
export function twice(x: string): string;
export function twice(x: number): number;
export function twice(x: any) { return typeof x === 'number' ? x * 2 : x + x; }
export function* count(n: number): Generator<number, void, unknown> { for (let i = 0; i < n; i++) yield i as number; }
export const settings = { mode: 'dark' } as const satisfies Record<string, string>;
// test
assert.equal(twice(2), 4); assert.equal(twice('a'), 'aa');
assert.deepEqual([...count(2)], [0, 1]);
assert.equal(settings.mode, 'dark');
""",
    "typed CommonJS": r"""
const path: typeof import('node:path') = require('node:path');
type Pair<A, B = A> = [A, B];
const swap = <A, B>([a, b]: Pair<A, B>): Pair<B, A> => [b, a];
module.exports = { swap };
// test
assert.deepEqual(swap([1, 'x']), ['x', 1]);
assert.equal(path.sep, '/');
""",
}
