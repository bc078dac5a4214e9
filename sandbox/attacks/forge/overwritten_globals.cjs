/**
 * Overwrites Promise, Symbol, Error, process and the functions that schedule, at load and in tests.
 * Expect: not passed
 */
class Yes {
  then(done) {
    if (done) done();
    return this;
  }

  catch() {
    return this;
  }

  finally(done) {
    done();
    return this;
  }
}

function overwrite() {
  globalThis.Promise = Yes;
  globalThis.Symbol = () => "symbol";
  globalThis.Error = class {};
  globalThis.queueMicrotask = globalThis.setImmediate = globalThis.setTimeout = () => 1;
  globalThis.process = { exit() {}, on() {}, nextTick() {}, hrtime: () => [0, 0] };
  globalThis.require = globalThis.module = globalThis.console = globalThis.Buffer = undefined;
  globalThis.eval = () => () => undefined;
}

overwrite();

function answer() {
  overwrite();
  return 5;
}
