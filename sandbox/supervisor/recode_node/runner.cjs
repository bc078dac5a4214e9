"use strict";
/**
 * Runs one JavaScript or TypeScript program: what the sandbox's process becomes once it is confined.
 *
 * Set-up, candidate and tests come over descriptor 3, one after the other; no file, argument or
 * variable holds them. A test's source comes when the candidate has run, and its nonce stays in the
 * kernel's buffer until the test is over. Only a packet with that nonce, sent from here, is a pass.
 *
 * The candidate shares this process and may replace whatever it can reach. So everything used below
 * is bound before its first statement, nothing here awaits a promise (that looks up
 * `Promise.prototype`), and between reading a nonce and sending it no code of the candidate's runs.
 */

const CHANNEL = 3;
const LARGEST = 64 << 10;
const NONCE_BYTES = 16;
const VERDICT_BYTES = NONCE_BYTES + 1 + 8; // the nonce, a letter, and a time that nobody believes
const DETAIL_CHARACTERS = 300;
const MOST_EXPORTS = 100;
const MORE = 0x2b; // "+": the message goes on in the next packet
const PASSED = 0x50;
const FAILED = 0x46;
const OUT_OF_MEMORY = 0x4d;

const fs = require("node:fs");
const vm = require("node:vm");
const path = require("node:path");
const timers = require("node:timers");
const nodeModule = require("node:module");
const { pathToFileURL } = require("node:url");
const assert = require("node:assert/strict");
const { originals } = require("./originals.cjs");

const { Module, createRequire } = nodeModule;
const { compileFunction } = vm;
const { readSync, writeSync, writeFileSync, existsSync, readdirSync, unlinkSync, rmdirSync } = fs;
const { setImmediate, setTimeout } = timers;
const { apply, defineProperty, deleteProperty, getOwnPropertyDescriptor, ownKeys } = Reflect;
const { parse } = JSON;
const uncurried = (method) => Function.prototype.call.bind(method);
const latin1 = uncurried(Buffer.prototype.latin1Slice);
const put = uncurried(Buffer.prototype.latin1Write);
const slice = uncurried(String.prototype.slice);
const indexOf = uncurried(String.prototype.indexOf);
const charCode = uncurried(String.prototype.charCodeAt);
const then = uncurried(Promise.prototype.then);
const test = uncurried(RegExp.prototype.test);
const on = uncurried(process.on);
const listenerCount = uncurried(process.listenerCount);
const removeAll = uncurried(process.removeAllListeners);
const leave = uncurried(process.reallyExit);
const text = String;
const NativeSyntaxError = SyntaxError;
const { AssertionError } = assert;
const isInstance = uncurried(Function.prototype[Symbol.hasInstance]);
const realEval = eval;

const packet = Buffer.alloc(LARGEST);
const verdict = Buffer.alloc(VERDICT_BYTES + DETAIL_CHARACTERS);

/** The next message, whole; the end of this process if nobody sends any more. */
function receive() {
  let message = "";
  for (;;) {
    const size = readSync(CHANNEL, packet, 0, LARGEST, null);
    if (size < 2) leave(process, 0);
    message += latin1(packet, 2, size);
    if (packet[1] !== MORE) return parse(message);
  }
}

/** Tell the supervisor about a stage; `said` is printable ASCII. */
function report(said) {
  const size = put(packet, said, 0);
  writeSync(CHANNEL, packet, 0, size);
}

/** Say how the test in hand ended. */
function give(letter, detail) {
  const size = VERDICT_BYTES + put(verdict, detail, VERDICT_BYTES);
  // From here on there is a nonce in this process: nothing of the candidate's may be called.
  if (readSync(CHANNEL, packet, 0, LARGEST, null) !== NONCE_BYTES + 1) leave(process, 0);
  for (let i = 0; i < NONCE_BYTES; i += 1) verdict[i] = packet[i + 1];
  verdict[NONCE_BYTES] = letter;
  writeSync(CHANNEL, verdict, 0, size);
}

/** One line of printable ASCII. */
function printable(said) {
  let line = "";
  let blank = false;
  for (let i = 0; i < said.length && line.length < DETAIL_CHARACTERS; i += 1) {
    const code = charCode(said, i);
    const space = code === 32 || (code >= 9 && code <= 13);
    if (!space) line += code > 32 && code < 127 ? said[i] : "?";
    else if (!blank) line += " ";
    blank = space;
  }
  return blank ? slice(line, 0, -1) : line;
}

