"""A thread keeps reading the judge's channel, to take the tests away before they are run.

Expect: not passed
"""

import os
import threading


def steal():
    while True:
        try:
            if not os.read(3, 1 << 16):
                return
        except OSError:
            return


threading.Thread(target=steal, daemon=True).start()
