/**
 * Blocks the only thread: on shared memory, on a pipe, on a child, on a lock of its own.
 * Expect: not passed
 */
const { spawnSync } = require("node:child_process");

function answer(question) {
  if (question === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  if (question === 2) spawnSync("sleep", ["1000"]);
  spawnSync("sh", ["-c", "mkfifo pipe; cat pipe"]);
  return 5;
}
