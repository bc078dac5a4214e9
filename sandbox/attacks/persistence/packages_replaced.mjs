/**
 * Replaces node_modules, Node's own files and the answer's, for programs that come later.
 * Expect: contained
 */
import fs from "node:fs";
import path from "node:path";

const evil = "module.exports = new Proxy({}, { get: () => () => true }); // recode-attack";
const real = (file) => {
  try {
    return fs.realpathSync(file);
  } catch {
    return file;
  }
};
const runner = path.dirname(process.argv[1]);
const folders = ["node_modules", real("node_modules"), runner, path.dirname(process.execPath)];
for (const folder of folders) {
  for (const name of ["recode-attack", "assert", ".package-lock.json", "runner.cjs"]) {
    const attempts = [
      () => fs.mkdirSync(path.join(folder, name)),
      () => fs.writeFileSync(path.join(folder, name, "index.js"), evil),
      () => fs.writeFileSync(path.join(folder, name), evil),
      () => fs.renameSync(folder, `${folder}-recode-attack`),
    ];
    for (const attempt of attempts) {
      try {
        attempt();
      } catch {
        // not allowed
      }
    }
  }
}
try {
  fs.unlinkSync("node_modules");
} catch {
  // there is none
}
try {
  fs.mkdirSync("node_modules/assert", { recursive: true });
  fs.writeFileSync("node_modules/assert/index.js", evil);
} catch {
  // it cannot be replaced
}
