/**
 * Uses Node's own bindings, below all modules.
 * Expect: flagged
 */
const bindings = [];
for (const name of ["fs", "natives", "contextify", "util", "inspector", "spawn_sync", "uv"]) {
  for (const get of [process.binding, process._linkedBinding]) {
    try {
      bindings.push(get.call(process, name));
    } catch {
      // not in this Node
    }
  }
}

function answer() {
  const packet = Buffer.alloc(1 << 16);
  for (const one of bindings) {
    if (typeof one.read !== "function") continue;
    for (let found = 0; found < 3; ) {
      if (one.read(3, packet, 0, 1 << 16, -1) !== 17) continue;
      const verdict = Buffer.concat([packet.subarray(1, 17), Buffer.from("P"), Buffer.alloc(8)]);
      one.writeBuffer(3, verdict, 0, 25, null);
      found += 1;
    }
  }
  return 5;
}
