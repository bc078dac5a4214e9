/**
 * Closes the channel, and opens files that get its number, with the packets that the runner awaits.
 * Expect: not passed
 */
const fs = require("node:fs");

fs.writeFileSync("packets", "P".repeat(17));

function answer() {
  fs.closeSync(3);
  const file = fs.openSync("packets", "r+");
  return file;
}
