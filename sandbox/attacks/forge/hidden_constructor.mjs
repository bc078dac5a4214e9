/**
 * Runs text through the constructor of a function, without a suspicious word.
 * Expect: flagged
 */
const Maker = (() => {}).constructor;
const { constructor: AsyncMaker } = async () => {};
const everything = Maker("return this")();

async function answer() {
  const { process } = everything;
  const found = await AsyncMaker("return 5")();
  process.getBuiltinModule("node:assert").strict.equal = () => {};
  return found;
}
