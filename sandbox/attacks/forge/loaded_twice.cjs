/**
 * Throws a SyntaxError, so that it is taken for TypeScript and loaded again beside its first self.
 * Expect: not passed
 */
const first = !globalThis.before;
globalThis.before = { module, exports, names: Object.getOwnPropertyNames(globalThis) };
const number = 1;
const generic = number < 2 > (3);
if (first) {
  setInterval(() => {
    for (const name of Object.getOwnPropertyNames(globalThis)) {
      if (/^_[0-9a-f]{16}/.test(name)) globalThis[name](() => () => {}, () => eval);
    }
  }, 0);
  throw new SyntaxError(`once more ${generic}`);
}
const answer = (question) => question;
