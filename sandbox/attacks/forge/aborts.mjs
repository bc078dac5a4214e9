/**
 * Ends with signals and aborts, from code that runs when nobody expects it.
 * Expect: not passed
 */
const registry = new FinalizationRegistry(() => process.abort());
registry.register({}, 1);
process.finalization?.register({ here: 1 }, () => process.reallyExit(0));

export function answer(question) {
  if (question === 1) process.kill(process.pid, "SIGTERM");
  if (question === 2) process.abort();
  process.kill(process.pid, "SIGKILL");
  return 5;
}
