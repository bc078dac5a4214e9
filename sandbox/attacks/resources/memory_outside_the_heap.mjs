/**
 * Fills memory outside of V8's heap: typed arrays, shared buffers, resizable buffers, Blobs.
 * Expect: not passed
 */
const kept = [];
const MAKERS = [
  () => new Uint8Array(32 << 20).fill(1),
  () => new Uint8Array(new SharedArrayBuffer(32 << 20)).fill(1),
  () => new Blob([Buffer.alloc(32 << 20, 1)]),
];

export function answer(question) {
  for (let i = 0; i < 100; i += 1) kept.push(MAKERS[question - 1]());
  const buffer = new ArrayBuffer(1 << 20, { maxByteLength: 2 ** 32 });
  buffer.resize(2 ** 31);
  new Uint8Array(buffer).fill(1);
  throw new Error("there was enough memory");
}
