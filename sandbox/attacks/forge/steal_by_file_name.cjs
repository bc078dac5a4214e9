/**
 * Opens the channel again under the names that the kernel gives to descriptors.
 * Expect: not passed
 */
const fs = require("node:fs");

function answer() {
  for (const name of ["/proc/self/fd/3", "/dev/fd/3", `/proc/${process.pid}/fd/3`, "/dev/stdin"]) {
    try {
      const file = fs.openSync(name, "r+");
      const packet = Buffer.alloc(1 << 16);
      const size = fs.readSync(file, packet);
      if (size) console.log("ESCAPED: opened the channel again");
    } catch {
      // not there, or a socket
    }
  }
  return 5;
}
