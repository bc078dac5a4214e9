/**
 * Opens terminals, types into that of the evaluator, and makes a pseudo-terminal.
 * Expect: contained
 */
const fs = require("node:fs");
const tty = require("node:tty");

for (const name of ["/dev/tty", "/dev/console", "/dev/pts/0", "/dev/ptmx", "/dev/tty0"]) {
  try {
    const file = fs.openSync(name, "r+");
    if (name !== "/dev/ptmx") console.log(`ESCAPED: opened ${name}`);
    new tty.ReadStream(file).setRawMode(true);
  } catch {
    // not there
  }
}
