/**
 * Declares its own Math, Number, JSON and String, which the tests then use.
 * Expect: flagged
 */
const Math = { abs: () => 0 };
const Number = { isInteger: () => true };
const JSON = { stringify: (all) => `${all}` };
class String {
  match() {
    return [""];
  }
}

export function answer() {
  return 5;
}
