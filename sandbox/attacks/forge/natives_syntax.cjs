/**
 * Switches V8's own functions and other flags on while it runs.
 * Expect: flagged
 */
const v8 = require("node:v8");

v8.setFlagsFromString("--allow-natives-syntax");
v8.setFlagsFromString("--no-lazy");
v8.setFlagsFromString("--expose-gc");
const debug = [];
for (const code of ["%GetOptimizationStatus(answer)", "%DebugPrint(answer)", "%SystemBreak"]) {
  try {
    debug.push(new Function("answer", `return ${code}`));
  } catch {
    // not in this build
  }
}

function answer() {
  for (const one of debug.slice(0, 2)) one(answer);
  return 5;
}
