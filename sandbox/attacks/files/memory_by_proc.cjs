/**
 * Reads and writes the memory of its own and other processes by the files of the kernel.
 * Expect: contained
 */
const fs = require("node:fs");

function look(pid) {
  for (const name of ["mem", "environ", "maps", "auxv", "syscall", "cmdline", "fd/0", "root/etc"]) {
    try {
      const text = fs.readFileSync(`/proc/${pid}/${name}`, "latin1");
      if (String(pid) !== "self" && text.includes(bait.VARIABLE)) {
        console.log(`ESCAPED: read /proc/${pid}/${name}`);
      }
    } catch {
      // not allowed
    }
  }
  try {
    const memory = fs.openSync(`/proc/${pid}/mem`, "r+");
    if (String(pid) !== "self") console.log(`ESCAPED: opened the memory of ${pid}`);
    fs.closeSync(memory);
  } catch {
    // not allowed
  }
}
for (const pid of ["self", process.ppid, 1, bait.PROCESS]) look(pid);