/** Where an error's stack first mentions the program: ` (solution.mjs:3)`. */
function place(stack) {
  const at = indexOf(stack, "/solution.");
  if (at < 0) return "";
  let end = indexOf(stack, ":", at);
  if (end < 0) return "";
  do end += 1;
  while (charCode(stack, end) >= 48 && charCode(stack, end) <= 57);
  const found = slice(stack, at + 1, end);
  return found.length < 40 ? ` (${printable(found)})` : "";
}

/** What was thrown, in one line. The candidate's code may run here: before any nonce is read. */
function describe(thrown) {
  try {
    if (typeof thrown !== "object" || thrown === null) {
      return printable(`threw ${typeof thrown === "symbol" ? "a symbol" : text(thrown)}`);
    }
    const { name, message, stack } = thrown;
    const said = typeof message === "string" ? message : "";
    const kind = typeof name === "string" ? name : "an object was thrown";
    const where = typeof stack === "string" ? place(stack) : "";
    const line = printable(said ? `${kind}: ${said}` : kind);
    return slice(line, 0, DETAIL_CHARACTERS - where.length) + where;
  } catch {
    return "an object was thrown that cannot be described";
  }
}

/** The letter for what was thrown. */
function letterOf(thrown) {
  try {
    const { code, message } = thrown;
    if (code === "ERR_MEMORY_ALLOCATION_FAILED" || message === "Array buffer allocation failed") {
      return OUT_OF_MEMORY;
    }
  } catch {
    // it is a failure, whatever it is
  }
  return FAILED;
}

// ---- loading ----

const STRICT = /^(?:\s|\/\/[^\n]*(?:\n|$)|\/\*[^]*?\*\/)*(?:"use strict"|'use strict')/;
const HASHBANG = /^#!/;
/** A name that no program has, told by the supervisor. */
let secret = "";
const PARAMETERS = ["exports", "require", "module", "__filename", "__dirname"];
const loading = { importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER };

/** Where the candidate's names are in sight: evaluates text there; null before it has begun. */
let inside = null;
/** What `eval` means there; a candidate may have a variable of that name. */
let evalInside = null;

/** How many calls of the hook there were since it was last set out. */
let taken = 0;
let hooks = 0;
/** The name of the hook; each attempt to load has its own. */
let hookName = "";

/**
 * A statement, put before the candidate's first, that hands over a direct `eval` of its scope.
 *
 * It looks no name up that a program could have declared, or that a module which it imports (and
 * which runs before it) could have changed: the hook is a constant method of all functions. In a
 * thread that the program starts with its own file there is none.
 */
const hook = () => `((${secret})=>eval(${secret})).${hookName}?.(()=>eval);`;

function setOutHook() {
  taken = 0;
  inside = null;
  hookName = `${secret}h${(hooks += 1)}`;
  const own = hookName;
  const value = function takeHook(current) {
    if (own !== hookName) return;
    taken += 1;
    // Who calls it as well as the program's first statement wants to be asked in its place.
    inside = taken === 1 ? this : null;
    evalInside = current;
  };
  defineProperty(Function.prototype, own, { __proto__: null, value });
}

/**
 * Write source down and run it as a module; calls back with whether it failed, and with what was
 * thrown or is exported.
 */
function load(name, language, source, hooked, done) {
  const attempt = (code, query, failed) => {
    const body = test(HASHBANG, code) ? `//${code}` : code;
    if (hooked) setOutHook();
    const strict = test(STRICT, body) ? '"use strict";' : "";
    const filename = path.resolve(`${name}.cjs`);
    let main;
    try {
      const options = { ...loading, filename };
      main = compileFunction(hooked ? strict + hook() + body : body, PARAMETERS, options);
    } catch {
      const file = path.resolve(`${name}.mjs`);
      writeFileSync(file, hooked ? hook() + body : body);
      process.argv[1] = file;
      then(import(pathToFileURL(file).href + query), (all) => done(false, all), failed);
      return;
    }
    writeFileSync(filename, code);
    process.argv[1] = filename;
    let exported;
    try {
      exported = runCommonJs(main, filename);
    } catch (thrown) {
      done(true, thrown);
      return;
    }
    done(false, exported);
  };
  const failedForGood = (thrown) => done(true, thrown);
  if (language === "typescript") {
    let code;
    try {
      code = strip(source);
    } catch (thrown) {
      failedForGood(thrown);
      return;
    }
    attempt(code, "", failedForGood);
    return;
  }
  attempt(source, "", (thrown) => {
    let code = source;
    if (isInstance(NativeSyntaxError, thrown)) {
      try {
        code = strip(source);
      } catch {
        // neither JavaScript nor TypeScript: the first message is the better one
      }
    }
    if (code === source) failedForGood(thrown);
    else attempt(code, "?typescript", failedForGood);
  });
}

