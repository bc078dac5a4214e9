/**
 * Ends the process during each test: in a finally, in a getter of what it throws, in a microtask.
 * Expect: not passed
 */
process.on("exit", (code) => process.exit(code * 0));
process.on("beforeExit", () => process.exit(0));
function answer(question) {
  if (question === 1) {
    try {
      throw new Error("first");
    } finally {
      process.exit(0);
    }
  }
  if (question === 2) {
    const thrown = new Error("second");
    Object.defineProperty(thrown, "message", { get: () => process.reallyExit(0) });
    throw thrown;
  }
  queueMicrotask(() => process.exit(0));
  return 5;
}
