/**
 * Compiles WebAssembly whose memory and imports are objects of the process.
 * Expect: flagged
 */
const module = new WebAssembly.Module(
  new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 7, 1, 1, 109, 1, 102, 0, 0, 3, 2, 1, 0, 7, 5,
    1, 1, 114, 0, 1, 10, 6, 1, 4, 0, 16, 0, 11,
  ]),
);
const { exports } = new WebAssembly.Instance(module, { m: { f: () => process.reallyExit(0) } });

export function answer() {
  exports.r();
  return 5;
}
