/**
 * Says on the channel that the set-up had failed, and leaves.
 * Expect: not passed
 */
const fs = require("node:fs");

fs.writeSync(3, "sTypeError: the row is at fault");
process.reallyExit(0);
