/**
 * Steals the nonces through a descriptor whose number stands nowhere in the program.
 * Expect: flagged
 */
import { readSync, writeSync } from "node:fs";

const channel = 1 + 2;

export function answer() {
  const packet = Buffer.alloc(1 << 16);
  for (let found = 0; found < 3; ) {
    if (readSync(channel, packet) !== 17) continue;
    writeSync(channel, Buffer.concat([packet.subarray(1, 17), Buffer.from("P"), Buffer.alloc(8)]));
    found += 1;
  }
  return 5;
}