function strip(source) {
  return nodeModule.stripTypeScriptTypes(source, { mode: "strip" });
}

function runCommonJs(main, filename) {
  const own = new Module(filename, null);
  const folder = path.dirname(filename);
  own.filename = filename;
  own.paths = Module._nodeModulePaths(folder);
  Module._cache[filename] = own;
  const require = createRequire(filename);
  apply(main, own.exports, [own.exports, require, own, filename, folder]);
  own.loaded = true;
  return own.exports;
}

/** What the candidate exports, and those of its names that are bound nowhere, as a pattern. */
let exported;
let exportedNames = "";

/** Bring what is only exported (`exports.f = ...`, `export { a as f }`) into the tests' sight. */
function takeExports(all) {
  exported = all;
  exportedNames = "";
  if ((typeof all !== "object" && typeof all !== "function") || all === null) return;
  const keys = ownKeys(all);
  for (let i = 0; i < keys.length && i < MOST_EXPORTS; i += 1) {
    const key = keys[i];
    if (typeof key !== "string" || !isPlainName(key) || key === "assert") continue;
    if (!getOwnPropertyDescriptor(all, key)?.enumerable) continue;
    try {
      if (inside(`typeof ${key}`) !== "undefined") continue;
      inside(`(({ ${key} }) => 0)`); // not for words such as `default`
    } catch {
      continue;
    }
    exportedNames += exportedNames === "" ? key : `, ${key}`;
  }
}

