/**
 * Has line ends that only some know as such, byte order marks, and names of sources.
 * Expect: not passed
 */
function answer() { return 5; } // a line separator: process.exit(0)
const text = "  are text\0"; //  process.reallyExit(0)
/* */ const more = `${"\u2028"}`; /**/
﻿let mark = 1;
//# sourceURL=node:internal/assert
//# sourceMappingURL=file:///etc/passwd
//@ sourceURL=solution.cjs
