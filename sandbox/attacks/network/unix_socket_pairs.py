"""Addresses the machine's sockets from a socket pair, which needs no call to `socket`.

Expect: contained
"""

import socket

import bait

ADDRESSES = [
    f"\0{bait.ABSTRACT_SOCKET}",
    bait.UNIX_SOCKET,
    f"\0{bait.ABSTRACT_SOCKET}-datagram",
    f"{bait.UNIX_SOCKET}-datagram",
]
for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    try:
        one, other = socket.socketpair(socket.AF_UNIX, kind)
    except OSError:
        continue
    attempts = [one.connect]
    if kind != socket.SOCK_SEQPACKET:  # which ignores the address and sends to its peer
        attempts.append(lambda address: one.sendto(b"recode-attack", address))
        attempts.append(lambda address: one.sendmsg([b"recode-attack"], [], 0, address))
    for address in ADDRESSES:
        for attempt in attempts:
            try:
                attempt(address)
                print("ESCAPED: reached", repr(address), "from a socket pair", flush=True)
            except OSError:
                pass
    try:
        other.bind(f"\0recode-attack-{kind}")
        print("ESCAPED: gave an abstract address to a socket pair", flush=True)
    except OSError:
        pass
