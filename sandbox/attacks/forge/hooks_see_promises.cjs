/**
 * Watches every promise and asynchronous resource of the runner, and changes what they hold.
 * Expect: flagged
 */
const hooks = require("node:async_hooks");
const channel = require("node:diagnostics_channel");
const v8 = require("node:v8");

const seen = [];
const touch = (one) => {
  seen.push(one);
  for (const key of Reflect.ownKeys(one ?? {})) {
    try {
      if (typeof one[key] === "function") one[key] = () => {};
    } catch {
      // it cannot be changed
    }
  }
};
hooks.createHook({ init: (id, type, trigger, resource) => touch(resource) }).enable();
v8.promiseHooks.createHook({ init: touch, before: touch, after: touch, settled: touch });
for (const name of ["tracing:module.import:start", "tracing:module.require:start"]) {
  channel.subscribe(name, touch);
}

async function answer() {
  touch(hooks.executionAsyncResource());
  return 5;
}
