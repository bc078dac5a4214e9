/**
 * Looks for the tests' source in a snapshot of the heap.
 * Expect: flagged
 */
const fs = require("node:fs");
const v8 = require("node:v8");

function answer() {
  const file = v8.writeHeapSnapshot("heap");
  const text = fs.readFileSync(file, "latin1");
  const found = /assert\.equal\(got, (\d{13})/.exec(text);
  return found ? Number(found[1]) : 5;
}
