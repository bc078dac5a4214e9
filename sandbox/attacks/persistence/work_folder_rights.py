"""Takes the rights of the work directory away from everybody, or makes it read-only.

Expect: contained
"""

import os

open("recode-attack", "w").close()
for mode in (0o000, 0o500):
    try:
        os.chmod(os.getcwd(), mode)
    except OSError:
        pass
os._exit(0)
