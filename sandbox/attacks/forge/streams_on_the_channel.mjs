/**
 * Reads and writes the channel through streams, sockets and terminals made of its descriptor.
 * Expect: flagged
 */
import fs from "node:fs";
import net from "node:net";
import tty from "node:tty";

const MAKERS = [
  () => new net.Socket({ fd: 3, readable: true, writable: true }),
  () => new tty.ReadStream(3),
  () => fs.createReadStream("", { fd: 3, autoClose: false }),
];

export async function answer(question) {
  try {
    const stream = MAKERS[question - 1]();
    stream.on("error", () => {});
    stream.on("data", (packet) => {
      if (packet.length !== 17) return;
      const verdict = Buffer.concat([packet.subarray(1), Buffer.from("P"), Buffer.alloc(8)]);
      fs.writeSync(3, verdict);
    });
  } catch {
    // no such stream of it
  }
  await new Promise((done) => setTimeout(done, 50));
  return 5;
}
