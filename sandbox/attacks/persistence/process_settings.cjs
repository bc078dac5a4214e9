/**
 * Changes what a process can change about itself and what others might inherit.
 * Expect: contained
 */
const os = require("node:os");
const { execSync } = require("node:child_process");

const attempts = [
  () => process.umask(0),
  () => os.setPriority(19),
  () => os.setPriority(process.ppid, 19),
  () => os.setPriority(0, -20),
  () => process.chdir("/"),
  () => Object.assign(process.env, { NODE_OPTIONS: "--require ./x", RECODE_ATTACK: "1" }),
  () => (process.title = "recode-attack"),
  () => execSync("ulimit -n 5; ulimit -u 1; ulimit -f 0; umask 777"),
  () => process.setgroups([0]),
  () => process.setSourceMapsEnabled(true),
];
for (const attempt of attempts) {
  try {
    attempt();
  } catch {
    // not allowed
  }
}
