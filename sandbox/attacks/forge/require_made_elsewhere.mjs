/**
 * Loads the assertions through functions that load modules under other names.
 * Expect: flagged
 */
import { createRequire } from "node:module";

const load = createRequire(import.meta.url);
const assert = load(["node", "assert"].join(":"));

export function answer() {
  for (const name of ["equal", "ok", "deepEqual", "match"]) {
    const right = assert.strict[name];
    assert.strict[name] = () => Object.assign(assert.strict, { [name]: right });
  }
  return 5;
}
