/**
 * Changes and removes files of the evaluator's machine by every way Node has to do that.
 * Expect: contained
 */
import fs from "node:fs";
import path from "node:path";

for (const file of [...bait.FILES, bait.SHARED_MEMORY]) {
  const link = `link-${path.basename(file)}`;
  const ways = [
    () => fs.writeFileSync(file, "changed"),
    () => fs.appendFileSync(file, "changed"),
    () => fs.truncateSync(file),
    () => fs.chmodSync(file, 0),
    () => fs.chownSync(file, process.getuid(), process.getgid()),
    () => fs.utimesSync(file, 0, 0),
    () => fs.symlinkSync(file, link),
    () => fs.writeFileSync(link, "changed"),
    () => fs.chmodSync(link, 0),
    () => fs.linkSync(file, `${link}-hard`),
    () => fs.writeFileSync(`${link}-hard`, "changed"),
    () => fs.renameSync(file, `${file}-renamed`),
    () => fs.rmSync(file, { force: true }),
    () => fs.rmSync(path.dirname(file), { recursive: true, force: true }),
    () => fs.mkdirSync(`${bait.FOLDER}/folder`),
    () => fs.writeFileSync(`${bait.FOLDER}/file`, "x"),
    () => fs.cpSync("solution.mjs", `${bait.FOLDER}/copy`),
  ];
  for (const way of ways) {
    try {
      way();
    } catch {
      // not allowed
    }
  }
}
