/**
 * Signals processes that are not its own, the bait first.
 * Expect: contained
 */
const { spawnSync } = require("node:child_process");

function reached(pid, signal) {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

if (reached(bait.PROCESS, 0) || reached(bait.PROCESS, "SIGKILL")) {
  console.log("ESCAPED: signalled the bait");
} else {
  for (const pid of [process.ppid, 1]) {
    if (pid > 0 && reached(pid, 0)) console.log(`ESCAPED: may signal process ${pid}`);
  }
  spawnSync("sh", ["-c", `kill -9 ${bait.PROCESS}; kill -CONT -${bait.PROCESS}`]);
  reached(0, "SIGTERM");
}
