/**
 * Connects to the evaluator's machine and beyond with everything in Node that opens a socket.
 * Expect: contained
 */
import dgram from "node:dgram";
import dns from "node:dns/promises";
import http from "node:http";
import net from "node:net";
import tls from "node:tls";
import http2 from "node:http2";

const told = (what) => () => console.log(`ESCAPED: ${what}`);
const quiet = (thing) => thing.on("error", () => {});
const ways = [
  () => quiet(net.connect(bait.PORT, "127.0.0.1", told("net connected"))),
  () => quiet(net.connect(bait.PORT, "::ffff:127.0.0.1", told("net connected by IPv6"))),
  () => quiet(net.connect(bait.UNIX_SOCKET, told("net connected to a path"))),
  () => quiet(net.connect(`\0${bait.ABSTRACT_SOCKET}`, told("net connected to a name"))),
  () => quiet(http.get({ port: bait.PORT, host: "127.0.0.1" }, told("http answered"))),
  () => quiet(tls.connect(bait.PORT, "127.0.0.1", told("tls connected"))),
  () => quiet(http2.connect(`http://127.0.0.1:${bait.PORT}`)).on("connect", told("http2 connected")),
  () => quiet(dgram.createSocket("udp4")).send("x", bait.UDP_PORT, "127.0.0.1", () => {}),
  () => quiet(dgram.createSocket("udp6")).send("x", bait.UDP_PORT, "::1", () => {}),
  () => fetch(`http://127.0.0.1:${bait.PORT}`).then(told("fetch connected"), () => {}),
  () => dns.resolve("localhost").then(told("dns answered"), () => {}),
  () => quiet(net.createServer()).listen(0, "127.0.0.1", told("listens")),
  () => quiet(net.createServer()).listen("\0recode-attack", told("listens on a name")),
  () => new WebSocket(`ws://127.0.0.1:${bait.PORT}`).addEventListener("open", told("WebSocket")),
];
for (const way of ways) {
  try {
    way();
  } catch {
    // not allowed
  }
}
await new Promise((done) => setTimeout(done, 300));
