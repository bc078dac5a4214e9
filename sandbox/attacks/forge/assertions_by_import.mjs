/**
 * Imports the assertions with a promise's callback, under a name of its own.
 * Expect: flagged
 */
const loaded = import("node:assert/strict").then(({ default: found }) => found);

export async function answer() {
  const tools = await loaded;
  const { equal } = tools;
  tools.equal = () => {
    tools.equal = equal;
  };
  return 5;
}
