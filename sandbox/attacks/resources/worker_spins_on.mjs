/**
 * Leaves a thread that uses a processor after each test is over.
 * Expect: not passed
 */
import { Worker } from "node:worker_threads";

export function answer() {
  new Worker("for (;;);", { eval: true }).unref();
  return 5;
}
