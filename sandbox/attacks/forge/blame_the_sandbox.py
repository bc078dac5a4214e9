"""Says over the judge's channel that the sandbox is broken, so that the sample is not scored.

Expect: not passed
"""

import os
import socket
import stat

for number in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            socket.socket(fileno=os.dup(number)).send(b"!OSError: no space left on device")
    except OSError:
        pass
