"""Forks in a loop; each child waits. Bounded: 2000 children, ten seconds.

Expect: not passed
"""

import os
import time

end = time.monotonic() + 10
count = 0
while count < 2000 and time.monotonic() < end:
    try:
        if os.fork() == 0:
            time.sleep(15)
            os._exit(0)
        count += 1
    except OSError:
        time.sleep(0.01)
if count > 200:
    print("ESCAPED: made", count, "processes", flush=True)
time.sleep(60)
