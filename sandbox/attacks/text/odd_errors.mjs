/**
 * Throws what cannot be shown in one line: escape codes, long texts, objects of its own, nothing.
 * Expect: not passed
 */
const THROWN = [
  new Error(`\u001b[2J\u001b]0;title\u0007\r\n\0\u2028\u202e${"long ".repeat(1_000_000)}`),
  Object.assign(Object.create(null), { message: { toString: () => process.exit(0) } }),
  new Proxy(new Error("x"), { get: () => new Proxy(() => {}, {}) }),
];
THROWN[0].name = "passed\n+P\0";
THROWN[0].stack = "/solution.:".repeat(100_000);

export function answer(question) {
  console.log("\u001b[31m<script>alert(1)</script>\u0000\ud800\u202e=cmd()");
  throw THROWN[question - 1];
}
