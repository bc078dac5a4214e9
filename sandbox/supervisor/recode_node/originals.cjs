"use strict";
/**
 * Remembers what assertions, tests and the runner use of JavaScript and Node, and puts it back.
 *
 * Everything used here is bound before the candidate's first statement.
 */

const { getOwnPropertyDescriptor, getPrototypeOf, ownKeys, defineProperty } = Reflect;
const { is } = Object;

const generators = [
  function* () {}, async function* () {}, async () => {}, [][Symbol.iterator](), "".matchAll(/a/g),
  new Map().entries(), new Set().values(), ""[Symbol.iterator](),
];
const INTRINSICS = [
  "AggregateError", "Array", "ArrayBuffer", "BigInt", "Boolean", "DataView", "Date", "Error",
  "EvalError", "Float32Array", "Float64Array", "Function", "Int8Array", "Int16Array", "Int32Array",
  "BigInt64Array", "BigUint64Array", "Map", "Number", "Object", "Promise", "Proxy", "RangeError",
  "ReferenceError", "RegExp", "Set", "String", "Symbol", "SyntaxError", "TypeError", "URIError",
  "Uint8Array", "Uint8ClampedArray", "Uint16Array", "Uint32Array", "WeakMap", "WeakRef", "WeakSet",
  "Iterator", "SharedArrayBuffer", "Buffer", "URL", "URLSearchParams", "AbortController",
  "EventTarget", "TextEncoder", "TextDecoder",
];
const NAMESPACES = ["Math", "JSON", "Reflect", "Atomics", "Intl"];

/** The objects whose members are remembered, with the name to call each by. */
function remembered(assert) {
  const found = new Map([[globalThis, "globalThis"]]);
  const add = (object, name) => {
    const usable = (typeof object === "object" && object !== null) || typeof object === "function";
    if (usable && !found.has(object)) found.set(object, name);
  };
  add(assert, "assert");
  add(assert.AssertionError.prototype, "AssertionError.prototype");
  add(assert.AssertionError, "AssertionError");
  add(require("node:assert"), "assert");
  for (const name of INTRINSICS) {
    add(globalThis[name]?.prototype, `${name}.prototype`);
    add(globalThis[name], name);
  }
  for (const name of NAMESPACES) add(globalThis[name], name);
  add(getPrototypeOf(Uint8Array), "TypedArray");
  add(getPrototypeOf(Uint8Array.prototype), "TypedArray.prototype");
  for (const one of generators) {
    for (let at = one; at !== null && !found.has(at); at = getPrototypeOf(at)) {
      if (at !== one) add(at, "an iterator's prototype");
    }
  }
  for (const name of ["timers", "timers/promises", "fs", "util"]) add(require(`node:${name}`), name);
  add(process, "process");
  add(getPrototypeOf(process), "process");
  add(require("node:events").prototype, "EventEmitter.prototype");
  return found;
}

/** Members that programs set for good reasons, and that no verdict depends on. */
const FREE = new Map([
  ["process", new Set(["exitCode", "env", "argv", "title", "mainModule", "domain", "_events",
    "_eventsCount", "_maxListeners", "execArgv", "argv0", "debugPort"])],
  ["Error", new Set(["stackTraceLimit", "prepareStackTrace"])],
  ["RegExp", new Set(ownKeys(RegExp))],
]);
/** A test in which one of these is replaced proves nothing. */
const CRITICAL = new Set(["assert", "AssertionError", "AssertionError.prototype"]);
const PROMISES = new Set(["then", "constructor"]);

/**
 * Remember everything now. `restore()` puts back what differs; `changed()` names what a passed test
 * must not have replaced, or is empty.
 */
function originals(assert) {
  const objects = [];
  const names = [];
  const keys = [];
  const descriptors = [];
  for (const [object, name] of remembered(assert)) {
    for (const key of ownKeys(object)) {
      if (FREE.get(name)?.has(key)) continue;
      objects.push(object);
      names.push(name);
      keys.push(key);
      descriptors.push(getOwnPropertyDescriptor(object, key));
    }
  }
  const count = objects.length;
  const critical = [];
  for (let i = 0; i < count; i += 1) {
    if (CRITICAL.has(names[i]) || (names[i] === "Promise.prototype" && PROMISES.has(keys[i]))) {
      critical.push(i);
    }
  }
  const same = (i) => {
    const now = getOwnPropertyDescriptor(objects[i], keys[i]);
    const then = descriptors[i];
    return (
      now !== undefined && is(now.value, then.value) && now.get === then.get &&
      now.set === then.set && now.writable === then.writable
    );
  };
  const restore = () => {
    for (let i = 0; i < count; i += 1) {
      if (!same(i)) defineProperty(objects[i], keys[i], descriptors[i]);
    }
  };
  const changed = () => {
    for (let i = 0; i < critical.length; i += 1) {
      if (!same(critical[i])) {
        const key = keys[critical[i]];
        return `${names[critical[i]]}.${typeof key === "symbol" ? "[symbol]" : key}`;
      }
    }
    return "";
  };
  return { restore, changed };
}

module.exports = { originals };
