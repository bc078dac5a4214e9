/**
 * Becomes another user by calls, by programs with special rights, and by namespaces.
 * Expect: contained
 */
const fs = require("node:fs");
const { spawnSync } = require("node:child_process");

const attempts = [
  () => process.setuid(0),
  () => process.setgid(0),
  () => process.seteuid(0),
  () => process.setegid(0),
  () => process.initgroups("root", 0),
  () => process.setgroups([0, 6]),
];
for (const attempt of attempts) {
  try {
    attempt();
    if (process.getuid() === 0) console.log("ESCAPED: is root");
  } catch {
    // not allowed
  }
}
const commands = [
  ["sudo", "-n", "id", "-u"], ["su", "-c", "id -u"], ["unshare", "-U", "id", "-u"],
  ["unshare", "-m", "id", "-u"], ["mount", "-t", "tmpfs", "none", "/mnt"], ["chroot", "/", "id", "-u"],
  ["nsenter", "-t", "1", "-m", "id", "-u"], ["pkexec", "id", "-u"],
];
for (const [command, ...words] of commands) {
  const { status, stdout } = spawnSync(command, words, { timeout: 300 });
  if (status === 0) console.log(`ESCAPED: ${command} works: ${stdout}`);
}
fs.copyFileSync("/bin/sh", "shell");
for (const change of [() => fs.chownSync("shell", 0, 0), () => fs.chmodSync("shell", 0o6755)]) {
  try {
    change();
  } catch {
    // not allowed
  }
}
const shell = spawnSync("./shell", ["-c", "id -u"], { encoding: "utf8" });
if (shell.stdout === "0\n" && process.getuid() !== 0) console.log("ESCAPED: a shell of root");
