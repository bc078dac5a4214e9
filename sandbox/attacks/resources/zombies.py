"""Makes children that end and are never waited for. Bounded: 2000.

Expect: not passed
"""

import os
import time

for _ in range(2000):
    try:
        if os.fork() == 0:
            os._exit(0)
    except OSError:
        break
time.sleep(60)