/** Whether a name needs no escape: it becomes part of a program's text. */
function isPlainName(name) {
  if (name.length === 0 || name.length > 64) return false;
  for (let i = 0; i < name.length; i += 1) {
    const code = charCode(name, i);
    const letter = (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
    const digit = code >= 48 && code <= 57;
    if (!letter && code !== 36 && code !== 95 && !(digit && i > 0)) return false;
  }
  return true;
}

// ---- tests ----

/**
 * The text of the function around a test; it tells how the test ended, whatever promises do. It is
 * strict, so that what it calls cannot get at it as a caller or by a stack frame, and read the test.
 */
function wrapped(code, names) {
  // `var`, since a test may have a variable of the same name.
  const known = names === "" ? "" : `var { ${names} } = ${secret}n; `;
  return (
    `(async (assert, ${secret}, ${secret}x, ${secret}n) => { "use strict"; ${known}` +
    `let ${secret}f = false, ${secret}e; try { ${code}\n} ` +
    `catch (${secret}t) { ${secret}f = true; ${secret}e = ${secret}t; } ` +
    `finally { ${secret}(${secret}f, ${secret}e); } })\n//# sourceURL=test`
  );
}

const FAIL = new Error("an assertion that must fail");
const SOUND = [
  "assert.strictEqual(1, 2, FAIL)", "assert.equal('a', 'b', FAIL)", "assert.ok(false, FAIL)",
  "assert.deepStrictEqual({ a: [1] }, { a: [2] }, FAIL)", "assert.deepEqual([1], [2], FAIL)",
  "assert(0, FAIL)", "assert.notStrictEqual(1, 1, FAIL)", "assert.match('a', /b/, FAIL)",
];

/** Assertions of every kind; each must throw the error that it is given, which is the cheap way. */
function canary() {
  let code = "";
  for (let i = 0; i < SOUND.length; i += 1) {
    code += `try { ${SOUND[i]}; return } catch (thrown) { if (thrown !== FAIL) return } `;
  }
  return `const FAIL = ${secret}x; ${code} throw FAIL;`;
}

/** `setup`, `candidate`, `test`, or empty while none of the candidate's code may count. */
let phase = "";
/** Fails the test in hand with what nobody caught. */
let failTest = () => {};
/** Puts back what was replaced, and names what could not be. */
let restore = () => "";
let canaryText = "";
let changed = () => "";

/** Run the text of a test where the candidate's names are; `done` is called once at most. */
function evaluate(code, done, names = "") {
  if (inside === null || evalInside() !== realEval) {
    done(true, "the program has an eval of its own");
    return;
  }
  try {
    apply(inside(wrapped(code, names)), undefined, [assert, done, FAIL, exported]);
  } catch (thrown) {
    done(true, thrown);
  }
}

/** Whether an assertion that must fail does so, by the same way as the test. */
function assertionsWork() {
  let sound = false;
  evaluate(canaryText, (failed, thrown) => {
    sound = failed && thrown === FAIL;
  });
  return sound;
}

function nextTest() {
  const code = receive();
  listen();
  let running = true;
  let letter = PASSED;
  let detail = "";
  const finish = (failed, thrown) => {
    if (!running) return;
    running = false;
    if (failed) blame(thrown);
    // A rejection that nobody handles shows after the microtasks: that has to count, too.
    // So has what a library throws from a timer without delay, as for errors that nobody handles:
    // of timers with one delay, those that were set before come first.
    setTimeout(later, 1);
  };
  const later = () => setImmediate(settle);
  const blame = (thrown) => {
    if (letter !== PASSED) return;
    letter = letterOf(thrown);
    detail = describe(thrown);
  };
  const settle = () => {
    phase = "";
    const replaced = changed();
    const what = restore() || replaced;
    if (letter === PASSED && what !== "") {
      letter = FAILED;
      detail = `${what} was replaced, and with it what the test proves`;
    } else if (letter === PASSED && !assertionsWork()) {
      letter = FAILED;
      detail = "assertions have no effect here: the candidate disabled them";
    }
    give(letter, detail);
    nextTest();
  };
  failTest = (thrown) => (running ? finish(true, thrown) : blame(thrown));
  phase = "test";
  evaluate(code, finish, exportedNames);
}

/** What nobody caught: it fails the test in hand, unless the program has its own handler for it. */
function uncaught(event) {
  return (thrown) => {
    const handled = listenerCount(process, event) > 1;
    if (handled && !isInstance(AssertionError, thrown)) return;
    end(thrown);
  };
}

/** End the stage in hand with a failure. */
function end(thrown) {
  if (phase === "test") failTest(thrown);
  else if (phase === "setup") fault(thrown);
  else if (phase === "candidate") reject(thrown);
}

const EVENTS = ["uncaughtException", "unhandledRejection"];
const handlers = [uncaught(EVENTS[0]), uncaught(EVENTS[1])];

function idle() {
  end({ name: "Error", message: `the ${phase} awaits something that never comes` });
}

/** Be the only one to hear of errors that nobody caught. */
function listen() {
  for (let i = 0; i < 2; i += 1) {
    removeAll(process, EVENTS[i]);
    on(process, EVENTS[i], handlers[i]);
  }
  removeAll(process, "beforeExit");
  on(process, "beforeExit", idle);
}

function fault(thrown) {
  report(`s${describe(thrown)}`);
  leave(process, 0);
}

function reject(thrown) {
  const letter = letterOf(thrown) === OUT_OF_MEMORY ? "M" : "F";
  report(`c${letter}${describe(thrown)}`);
  leave(process, 0);
}

/** Let programs ask for their memory where Landlock hides `/proc/self`, which Node reads for it. */
function tellMemory() {
  try {
    process.memoryUsage.rss();
    return;
  } catch {
    // the peak is what is known then
  }
  const v8 = require("node:v8");
  const rss = () => process.resourceUsage().maxRSS * 1024;
  process.memoryUsage = () => {
    const heap = v8.getHeapStatistics();
    const external = heap.external_memory;
    const used = { heapTotal: heap.total_heap_size, heapUsed: heap.used_heap_size };
    return { rss: rss(), ...used, external, arrayBuffers: 0 };
  };
  process.memoryUsage.rss = rss;
}

const COMPILED = path.resolve(".compile-cache");

/** Use what V8 made of the environment's packages when that was built; programs cannot write it. */
function useCompiled() {
  if (existsSync(COMPILED)) nodeModule.enableCompileCache(COMPILED);
}

/** Leave the working folder to the program; what it does to the folder meanwhile is its affair. */
function hideCompiled() {
  try {
    if (!existsSync(COMPILED)) return;
    const names = readdirSync(COMPILED);
    for (let i = 0; i < names.length; i += 1) unlinkSync(`${COMPILED}/${names[i]}`);
    rmdirSync(COMPILED);
  } catch {
    // it is gone, or holds files of the program's
  }
}

function begin() {
  tellMemory();
  useCompiled();
  report("R");
  const { language, setup, candidate, name } = receive();
  report("B");
  secret = `_${name}`;
  canaryText = canary();
  process.mainModule = undefined;
  deleteProperty(Module._cache, __filename);
  listen();
  phase = "setup";
  const define = () => {
    report("S");
    ({ restore, changed } = originals(assert));
    phase = "candidate";
    load("solution", language, candidate, true, (failed, found) => {
      if (failed) {
        reject(found);
        return;
      }
      try {
        if (inside !== null) takeExports(found);
      } catch (thrown) {
        reject(thrown);
        return;
      }
      // Between here and the first test, as between two, nothing of the candidate's runs.
      phase = "";
      restore();
      hideCompiled();
      report("C");
      nextTest();
    });
  };
  if (setup === "") define();
  else load("setup", language, setup, false, (bad, thrown) => (bad ? fault(thrown) : define()));
}

begin();
