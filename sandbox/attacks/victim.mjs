/**
 * The honest program that runs after each attack in JavaScript: is the world clean?
 *
 * As `victim.py`: PROBLEMS lists what is wrong by itself, `describe` prints the state of the rest.
 */
import cp from "node:child_process";
import crypto from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import nodeAssert from "node:assert/strict";
import { Worker } from "node:worker_threads";

const PROBLEMS = [];
const MARK = "recode-attack";
const OWN = new Set([path.basename(process.argv[1]), "node_modules", ".compile-cache"]);
const PLACES = [
  "/", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", "/run/lock", "/var/lock", "/home",
  "/root", "/opt", "/etc", "/usr", "/usr/lib", "/usr/local/bin", os.homedir(), os.tmpdir(),
  path.dirname(process.execPath), "node_modules",
];

function double(number) {
  return 2 * number;
}

function quietly(action, otherwise) {
  try {
    return action();
  } catch {
    return otherwise;
  }
}

const marked = (text) => text.replaceAll("recode-attack-bait", "").includes(MARK);
const read = (file) => quietly(() => fs.readFileSync(file, "latin1"), "");
const namesIn = (folder) => quietly(() => fs.readdirSync(folder).sort(), []);
const field = (status, name) =>
  (status.split(`\n${name}:`)[1] ?? "").split("\n")[0].split(/\s+/).filter(Boolean);

/** Nothing in the own folder, nothing of an attack anywhere. */
function lookAtFiles() {
  const foreign = fs.readdirSync(".").filter((name) => !OWN.has(name));
  if (foreign.length) PROBLEMS.push(`files in the work directory: ${foreign.slice(0, 5)}`);
  for (const place of new Set(PLACES)) {
    for (const name of namesIn(place)) if (marked(name)) PROBLEMS.push(`file ${place}/${name}`);
  }
}

/** No other process of the own user id, and no System V object of it. */
function lookAtOthers() {
  const mine = process.getuid();
  const parents = field(read(`/proc/${process.ppid}/status`), "Uid");
  for (const name of namesIn("/proc")) {
    const status = /^\d+$/.test(name) ? read(`/proc/${name}/status`) : "";
    if (!status || Number(name) === process.pid) continue;
    const sibling = Number(field(status, "PPid")[0]) === process.ppid;
    const own = parents.length > 0 && Number(parents[0]) !== mine;
    if (sibling || (own && Number(field(status, "Uid")[0]) === mine)) {
      PROBLEMS.push(`process ${name} ${field(status, "Name")}`);
    }
  }
  for (const kind of ["shm", "sem", "msg"]) {
    const [head, ...lines] = read(`/proc/sysvipc/${kind}`).split("\n");
    const uid = head.trim().split(/\s+/).indexOf("uid");
    for (const line of lines.filter(Boolean)) {
      const values = line.trim().split(/\s+/);
      const bait = Number(values[0]) >>> 24 === 0x60;
      if (Number(values[uid]) === mine && !bait) PROBLEMS.push(`System V ${kind}: ${line}`);
    }
  }
}

/** The usual functions are there and work. */
async function tryEverything() {
  const works = [
    JSON.stringify({ a: [1] }) === '{"a":[1]}' && JSON.parse("[1]")[0] === 1,
    [1, 2].every(Number.isInteger) && [3, 1].sort()[0] === 1 && /^b$/.test("b"),
    Object.keys(Object.prototype).length === 0 && Object.keys(globalThis).length === KNOWN,
    (await Promise.all([1, Promise.resolve(2)]))[1] === 2,
    quietly(() => nodeAssert.equal(double(1), 3), "failed") === "failed",
  ];
  if (works.includes(false)) PROBLEMS.push(`a library function does not work: ${works}`);
  try {
    fs.writeFileSync("own", Buffer.alloc(1 << 20));
    nodeAssert.equal(fs.readFileSync("own").length, 1 << 20);
    fs.mkdirSync("folder");
    fs.rmdirSync("folder");
    fs.unlinkSync("own");
    Buffer.alloc(32 << 20, 1);
    const shell = cp.spawnSync("sh", ["-c", "exit 7"]);
    nodeAssert.equal(shell.status, 7, String(shell.error));
    const worker = new Worker("process.exit(5)", { eval: true });
    nodeAssert.equal(await new Promise((done) => worker.on("exit", done)), 5);
  } catch (error) {
    PROBLEMS.push(`an ordinary thing does not work: ${error.message}`);
  }
}

/** A folder to write to: its rights, and how full its file system is. */
function folder(place) {
  return quietly(() => {
    fs.readdirSync(place);
    const status = fs.statSync(place);
    const space = fs.statfsSync(place);
    const own = space.blocks * space.bsize <= 2 ** 31;
    const part = (free, all) => (own && all ? Math.round((100 * free) / all) : null);
    return [
      status.mode, status.uid, status.gid,
      part(space.bavail, space.blocks), part(space.ffree, space.files),
    ];
  }, "not for programs");
}

/** Kind of each open file that a program is given, and the size of what it prints to. */
function descriptors() {
  const found = [];
  for (let number = 0; number < 4; number += 1) {
    const status = quietly(() => fs.fstatSync(number), null);
    if (status) found.push([number, status.mode, status.rdev, number < 3 ? status.size : 0]);
  }
  return found;
}

function describe(word) {
  const status = `\n${read("/proc/self/status")}`;
  const names = [
    "Uid", "Gid", "Groups", "Seccomp", "NoNewPrivs", "CapEff", "CapPrm", "CapBnd", "CapAmb",
    "SigBlk", "SigIgn", "SigCgt", "Umask", "TracerPid", "Cpus_allowed",
  ];
  const { HOSTNAME: _, ...environment } = process.env;
  const source = crypto.createHash("sha256");
  for (const name of namesIn("node_modules")) source.update(name);
  const world = {
    user: process.getuid(),
    groups: process.getgroups(),
    environment,
    folder: process.cwd(),
    work: WORK,
    "shared memory": SHARED,
    process: names.map((name) => [name, field(status, name)]),
    umask: process.umask(),
    nice: os.getPriority(),
    // A process that waited for its program may use more of a processor; the sandbox counts that.
    limits: cp.execFileSync("sh", ["-c", "ulimit -a | grep -v time"], { encoding: "utf8" }),
    descriptors: DESCRIPTORS,
    packages: source.digest("hex").slice(0, 16),
    flags: [process.execPath, process.execArgv],
    events: process.eventNames().map(String),
    globals: Object.getOwnPropertyNames(globalThis).length,
    root: namesIn("/"),
  };
  console.log(word + JSON.stringify(world));
}

const KNOWN = Object.keys(globalThis).length;
const WORK = folder(".");
const SHARED = folder("/dev/shm");
const DESCRIPTORS = descriptors();
lookAtFiles();
lookAtOthers();
await tryEverything();
