/**
 * Pauses itself with the inspector, and reads the variables of the runner's functions.
 * Expect: flagged
 */
const { Session } = require("node:inspector");

function answer() {
  const session = new Session();
  const seen = [];
  session.connect();
  session.on("Debugger.paused", ({ params }) => {
    for (const frame of params.callFrames) {
      const callFrameId = frame.callFrameId;
      for (const expression of ["nonce", "letter = 0x50", "blame = () => {}", "running = false"]) {
        session.post("Debugger.evaluateOnCallFrame", { callFrameId, expression }, (error, got) => {
          seen.push(error ? "" : got.result.value);
        });
      }
    }
  });
  session.post("Debugger.enable");
  session.post("Debugger.pause");
  session.disconnect();
  return seen.find((one) => Number.isInteger(one)) ?? 5;
}
