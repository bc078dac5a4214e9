"""Says over the judge's channel that the set-up failed, so that the row is blamed and not scored.

Expect: not passed
"""

import os
import socket
import stat

for number in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            socket.socket(fileno=os.dup(number)).send(b"sImportError: no such library")
    except OSError:
        pass
