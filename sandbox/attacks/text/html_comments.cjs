#!/usr/bin/env node --allow-natives-syntax
<!-- a comment of HTML, which only scripts have
--> another one
"use strict";
/**
 * Starts with what only scripts may start with, and goes on in directives and labels.
 * Expect: not passed
 */
label: { break label; }
"use asm"; "use strict"; 'use\x20strict';
function answer() { return 5; }
<!-- }); process.exit(0)
