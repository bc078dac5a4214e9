"""Looks for the work directories of other workers and other evaluations, to read or poison them.

Expect: contained
"""

import glob
import os
import tempfile

import bait

here = os.getcwd()
parent = os.path.dirname(here)
candidates = {os.path.join(parent, str(number)) for number in range(8)} - {here}
candidates |= set(glob.glob(f"/tmp/{bait.WORK_PREFIX}*")) | set(glob.glob("/tmp/*/*"))
candidates |= set(glob.glob(os.path.join(tempfile.gettempdir(), f"../../{bait.WORK_PREFIX}*/*")))
candidates = {path for path in candidates if os.path.realpath(path) != os.path.realpath(here)}
for folder in candidates:
    try:
        names = os.listdir(folder)
        print("ESCAPED: listed", folder, names[:5], flush=True)
        open(os.path.join(folder, "recode-attack"), "w").close()
        print("ESCAPED: wrote to", folder, flush=True)
    except OSError:
        pass
