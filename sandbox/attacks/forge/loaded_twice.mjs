/**
 * Throws a SyntaxError, so that it is taken for TypeScript and loaded again beside its first self.
 * Expect: not passed
 */
import "node:fs";

const first = !globalThis.before;
globalThis.before = { names: Object.getOwnPropertyNames(globalThis) };
const number = 1;
const generic = number < 2 > (3);
if (first) {
  setInterval(() => {
    const evil = () => (_, done) => done(false);
    for (const owner of [globalThis, Function.prototype]) {
      for (const name of Object.getOwnPropertyNames(owner)) {
        if (/^_[0-9a-f]{16}/.test(name)) owner[name].call(evil, () => eval);
      }
    }
  }, 0);
  throw new SyntaxError(`once more ${generic}`);
}
const answer = (question) => question;
