/**
 * Takes the runner's hook in a module that is loaded before the answer, and gives it another eval.
 * Expect: flagged
 */
import "data:text/javascript,const name = Object.getOwnPropertyNames(globalThis).find((n) => /^_[0-9a-f]{16}/.test(n)); const take = globalThis[name]; let calls = 0; const evil = (code) => code.includes('FAIL') ? eval(code) : (assert, done) => done(false); if (take) { Object.defineProperty(globalThis, name, { value() {}, configurable: true }); take(evil, () => eval); }";

function answer() {
  return 5;
}
