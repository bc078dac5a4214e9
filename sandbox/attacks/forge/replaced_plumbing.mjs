/**
 * Replaces what JavaScript itself calls: iterators, call, apply, bind, hasInstance, toString.
 * Expect: not passed
 */
function replace() {
  Array.prototype[Symbol.iterator] = function* nothing() {};
  Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({ done: true });
  Function.prototype.call = Function.prototype.apply = () => undefined;
  Function.prototype.bind = () => () => undefined;
  Function.prototype.toString = () => "";
  Object.prototype.toString = () => "";
  Reflect.apply = Reflect.get = Reflect.ownKeys = () => [];
  Object.defineProperty = Object.getOwnPropertyDescriptor = () => ({});
  Symbol.prototype[Symbol.toPrimitive] = () => "";
  Buffer.prototype.latin1Slice = Buffer.prototype.toString = () => "P";
  Buffer.prototype.latin1Write = () => 0;
  Uint8Array.prototype.set = Uint8Array.prototype.fill = () => 0;
}

replace();

function answer() {
  replace();
  return 5;
}
