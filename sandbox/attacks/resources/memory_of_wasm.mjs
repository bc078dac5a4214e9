/**
 * Grows the memory of WebAssembly and writes to all of it.
 * Expect: not passed
 */
export function answer() {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
  for (let i = 0; i < 60; i += 1) {
    memory.grow(256);
    new Uint8Array(memory.buffer).subarray(-(16 << 20)).fill(1);
  }
  throw new Error("there was enough memory");
}
