/**
 * Prints without end: to both outputs, at once and in pieces, through the console and streams.
 * Expect: not passed
 */
import fs from "node:fs";

const line = `${"flood ".repeat(1000)}\n`;
for (let i = 0; i < 3000; i += 1) console.error(line);

export function answer(question) {
  for (let i = 0; i < 20_000; i += 1) {
    if (question === 1) process.stdout.write(line);
    else fs.writeSync(question - 1, line);
  }
  return 5;
}
