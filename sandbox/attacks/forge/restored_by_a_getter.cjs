/**
 * Hides replaced functions behind getters that show the right one to whoever puts them back.
 * Expect: flagged
 */
function hide(owner, name, fake) {
  const right = owner[name];
  Object.defineProperty(owner, name, {
    configurable: true,
    get() {
      return new Error("who asks").stack.includes("originals") ? right : fake;
    },
  });
}

hide(Math, "abs", () => 0);
hide(Number, "isInteger", () => true);
hide(Array.prototype, "map", () => []);
hide(Array.prototype, "every", () => true);
hide(JSON, "stringify", () => "");

function answer() {
  return 5;
}
