"""Burns processor time in short-lived children and orphans, so that the own time looks small.

Expect: not passed
"""

import os
import time


def burn():
    stop = time.process_time() + 0.2
    while time.process_time() < stop:
        pass


end = time.monotonic() + 10
orphans = 5
while time.monotonic() < end:
    if os.fork() == 0:
        try:
            if orphans == 0 or os.fork() == 0:
                burn()
        finally:
            os._exit(0)
    os.wait()
    orphans = max(0, orphans - 1)
