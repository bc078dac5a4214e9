"""Sleeps: no processor time is used at all.

Expect: not passed
"""

import time

time.sleep(10**6)
