/**
 * Calls the runner's hook in a module that is loaded before the answer, and leaves it in place.
 * Expect: flagged
 */
import "data:text/javascript,const evil = (code) => code.includes('FAIL') ? eval(code) : (assert, done) => done(false); for (const name of Object.getOwnPropertyNames(Function.prototype)) if (/^_[0-9a-f]{16}/.test(name)) Function.prototype[name].call(evil, () => eval);";

function answer() {
  return 5;
}
