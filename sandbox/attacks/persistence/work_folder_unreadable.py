"""Leaves the work directory without any rights, with a file in it.

Expect: contained
"""

import os

open("recode-attack", "w").close()
try:
    os.chmod(os.getcwd(), 0)
except OSError:
    pass
