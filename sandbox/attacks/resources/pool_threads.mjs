/**
 * Gives Node's pool of threads more work than there is time for, and does not wait for it.
 * Expect: not passed
 */
import { pbkdf2 } from "node:crypto";
import { deflate } from "node:zlib";

export function answer() {
  for (let i = 0; i < 50; i += 1) {
    pbkdf2("a", "b", 50_000_000, 64, "sha512", () => {});
    deflate(Buffer.alloc(8 << 20, i), () => {});
  }
  return 5;
}
