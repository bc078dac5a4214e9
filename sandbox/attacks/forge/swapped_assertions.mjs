/**
 * Replaces every function of assert while a test runs, by ones that put the right ones back.
 * Expect: flagged
 */
import assert from "node:assert/strict";

const right = { ...assert };

function swap() {
  for (const name of Object.keys(right)) {
    if (typeof right[name] !== "function") continue;
    assert[name] = () => Object.assign(assert, right);
  }
}

function answer() {
  swap();
  return 5;
}
