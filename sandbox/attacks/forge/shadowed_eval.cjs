/**
 * Has an eval of its own, which changes the text of every test.
 * Expect: not passed
 */
var genuine = globalThis.eval;
var eval = (code) => genuine(String(code).replaceAll("assert", "void"));
let asked = 0;
Object.defineProperty(globalThis, "eval", {
  configurable: true,
  get() {
    asked += 1;
    return asked % 2 ? genuine : eval;
  },
});
function answer() {
  return 5;
}
