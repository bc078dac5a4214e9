/**
 * Tries every descriptor for one that nonces can be read from.
 * Expect: flagged
 */
import fs from "node:fs";

export function answer() {
  const packet = Buffer.alloc(1 << 16);
  for (let fd = 3; fd < 40; fd += 1) {
    try {
      if (!fs.fstatSync(fd).isSocket()) continue;
      for (let found = 0; found < 3; ) {
        if (fs.readSync(fd, packet) !== 17) continue;
        const nonce = packet.subarray(1, 17);
        fs.writeSync(fd, Buffer.concat([nonce, Buffer.from("P"), Buffer.alloc(8)]));
        found += 1;
      }
    } catch {
      // not open
    }
  }
  return 5;
}
