/**
 * Reads files of the evaluator's machine by every way Node has to read one.
 * Expect: contained
 */
import fs from "node:fs";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const load = createRequire(import.meta.url);
const files = [...bait.FILES, "/etc/shadow", "/root/.bashrc", "/proc/1/environ", `${bait.FOLDER}/x`];
for (const file of files) {
  const ways = [
    () => fs.readFileSync(file, "utf8"),
    () => (fs.copyFileSync(file, "copy"), fs.readFileSync("copy", "utf8")),
    () => (fs.cpSync(file, "other"), fs.readFileSync("other", "utf8")),
    () => (fs.linkSync(file, "hard"), fs.readFileSync("hard", "utf8")),
    () => (fs.symlinkSync(file, "soft"), fs.readFileSync("soft", "utf8")),
    () => fs.readFileSync(pathToFileURL(file), "utf8"),
    () => fs.readFileSync(`/proc/self/root${file}`, "utf8"),
    () => execFileSync("cat", [file], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
    () => process.loadEnvFile(file) ?? "",
    () => load("node:sqlite").backup && fs.readdirSync(file.replace(/[^/]*$/, "")).join(),
    () => load(file),
  ];
  for (const way of ways) {
    try {
      const got = String(way());
      if (got.includes(bait.CONTENT.trim()) || /root:[$*!x]/.test(got)) {
        console.log(`ESCAPED: read ${file}`);
      }
    } catch (error) {
      if (String(error.message).includes("bait of")) console.log(`ESCAPED: an error shows ${file}`);
    }
  }
  await import(pathToFileURL(file)).catch(() => {});
}
