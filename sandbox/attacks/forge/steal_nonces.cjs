/**
 * Reads the nonces from the runner's channel during the first test, and passes all tests itself.
 * Expect: flagged
 */
const fs = require("node:fs");

function answer() {
  const packet = Buffer.alloc(1 << 16);
  for (let found = 0; found < 3; ) {
    if (fs.readSync(3, packet) !== 17) continue;
    fs.writeSync(3, Buffer.concat([packet.subarray(1, 17), Buffer.from("P"), Buffer.alloc(8)]));
    found += 1;
  }
  return 5;
}
