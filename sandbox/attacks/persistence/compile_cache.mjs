/**
 * Has Node keep compiled code, reports and profiles where later programs would find them.
 * Expect: contained
 */
import module from "node:module";
import v8 from "node:v8";

const attempts = [
  () => module.enableCompileCache("/tmp/recode-attack-cache"),
  () => module.enableCompileCache(`${process.cwd()}/recode-attack-cache`),
  () => module.flushCompileCache(),
  () => process.report.writeReport("/tmp/recode-attack-report"),
  () => process.report.writeReport("recode-attack-report"),
  () => (process.report.reportOnSignal = true),
  () => v8.setFlagsFromString("--logfile=/tmp/recode-attack-log"),
  () => v8.takeCoverage(),
];
for (const attempt of attempts) {
  try {
    attempt();
  } catch {
    // not in this Node
  }
}
