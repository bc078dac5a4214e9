/**
 * Replaces the function that all of Node's events go through, so that no rejection is seen.
 * Expect: flagged
 */
const { EventEmitter } = require("events");

function answer() {
  EventEmitter.prototype.emit = () => true;
  Promise.reject(new Error("nobody sees this"));
  return 5;
}
