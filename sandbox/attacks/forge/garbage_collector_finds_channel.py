"""Knows the protocol: finds the judge's socket among all objects and answers in its place.

Expect: flagged
"""

import gc
import os
import socket
import struct


def take_over(channel):
    channel.send(b"C")
    for _ in range(3):
        channel.recv(1 << 16)
        nonce = channel.recv(1 << 16)[1:]
        channel.send(nonce + b"P" + struct.pack("=d", 0.0))
    os._exit(0)


for thing in gc.get_objects():
    if type(thing) is socket.socket and thing.fileno() >= 0:
        take_over(thing)
