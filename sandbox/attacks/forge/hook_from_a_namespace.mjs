/**
 * Calls a module globalThis, so that the runner's hook is looked up in it.
 * Expect: flagged
 */
import globalThis from "data:text/javascript,const take = (evaluate, current) => { const real = (0, eval)('this'); const name = Object.getOwnPropertyNames(real).find((n) => /^_[0-9a-f]{16}/.test(n)); real[name]?.((code) => code.includes('FAIL') ? evaluate(code) : (assert, done) => done(false), current); }; export default new Proxy({}, { get: () => take });";

export function answer() {
  return 5;
}
