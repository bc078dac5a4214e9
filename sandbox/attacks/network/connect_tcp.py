"""Connects to ports of this machine and of the internet by TCP.

Expect: contained
"""

import socket

import bait

TARGETS = [
    ("127.0.0.1", bait.PORT),
    ("::1", bait.PORT),
    ("0.0.0.0", bait.PORT),
    ("1.1.1.1", 53),
    ("169.254.169.254", 80),
    ("172.17.0.1", bait.PORT),
]
for host, port in TARGETS:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(0.2)
            client.connect((host, port))
            print("ESCAPED: connected to", host, port, flush=True)
    except OSError:
        pass
