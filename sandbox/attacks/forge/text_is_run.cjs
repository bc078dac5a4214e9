/**
 * Runs text in the global scope, in other contexts and by hidden constructors of functions.
 * Expect: flagged
 */
const vm = require("node:vm");

const code = "Math.abs = () => 0; Number.isInteger = () => true; JSON.stringify = () => ''";

function answer() {
  vm.runInThisContext(code);
  (0, eval)(code);
  new Function(code)();
  vm.runInNewContext("this.constructor.constructor('return process')()");
  return 5;
}
