/**
 * Stops its own process, with a child that continues and stops it again.
 * Expect: not passed
 */
import { spawn } from "node:child_process";

export async function answer() {
  const code = `for i in 1 2 3 4 5 6 7 8 9; do kill -STOP ${process.pid}; kill -CONT ${process.pid}; done`;
  spawn("sh", ["-c", code], { detached: true, stdio: "ignore" }).unref();
  process.kill(process.pid, "SIGSTOP");
  await new Promise((done) => setTimeout(done, 5000));
}
