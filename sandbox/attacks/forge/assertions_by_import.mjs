/**
 * Imports the assertions with a promise's callback, under a name of its own.
 * Expect: flagged
 */
let tools;
import("node:assert/strict").then((found) => {
  tools = found.default;
});

export async function answer() {
  await null;
  const { equal } = tools;
  tools.equal = () => {
    tools.equal = equal;
  };
  return 5;
}
