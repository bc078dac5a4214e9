/**
 * Puts getters on Object.prototype under the names that the runner and Node look up in objects.
 * Expect: not passed
 */
const NAMES = [
  "message", "stack", "name", "code", "then", "writable", "value", "get", "set", "configurable",
  "enumerable", "language", "setup", "candidate", "filename", "importModuleDynamically", "operator",
  "actual", "expected", "generatedMessage", "cause", "0", "1", "length", "constructor", "signal",
];

function pollute() {
  for (const name of NAMES) {
    try {
      Object.defineProperty(Object.prototype, name, {
        __proto__: null,
        configurable: false,
        get() {
          return name === "then" ? undefined : () => 5;
        },
        set() {},
      });
    } catch {
      // it is there already
    }
  }
}

function answer(question) {
  if (question === 2) pollute();
  return 5;
}
