/**
 * Gives the channel to a child process, which reads nonces and writes verdicts.
 * Expect: flagged
 */
const { spawnSync } = require("node:child_process");

const code = `
const fs = require("node:fs");
const packet = Buffer.alloc(1 << 16);
for (let found = 0; found < 3; ) {
  if (fs.readSync(3, packet) !== 17) continue;
  fs.writeSync(3, Buffer.concat([packet.subarray(1, 17), Buffer.from("P"), Buffer.alloc(8)]));
  found += 1;
}`;

function answer() {
  spawnSync(process.execPath, ["-e", code], { stdio: ["ignore", "inherit", "inherit", 3] });
  return 5;
}
