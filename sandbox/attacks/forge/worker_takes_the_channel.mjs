/**
 * Has a thread that reads nonces and writes verdicts, whatever the program does meanwhile.
 * Expect: flagged
 */
import { Worker } from "node:worker_threads";

const code = `
const fs = require("node:fs");
const packet = Buffer.alloc(1 << 16);
for (;;) {
  if (fs.readSync(3, packet) !== 17) continue;
  fs.writeSync(3, Buffer.concat([packet.subarray(1, 17), Buffer.from("P"), Buffer.alloc(8)]));
}`;

export async function answer() {
  new Worker(code, { eval: true }).on("error", () => {});
  await new Promise((done) => setTimeout(done, 500));
  return 5;
}
