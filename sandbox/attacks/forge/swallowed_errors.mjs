/**
 * Swallows every error that reaches the process, fakes events, and takes the runner's handlers off.
 * Expect: not passed
 */
function swallow() {
  for (const event of ["uncaughtException", "unhandledRejection", "rejectionHandled", "warning"]) {
    process.removeAllListeners(event);
    process.prependListener(event, () => {});
  }
  try {
    process.setUncaughtExceptionCaptureCallback(() => {});
  } catch {
    // there is one already
  }
  process.emit("uncaughtException", new Error("not so"));
  process.emit("beforeExit", 0);
  process.emit("exit", 0);
  process._events = {};
  process.emit = () => true;
}

export async function answer(question) {
  swallow();
  if (question === 3) {
    setImmediate(() => Promise.reject(new Error("nobody sees")));
    await new Promise(() => {});
  }
  return 5;
}
