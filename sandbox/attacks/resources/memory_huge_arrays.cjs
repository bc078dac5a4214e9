/**
 * Makes arrays, maps and objects that are too large for the heap.
 * Expect: not passed
 */
function answer(question) {
  if (question === 1) return new Array(2 ** 32 - 1).fill(0);
  const all = question === 2 ? new Map() : {};
  for (let i = 0; ; i += 1) {
    if (question === 2) all.set(i, [i]);
    else all[`key ${i}`] = [i];
  }
}
