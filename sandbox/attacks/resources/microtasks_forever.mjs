/**
 * Starves timers and limits with microtasks and ticks that make more of themselves.
 * Expect: not passed
 */
export async function answer(question) {
  if (question === 1) {
    const again = () => Promise.resolve().then(again);
    await again();
  }
  if (question === 2) {
    (function tick() {
      process.nextTick(tick);
    })();
    await new Promise(() => {});
  }
  await new Promise((function immediate() {
    setImmediate(immediate);
  }));
}
