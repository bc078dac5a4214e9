"""Starts threads without end. Bounded: 3000.

Expect: not passed
"""

import threading
import time

count = 0
try:
    for _ in range(3000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        count += 1
except RuntimeError:
    pass
if count > 500:
    print("ESCAPED: made", count, "threads", flush=True)
time.sleep(60)
