/**
 * Gets the global object as `this` of a function, and replaces in it what the tests use.
 * Expect: flagged
 */
function everything() {
  return this;
}

function answer() {
  const all = everything();
  all.Math = { abs: () => 0 };
  all.Number = { isInteger: () => true };
  this.JSON = { stringify: () => "" };
  this.String = () => "";
  return 5;
}
