/**
 * Gets modules by way of module.require and by constructors of classes that the tests throw.
 * Expect: flagged
 */
const tools = module.require("node:assert").strict;

function answer() {
  const { equal, ok } = tools;
  tools.equal = () => {
    tools.equal = equal;
  };
  tools.ok = () => {
    tools.ok = ok;
  };
  return 5;
}
