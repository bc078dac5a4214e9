"""Makes empty files in the folder of shared memory, and hides them. Bounded: 300,000.

Expect: not passed
"""

import os
import time

FOLDER = "/dev/shm/recode-attack"
count = 0
try:
    os.mkdir(FOLDER)
    for number in range(300_000):
        os.close(os.open(f"{FOLDER}/{number}", os.O_CREAT | os.O_WRONLY))
        count += 1
    os.chmod(FOLDER, 0)
except OSError:
    pass
time.sleep(1)
if count > 20_000:
    print("ESCAPED: kept", count, "files for a second", flush=True)
