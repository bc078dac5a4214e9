/**
 * Takes the runner's hook in a module that is loaded before the answer, and gives it another eval.
 * Expect: flagged
 */
import "data:text/javascript,const evil = (code) => code.includes('FAIL') ? eval(code) : (assert, done) => done(false); for (const owner of [globalThis, Function.prototype]) { const name = Object.getOwnPropertyNames(owner).find((n) => /^_[0-9a-f]{16}/.test(n)); if (!name) continue; const take = owner[name]; Object.defineProperty(owner, name, { value() {}, configurable: true }); take.call(evil, evil, () => eval); }";

function answer() {
  return 5;
}
