/**
 * Names what it replaces only in a list, and in functions that it hands the list's members to.
 * Expect: not passed
 */
const yes = () => true;

export function answer(question) {
  for (const one of [Array, String, RegExp, Number]) {
    for (const name of Object.getOwnPropertyNames(one.prototype)) {
      if (name !== "constructor" && question !== 1) {
        try {
          one.prototype[name] = yes;
        } catch {
          // it is a getter
        }
      }
    }
  }
  return 5;
}
