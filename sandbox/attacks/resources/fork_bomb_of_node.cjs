/**
 * Starts Node and shells that start more of themselves, some in sessions of their own.
 * Expect: not passed
 */
const { spawn } = require("node:child_process");

const code = "const { spawn } = require('child_process');" +
  "for (let i = 0; i < 3; i += 1) spawn(process.execPath, ['-e', process.env.CODE]).unref();";

function answer() {
  for (let i = 0; i < 60; i += 1) {
    const options = { detached: i % 2 === 0, stdio: "ignore", env: { CODE: code } };
    spawn(process.execPath, ["-e", code], options).on("error", () => {}).unref();
    spawn("sh", ["-c", "sleep 30 & sleep 30"], options).on("error", () => {}).unref();
  }
  return 5;
}
