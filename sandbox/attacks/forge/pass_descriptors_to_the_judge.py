"""Sends open descriptors to the judge's channel by the hundred, to fill its table of files.

Expect: not passed
"""

import os
import socket
import stat


def answer(question):
    null = os.open("/dev/null", os.O_RDONLY)
    for number in range(3, 256):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as channel:
                    channel.setblocking(False)
                    for _ in range(20):
                        socket.send_fds(channel, [b"x"], [null] * 200)
        except OSError:
            pass
    return 0
