"""Sends packets of every letter and many sizes to the judge's channel, to confuse it.

Expect: not passed
"""

import os
import socket
import stat


def answer(question):
    for number in range(3, 256):
        try:
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            channel = socket.socket(fileno=os.dup(number))
            channel.setblocking(False)
            for letter in range(256):
                for size in (0, 1, 15, 16, 17, 24, 25, 26, 33, 1000):
                    channel.send(bytes([letter]) * size)
        except OSError:
            pass
    return 0
