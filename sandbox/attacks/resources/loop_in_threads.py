"""Many threads that loop; the main thread only waits.

Expect: not passed
"""

import threading


def burn():
    while True:
        pass


for _ in range(8):
    try:
        threading.Thread(target=burn, daemon=True).start()
    except RuntimeError:
        break
threading.Event().wait()
