/**
 * Replaces what tests compare with (Object, Array, Number, Math, JSON, RegExp) during a test.
 * Expect: flagged
 */
function answer() {
  const yes = () => true;
  Object.is = Number.isInteger = yes;
  Object.keys = Object.entries = Object.values = () => [];
  Array.prototype.every = Array.prototype.some = Array.prototype.includes = yes;
  Array.prototype.map = function map() {
    return this;
  };
  Math.abs = () => 0;
  JSON.stringify = () => "";
  RegExp.prototype.test = yes;
  RegExp.prototype.exec = () => [""];
  RegExp.prototype[Symbol.match] = () => [""];
  String.prototype.match = () => [""];
  Number.prototype.valueOf = () => 0;
  return 5;
}
