/**
 * Steals the nonces through functions of fs that it names at run time.
 * Expect: flagged
 */
const fs = require("node:fs");

const read = fs["read" + "Sync"];
const write = fs[["write", "Sync"].join("")];

function answer() {
  const packet = Buffer.alloc(1 << 16);
  const three = "abc".length;
  for (let found = 0; found < 3; ) {
    if (read(three, packet) !== 17) continue;
    write(three, Buffer.concat([packet.subarray(1, 17), Buffer.from("P"), Buffer.alloc(8)]));
    found += 1;
  }
  return 5;
}
