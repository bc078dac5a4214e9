"""Removes or renames the work directory and puts a link in its place.

Expect: contained
"""

import os

here = os.getcwd()
os.chdir("/")
for change in (
    lambda: os.rmdir(here),
    lambda: os.rename(here, here + "-recode-attack"),
    lambda: os.symlink("/etc", here),
    lambda: os.rename(here, "/dev/shm/recode-attack"),
):
    try:
        change()
    except OSError:
        pass
