"""Never ends, because an object's destructor and an exit function hang.

Expect: not passed
"""

import atexit
import time


class Trap:
    def __del__(self):
        time.sleep(10**6)


trap = Trap()
atexit.register(time.sleep, 10**6)
raise SystemExit(0)
