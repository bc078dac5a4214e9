/**
 * Takes the expected value out of the assertion that fails, and answers with it the next time.
 * Expect: not passed
 */
let known = 5;
Error.prepareStackTrace = (error) => {
  if (typeof error.expected === "number") known = error.expected;
  return "";
};

class Told {
  [Symbol.toPrimitive]() {
    return known;
  }

  [Symbol.for("nodejs.util.inspect.custom")](depth, options) {
    if (options && typeof options.expected === "number") known = options.expected;
    return String(known);
  }

  toJSON() {
    return known;
  }
}

function answer(question) {
  return question === 1 ? new Told() : known;
}
