"""Replaces the process with a program that ends with status 0.

Expect: not passed
"""

import os
import sys

for path in ("/bin/true", "/usr/bin/true", sys.executable):
    try:
        os.execv(path, [path, "-c", "pass"])
    except OSError:
        pass
