/**
 * Writes every packet that the supervisor knows, and others, long ones and empty ones.
 * Expect: not passed
 */
const fs = require("node:fs");

const words = ["R", "S", "C", "s", "cF", "P", "F", "U", "", "+", "B", "s: blame the data", "K"];

function flood() {
  for (const word of words) {
    for (const text of [word, word.padEnd(25, "\0"), word.padEnd(25, "P"), word.repeat(3000)]) {
      try {
        fs.writeSync(3, text || Buffer.alloc(0));
      } catch {
        // it is closed by now
      }
    }
  }
}

flood();

function answer() {
  flood();
  return 5;
}
