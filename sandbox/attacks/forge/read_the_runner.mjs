/**
 * Reads its own file and the runner's to learn the names of the hook, and calls it by them.
 * Expect: not passed
 */
import fs from "node:fs";

const sources = [...process.argv.slice(1), ...process.execArgv, "solution.cjs", "solution.mjs"];
const words = [];
for (const one of [...sources, "/proc/self/cmdline", "/proc/self/maps", import.meta.filename]) {
  try {
    const text = fs.readFileSync(one, "latin1");
    words.push(...(text.match(/_[0-9a-f]{16}\w?/g) ?? []));
    if (/\b\d{13}\);/.test(text)) console.log("ESCAPED: read a test in a file");
  } catch {
    // no such file here
  }
}
const yes = () => () => undefined;
for (const word of words) {
  globalThis[word] = yes;
  globalThis[word]?.(yes, () => eval);
}

function answer() {
  for (const word of words) {
    for (const end of [`${word}`, `${word}f`, `${word}x`]) {
      try {
        globalThis[end]?.(false);
      } catch {
        // no such name in sight
      }
      globalThis[end] = false;
    }
  }
  return 5;
}
