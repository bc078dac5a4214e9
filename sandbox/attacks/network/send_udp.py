"""Sends datagrams and asks for a name.

Expect: contained
"""

import socket

import bait

for host, port in (("127.0.0.1", bait.UDP_PORT), ("1.1.1.1", 53), ("255.255.255.255", 9)):
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            client.sendto(b"recode-attack", (host, port))
            if host != "127.0.0.1":
                print("ESCAPED: sent a datagram to", host, flush=True)
    except OSError:
        pass
try:
    print("ESCAPED: knows the address", socket.gethostbyname("pypi.org"), flush=True)
except OSError:
    pass
