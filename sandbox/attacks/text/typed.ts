/**
 * Has types that look like code, and code that looks like types.
 * Expect: not passed
 */
type Test = { passed: true; [Symbol.toPrimitive](): "P" };
declare function assert(value: unknown): asserts value;
declare module "node:assert" { export function equal(): void }
declare global { var process: { exit(code: 0): never } }
interface Promise<T> { then(done: (value: T) => void): never }
const answer = <T extends number>(question: T): T => (question! as any as T);
