/**
 * Recurses until the stack is full, through getters, proxies, JSON and nested values.
 * Expect: not passed
 */
let nested = [];
for (let i = 0; i < 100_000; i += 1) nested = [nested];
const bottomless = new Proxy({}, { get: (target, name, self) => self[name] });

export function answer(question) {
  if (question === 1) return bottomless.x;
  if (question === 2) return nested;
  const deep = () => {
    try {
      return deep();
    } finally {
      deep();
    }
  };
  return deep();
}
