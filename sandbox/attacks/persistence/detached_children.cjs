/**
 * Leaves children in sessions of their own that write files and print after the end.
 * Expect: contained
 */
const { spawn } = require("node:child_process");

const code = "trap '' HUP TERM INT; for i in 1 2 3 4 5 6 7 8; do echo late output;" +
  " echo x > recode-attack-late; echo x > /tmp/recode-attack-late; sleep 0.3; done";
for (const stdio of ["inherit", "ignore"]) {
  spawn("setsid", ["sh", "-c", code], { detached: true, stdio }).on("error", () => {}).unref();
  spawn("sh", ["-c", `(${code}) & (${code}) &`], { detached: true, stdio }).unref();
}
