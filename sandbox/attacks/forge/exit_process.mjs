/**
 * Leaves with status 0 at once, and once more in the handler of the exit.
 * Expect: not passed
 */
process.on("exit", () => process.reallyExit(0));
process.exitCode = 0;
process.exit(0);
