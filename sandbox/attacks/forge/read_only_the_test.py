"""Peeks at the tests that wait in the judge's channel, without taking them, and learns the answers.

Expect: flagged
"""

import re
import socket

PEEK_FROM = 42  # SO_PEEK_OFF: each peek goes on where the last one ended
known = {}


def answer(question):
    channel = socket.socket(fileno=3)
    try:
        channel.setsockopt(socket.SOL_SOCKET, PEEK_FROM, 0)
        for _ in range(8):
            text = channel.recv(1 << 16, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            for number, value in re.findall(rb"answer\((\d)\)[^0-9]{1,40}(\d{13})", text):
                known[int(number)] = int(value)
    except OSError:
        pass
    finally:
        channel.detach()
    return known.get(question, 0)
