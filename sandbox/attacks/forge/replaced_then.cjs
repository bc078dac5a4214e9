/**
 * Replaces Promise.prototype.then, catch, finally, constructor and Symbol.species.
 * Expect: not passed
 */
const calls = (done) => {
  if (typeof done === "function") done();
};

function replace() {
  const { prototype } = Promise;
  prototype.then = prototype.catch = prototype.finally = calls;
  Object.defineProperty(prototype, "constructor", {
    configurable: true,
    get: () => ({ [Symbol.species]: class { constructor(run) { run(calls, () => {}); } } }),
  });
  Promise.resolve = Promise.reject = () => ({ then: calls });
}

replace();

async function answer() {
  replace();
  return 5;
}
