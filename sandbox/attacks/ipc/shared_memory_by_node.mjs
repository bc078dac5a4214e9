/**
 * Reads, changes and leaves shared memory: files in /dev/shm, and segments by the usual tools.
 * Expect: contained
 */
import fs from "node:fs";
import { spawnSync } from "node:child_process";

const ways = [
  () => fs.readFileSync(bait.SHARED_MEMORY, "utf8"),
  () => fs.writeFileSync(bait.SHARED_MEMORY, "changed"),
  () => fs.unlinkSync(bait.SHARED_MEMORY),
  () => fs.writeFileSync("/dev/shm/recode-attack-left", "x"),
  () => fs.mkdirSync("/dev/mqueue/recode-attack-left"),
  () => spawnSync("ipcmk", ["-M", "4096", "-p", "0666"]),
  () => spawnSync("ipcmk", ["-Q"]),
  () => spawnSync("ipcrm", ["-M", String(bait.SYSV_KEY)]),
];
for (const way of ways) {
  try {
    const got = way();
    if (got === bait.CONTENT) console.log("ESCAPED: read the shared memory");
  } catch {
    // not allowed
  }
}
