/**
 * Fills the disk with large files, sparse files, many files and deep folders.
 * Expect: not passed
 */
import fs from "node:fs";

export function answer(question) {
  if (question === 1) {
    for (let i = 0; i < 200; i += 1) fs.writeFileSync(`large${i}`, Buffer.alloc(15 << 20, 1));
  }
  if (question === 2) {
    for (let i = 0; i < 100_000; i += 1) fs.closeSync(fs.openSync(`many${i}`, "w"));
  }
  fs.writeFileSync("sparse", "x");
  fs.truncateSync("sparse", 2 ** 40);
  throw new Error("there was room for all");
}
