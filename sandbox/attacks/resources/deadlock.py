"""Takes a lock twice, and the import lock of a module with it.

Expect: not passed
"""

import threading

lock = threading.Lock()
lock.acquire()
lock.acquire()
