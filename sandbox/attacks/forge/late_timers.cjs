/**
 * Leaves timers, immediates and microtasks behind that replace assertions in a later test.
 * Expect: flagged
 */
const assert = require("node:assert");

function replace() {
  for (const name of ["equal", "strictEqual", "deepEqual", "deepStrictEqual", "ok", "match"]) {
    const right = assert.strict[name];
    assert.strict[name] = assert[name] = () => {
      assert.strict[name] = assert[name] = right;
    };
  }
}

async function answer(question) {
  const timer = setInterval(replace, 0);
  setImmediate(replace);
  setTimeout(() => process.exit(0), 1500).unref();
  await new Promise((done) => setTimeout(done, 3));
  clearInterval(question === 1 ? undefined : timer);
  return 5;
}
