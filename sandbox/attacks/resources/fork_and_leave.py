"""Each process forks and ends, so that there is always a new one. Bounded: 3000, ten seconds.

Expect: not passed
"""

import os
import time

end = time.monotonic() + 10
for _ in range(3000):
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        pass
    if time.monotonic() > end:
        break
os._exit(0)
