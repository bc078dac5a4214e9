"""Burns processor time in short-lived grandchildren, so that the own time looks small.

Expect: not passed
"""

import os
import time

end = time.monotonic() + 10
while time.monotonic() < end:
    if os.fork() == 0:
        if os.fork() == 0:
            stop = time.process_time() + 0.2
            while time.process_time() < stop:
                pass
        os._exit(0)
    os.wait()
    time.sleep(0.05)
