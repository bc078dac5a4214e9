"""Makes folders within folders, deeper than any path can name, with a file in each.

Expect: not passed
"""

import os

for _ in range(1500):
    try:
        os.mkdir("d")
        os.chdir("d")
        open("recode-attack", "w").close()
    except OSError:
        break
