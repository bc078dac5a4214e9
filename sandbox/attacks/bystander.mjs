/** An honest program that runs beside attacks in JavaScript, on another worker, unaware of them. */
import cp from "node:child_process";
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import nodeAssert from "node:assert/strict";

const OWN = new Set([path.basename(process.argv[1]), "node_modules", ".compile-cache"]);

/** Keep a file for a while, then use a process; throw if anything is odd. */
async function watch() {
  const secret = crypto.randomBytes(16).toString("hex");
  const environment = { ...process.env };
  fs.writeFileSync("own", secret);
  for (let i = 0; i < 10; i += 1) {
    await new Promise((done) => setTimeout(done, 20));
    const names = fs.readdirSync(".").filter((name) => !OWN.has(name));
    nodeAssert.deepEqual(names, ["own"], `foreign files: ${names}`);
    nodeAssert.equal(fs.readFileSync("own", "latin1"), secret, "the file was changed");
  }
  nodeAssert.deepEqual({ ...process.env }, environment, "the environment was changed");
  const shell = cp.spawnSync("sh", ["-c", "exit 7"]);
  nodeAssert.equal(shell.status, 7, "a child did not end as told");
}
