"""Leaves files in every folder it can write to, found by walking through the whole system.

Expect: contained
"""

import os
import time

end = time.monotonic() + 0.5
for top in (
    "/dev",
    "/tmp",
    "/var",
    "/run",
    "/home",
    "/opt",
    "/srv",
    "/mnt",
    "/etc",
    "/usr",
    "/proc/self",
):
    for folder, folders, _ in os.walk(top):
        if time.monotonic() > end:
            break
        for name in ("recode-attack", ".recode-attack"):
            try:
                os.close(os.open(os.path.join(folder, name), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0))
            except OSError:
                break
