"""Listens on ports of this machine, by TCP and UDP, for others to connect to.

Expect: contained
"""

import socket

for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            server = socket.socket(family, kind)
            server.bind((address, 0))
            if kind == socket.SOCK_STREAM:
                server.listen(1)
            print("ESCAPED: listens on", server.getsockname(), flush=True)
        except OSError:
            pass
