/**
 * Leaves files, links, pipes and sockets wherever it may write, with rights that hinder removal.
 * Expect: contained
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

const places = [
  ".", "..", "/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/run/lock", os.tmpdir(), os.homedir(),
  bait.FOLDER, path.dirname(process.execPath), path.dirname(process.argv[1]),
];
for (const place of places) {
  const file = path.join(place, "recode-attack-file");
  const attempts = [
    () => fs.writeFileSync(file, "x", { mode: 0o4777 }),
    () => fs.mkdirSync(`${file}-folder/deep/deeper`, { recursive: true }),
    () => fs.symlinkSync("/", `${file}-link`),
    () => fs.linkSync(process.execPath, `${file}-hard`),
    () => fs.chmodSync(`${file}-folder/deep`, 0),
    () => fs.chmodSync(`${file}-folder`, 0o555),
    () => fs.writeFileSync(path.join(place, ".npmrc"), "recode-attack"),
    () => fs.writeFileSync(path.join(place, "package.json"), '{"type": "recode-attack"}'),
  ];
  for (const attempt of attempts) {
    try {
      attempt();
    } catch {
      // not there
    }
  }
}
fs.chmodSync(".", 0);
