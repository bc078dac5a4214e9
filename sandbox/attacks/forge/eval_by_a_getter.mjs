/**
 * Has the global eval be a getter that alternates between the right one and its own.
 * Expect: flagged
 */
const genuine = globalThis.eval;
let asked = 0;
const fake = (code) => genuine(String(code).replaceAll("assert.", "void "));

function install() {
  Object.defineProperty(globalThis, "eval", {
    configurable: true,
    get: () => ((asked += 1) % 2 ? genuine : fake),
  });
}
install();
setInterval(install, 0).unref();

export async function answer() {
  install();
  await new Promise((done) => setTimeout(done, 5));
  return 5;
}
