"use strict";
/**
 * Remembers what assertions, tests and the runner use of JavaScript and Node, and puts it back.
 *
 * Everything used here is bound before the candidate's first statement. What Node loads only when
 * it is asked for (`fetch`, `crypto`, ...) is left alone: to look at it costs up to 100 ms.
 */

const { getOwnPropertyDescriptor, getPrototypeOf, ownKeys, defineProperty, setPrototypeOf } = Reflect;
const { is } = Object;

const INTRINSICS = [
  "Object", "Function", "Array", "String", "Number", "Boolean", "Symbol", "BigInt", "Promise",
  "Map", "Set", "WeakMap", "WeakSet", "WeakRef", "Date", "Error", "AggregateError", "EvalError",
  "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError", "ArrayBuffer", "DataView",
];
/** The prototype has getters that look at the whole: compared with what it had, not called. */
const NAMESPACES = ["Math", "JSON", "Reflect", "RegExp", "Proxy"];
const GLOBALS = [
  ...INTRINSICS, ...NAMESPACES, "globalThis", "eval", "isNaN", "isFinite", "parseInt", "parseFloat",
  "Uint8Array", "Int8Array", "Uint16Array", "Int16Array", "Uint32Array", "Int32Array",
  "Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array", "Uint8ClampedArray", "Atomics",
  "SharedArrayBuffer", "Intl", "WebAssembly", "Buffer", "process", "console", "global",
  "setTimeout", "setInterval", "setImmediate", "clearTimeout", "clearInterval", "clearImmediate",
  "queueMicrotask", "structuredClone",
];
const PROCESS = [
  "exit", "reallyExit", "abort", "kill", "nextTick", "hrtime", "cwd", "emitWarning",
  "setUncaughtExceptionCaptureCallback", "memoryUsage", "uptime", "cpuUsage", "on", "once", "emit",
  "removeListener", "removeAllListeners", "addListener",
];
/** Members that programs set for good reasons, and that no verdict depends on. */
const FREE = new Set(["Error.stackTraceLimit", "Error.prepareStackTrace"]);
/** A test in which one of these is replaced proves nothing. */
const CRITICAL = new Set(["assert", "AssertionError", "AssertionError.prototype"]);
const PROMISES = new Set(["Promise.prototype.then", "Promise.prototype.constructor"]);

/** What is remembered: object, its name, and keys. */
function* remembered(assert) {
  yield [globalThis, "globalThis", GLOBALS];
  const { AssertionError } = assert;
  yield [assert, "assert", ownKeys(assert)];
  const loose = require("node:assert");
  yield [loose, "assert", ownKeys(loose)];
  yield [AssertionError, "AssertionError", ownKeys(AssertionError)];
  yield [AssertionError.prototype, "AssertionError.prototype", ownKeys(AssertionError.prototype)];
  for (const name of INTRINSICS) {
    const { prototype } = globalThis[name];
    yield [globalThis[name], name, ownKeys(globalThis[name])];
    yield [prototype, `${name}.prototype`, ownKeys(prototype)];
  }
  for (const name of NAMESPACES) {
    if (name !== "RegExp") yield [globalThis[name], name, ownKeys(globalThis[name])];
  }
  yield [RegExp.prototype, "RegExp.prototype", ownKeys(RegExp.prototype)];
  const typed = getPrototypeOf(Uint8Array);
  yield [typed.prototype, "TypedArray.prototype", ownKeys(typed.prototype)];
  const iterators = [[][Symbol.iterator](), new Map().entries(), new Set().values()];
  iterators.push(""[Symbol.iterator](), (function* () {})(), (async function* () {})());
  const seen = new Set([Object.prototype]);
  for (const one of iterators) {
    for (let at = getPrototypeOf(one); at !== null && !seen.has(at); at = getPrototypeOf(at)) {
      seen.add(at);
      yield [at, "an iterator's prototype", ownKeys(at)];
    }
  }
  yield [process, "process", PROCESS];
  const timers = require("node:timers");
  yield [timers, "timers", ownKeys(timers)];
}

/**
 * Remember everything now. `restore()` puts back what differs, and names what is locked; `changed()`
 * names what a passed test must not have replaced. Both are empty if there is nothing.
 */
function originals(assert) {
  const objects = [];
  const keys = [];
  const values = []; // of properties with a value, which are compared by it
  const plain = [];
  const descriptors = [];
  const critical = [];
  const names = [];
  for (const [object, name, own] of remembered(assert)) {
    for (const key of own) {
      const full = `${name}.${typeof key === "symbol" ? `[${key.description}]` : key}`;
      const descriptor = FREE.has(full) ? undefined : getOwnPropertyDescriptor(object, key);
      if (descriptor === undefined) continue;
      setPrototypeOf(descriptor, null); // `Object.prototype.get` must not become a part of it
      if (CRITICAL.has(name) || PROMISES.has(full)) critical.push(objects.length);
      objects.push(object);
      names.push(full);
      keys.push(key);
      descriptors.push(descriptor);
      plain.push(descriptor.get === undefined);
      values.push(descriptor.value);
    }
  }
  const same = (i) => {
    const now = getOwnPropertyDescriptor(objects[i], keys[i]);
    const before = descriptors[i];
    if (now !== undefined) setPrototypeOf(now, null);
    return (
      now !== undefined && is(now.value, before.value) && now.get === before.get &&
      now.set === before.set
    );
  };
  const restore = () => {
    let stuck = "";
    for (let i = 0; i < objects.length; i += 1) {
      const untouched = plain[i] ? is(objects[i][keys[i]], values[i]) : same(i);
      if (!untouched && !defineProperty(objects[i], keys[i], descriptors[i])) stuck = names[i];
    }
    return stuck;
  };
  const changed = () => {
    for (let i = 0; i < critical.length; i += 1) {
      if (!same(critical[i])) return names[critical[i]];
    }
    return "";
  };
  return { restore, changed };
}

module.exports = { originals };
