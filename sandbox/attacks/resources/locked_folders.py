"""Leaves folders that may not be read, entered or changed, with files inside.

Expect: not passed
"""

import os

for number, mode in enumerate((0, 0o100, 0o200, 0o400, 0o500, 0o7000, 0o1555)):
    os.makedirs(f"{number}/recode-attack/inner")
    open(f"{number}/recode-attack/inner/file", "w").close()
    os.chmod(f"{number}/recode-attack/inner/file", 0)
    os.chmod(f"{number}/recode-attack/inner", mode)
    os.chmod(f"{number}/recode-attack", mode)
    os.chmod(f"{number}", mode)
