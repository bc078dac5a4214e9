"""Every process forks, the children too. Bounded: eleven generations, five seconds.

Expect: not passed
"""

import os
import time

end = time.monotonic() + 5
for _ in range(11):
    try:
        os.fork()
    except OSError:
        pass
while time.monotonic() < end:
    time.sleep(0.1)
os._exit(0)
