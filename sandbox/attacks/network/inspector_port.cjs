/**
 * Opens the inspector's port, in itself and by signals in others.
 * Expect: contained
 */
const inspector = require("node:inspector");
const { spawnSync } = require("node:child_process");

try {
  inspector.open(0, "127.0.0.1");
  if (inspector.url()) console.log("ESCAPED: the inspector listens");
} catch {
  // not allowed
}
for (const pid of [process.ppid, 1, bait.PROCESS]) {
  try {
    process._debugProcess(pid);
    console.log(`ESCAPED: process ${pid} was told to open the inspector`);
  } catch {
    // no such process
  }
}
const options = { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" };
const child = spawnSync(process.execPath, ["--inspect=127.0.0.1:0", "-e", "1"], options);
if (/Debugger listening/.test(child.stderr)) console.log("ESCAPED: a child's inspector listens");
