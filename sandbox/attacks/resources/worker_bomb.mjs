/**
 * Starts threads that never end and do nothing but count.
 * Expect: not passed
 */
import { Worker } from "node:worker_threads";

export async function answer() {
  for (let i = 0; i < 100; i += 1) {
    new Worker("for (;;);", { eval: true }).on("error", () => {});
  }
  await new Promise((done) => setTimeout(done, 10_000));
}
