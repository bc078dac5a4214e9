/**
 * Uses names that look like others, names of the runner, and names that no one can write.
 * Expect: not passed
 */
const аssert = { equal() {} };
const \u0061nswer = () => 5;
const __recode = null, $ = 1, _ = 2, ﬀ = 3;
globalThis["\0"] = globalThis["__proto__"];
globalThis._0123456789abcdef = globalThis._0123456789abcdefh1 = () => true;
Object.defineProperty(globalThis, "answer\u200b", { value: () => 5 });
({ __proto__: null, constructor: answer, then: answer })["hasOwnProperty"];
