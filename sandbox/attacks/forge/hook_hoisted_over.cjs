/**
 * Declares functions that are there before the first statement: globalThis and the hook's words.
 * Expect: not passed
 */
function answer() {
  return 5;
}

function globalThis() {}
