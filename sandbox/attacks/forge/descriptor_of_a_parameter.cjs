/**
 * Steals the nonces in a function that is told the number of the descriptor.
 * Expect: flagged
 */
const { readSync: take, writeSync: give } = require("node:fs");

function steal(fd) {
  const packet = Buffer.alloc(1 << 16);
  for (let found = 0; found < 3; ) {
    if (take(fd, packet) !== 17) continue;
    give(fd, Buffer.concat([packet.subarray(1, 17), Buffer.from("P"), Buffer.alloc(8)]));
    found += 1;
  }
}

function answer() {
  steal(3);
  return 5;
}
