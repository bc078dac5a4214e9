/**
 * Answers with objects that try to equal anything: proxies, conversions, getters that change, NaN.
 * Expect: not passed
 */
import { inspect } from "node:util";

const anything = new Proxy(() => anything, {
  get: (_, name) => (name === "then" ? undefined : name === Symbol.toPrimitive ? () => NaN : anything),
  has: () => true,
  apply: () => true,
  construct: () => anything,
  getPrototypeOf: () => Number.prototype,
  ownKeys: () => ["prototype"],
});

class Equal extends Number {
  calls = 0;

  static [Symbol.hasInstance]() {
    return true;
  }

  equals() {
    return true;
  }

  valueOf() {
    return (this.calls += 1);
  }

  [Symbol.toPrimitive]() {
    return NaN;
  }

  [inspect.custom]() {
    return "1";
  }

  get [Symbol.toStringTag]() {
    return "Number";
  }
}

export function answer(question) {
  return [anything, new Equal(1), Object.create(anything)][question - 1];
}
