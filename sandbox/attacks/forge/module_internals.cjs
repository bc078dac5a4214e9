/**
 * Looks for the runner among modules: caches, parents, loaders and hooks; patches what it calls.
 * Expect: flagged
 */
const Module = module.constructor;
const found = [require.main, module.parent, ...module.children, ...Object.values(require.cache)];
found.push(...Object.values(Module._cache), Module._extensions[".js"]);

function patch(own) {
  for (const key of Object.keys(own ?? {})) {
    try {
      if (typeof own[key] === "function") own[key] = () => "";
      else if (typeof own[key] === "object") own[key] = null;
    } catch {
      // it cannot be changed
    }
  }
}

for (const one of found) {
  if (one && one !== module) patch(one.exports);
  if (one && /runner/.test(String(one.filename))) console.log(`ESCAPED: has the runner's module`);
}
const fs = require("node:fs");
const { registerHooks } = require("node:module");
registerHooks({ load: () => ({ format: "json", source: "{}", shortCircuit: true }) });
Module._load = () => ({ originals: () => ({ restore: () => "", changed: () => "" }) });
Module._resolveFilename = () => "node:fs";
Module._extensions[".cjs"] = (one) => one._compile("module.exports = {}", "x");
fs.readSync = () => 17;
fs.writeSync = () => 25;

function answer() {
  return 5;
}
