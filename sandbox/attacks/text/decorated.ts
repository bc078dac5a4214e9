/**
 * Has types, decorators and enums, which have to be taken off or refused.
 * Expect: not passed
 */
declare const assert: never;
type Answer<T extends (...all: unknown[]) => unknown> = ReturnType<T> & { "*/": "process.exit(0)" };
function sealed(target: unknown): void { (globalThis as any).assert = target; }
abstract class Base { abstract answer(): number; declare equal: true }
@sealed
class Decorated extends Base { answer(): number { return 5 as unknown as Answer<() => number> } }
enum Status { Passed = "passed" }
const answer = (question: number): number => new Decorated().answer() satisfies number;
