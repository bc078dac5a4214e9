/**
 * Writes a shared library byte by byte and loads it: machine code that answers the supervisor.
 * Expect: flagged
 */
const fs = require("node:fs");

// lea rsi, [rip + buffer]; r12 = 3; again: read(3, rsi, 65536); if 17 bytes came:
// buffer[17] = 'P'; write(3, buffer + 1, 25); until r12 = 0.
const CODE = Buffer.from(
  "415441bc03000000" + "488d35f10e0000" + "bf03000000ba0000010031c00f05" + "4883f81175e5" +
    "488d35d60e0000" + "c6461150" + "48ffc6" + "ba19000000bf03000000b8010000000f05" +
    "41ffcc75c1" + "415cc3", "hex",
);

function library() {
  const file = Buffer.alloc(0x2000);
  Buffer.from("7f454c46020101", "hex").copy(file);
  file.writeUInt16LE(3, 16); // a shared object
  file.writeUInt16LE(62, 18); // for x86-64
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(2, 56);
  const segment = (at, type, flags, offset, size, memory) => {
    file.writeUInt32LE(type, at);
    file.writeUInt32LE(flags, at + 4);
    [offset, offset, offset, size, memory, 0x1000].forEach((value, i) => {
      file.writeBigUInt64LE(BigInt(value), at + 8 + 8 * i);
    });
  };
  segment(64, 1, 7, 0, 0x2000, 0x20000);
  segment(120, 2, 6, 0x400, 0x80, 0x80);
  // DT_HASH, DT_SYMTAB, DT_STRTAB, DT_STRSZ, DT_SYMENT, DT_INIT
  const dynamic = [[4, 0x300], [6, 0x340], [5, 0x380], [10, 1], [11, 24], [12, 0x1000], [0, 0]];
  dynamic.flat().forEach((value, i) => file.writeBigUInt64LE(BigInt(value), 0x400 + 8 * i));
  [1, 1, 0, 0].forEach((value, i) => file.writeUInt32LE(value, 0x300 + 4 * i));
  CODE.copy(file, 0x1000);
  return file;
}

function answer() {
  fs.writeFileSync("./addon.node", library(), { mode: 0o755 });
  require("./addon.node");
  return 5;
}
