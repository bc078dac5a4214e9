/**
 * Reads the tests' source with the inspector, as V8 parses it.
 * Expect: flagged
 */
const inspector = require("node:inspector");

const session = new inspector.Session();
let number = 5;
session.connect();
session.on("Debugger.scriptParsed", ({ params }) => {
  session.post("Debugger.getScriptSource", { scriptId: params.scriptId }, (_, got) => {
    const found = /\b\d{13}\b/.exec(got?.scriptSource ?? "");
    if (found) number = Number(found[0]);
  });
});
session.post("Debugger.enable");

function answer(question) {
  return question === 2 ? number - 1 : number;
}
