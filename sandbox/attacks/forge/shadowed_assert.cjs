/**
 * Declares assert, eval, undefined, helpers and tests of its own, under the names that tests have.
 * Expect: not passed
 */
var undefined = 5;
var NaN = 5;
function assert() {}
assert.equal = assert.ok = assert.deepEqual = assert.match = () => {};
function test() {}
async function testValue() {}
const got = 5;
const results = [5];
const said = () => 5;
const FAIL = null;
const done = () => {};
function answer() {
  return got;
}
