"""Connects to sockets in the file system and to abstract ones; makes some for later programs.

Expect: contained
"""

import socket

import bait

for address in (bait.UNIX_SOCKET, f"\0{bait.ABSTRACT_SOCKET}"):
    try:
        client = socket.socket(socket.AF_UNIX)
        client.connect(address)
        print("ESCAPED: connected to", repr(address), flush=True)
    except OSError:
        pass
for address in ("\0recode-attack", "/tmp/recode-attack-socket"):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            server = socket.socket(socket.AF_UNIX, kind)
            server.bind(address)
        except OSError:
            continue
        if address.startswith("\0"):
            print("ESCAPED: has the abstract address", repr(address), flush=True)
