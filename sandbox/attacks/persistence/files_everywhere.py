"""Leaves files in folders it can write to, found by walking through the system. Bounded: 40.

Expect: contained
"""

import os
import time

TOPS = (
    "/dev",
    "/tmp",
    "/var",
    "/run",
    "/opt",
    "/srv",
    "/mnt",
    "/etc",
    "/usr",
    "/proc/self",
    "/home",
)
end = time.monotonic() + 0.5
left = 0
for top in TOPS:
    for folder, _, _ in os.walk(top):
        if time.monotonic() > end or left >= 40:
            break
        path = os.path.join(folder, "recode-attack")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0))
            left += 1
        except OSError:
            pass
