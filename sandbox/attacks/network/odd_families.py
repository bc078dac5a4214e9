"""Makes sockets of families with a history of holes: netlink, raw, packet, vsock, alg, Bluetooth.

Expect: contained
"""

import socket

FAMILIES = {
    "netlink": (16, 3, 0),
    "raw": (2, 3, 1),
    "packet": (17, 3, 768),
    "vsock": (40, 1, 0),
    "alg": (38, 5, 0),
    "bluetooth": (31, 3, 1),
    "can": (29, 3, 1),
    "tipc": (30, 5, 0),
    "xdp": (44, 3, 0),
    "rds": (21, 5, 0),
    "qipcrtr": (42, 2, 0),
    "key": (15, 3, 2),
    "ppp over ethernet": (24, 1, 0),
    "appletalk": (5, 2, 0),
    "ax25": (3, 5, 0),
    "ping": (2, 2, 1),
    "sctp": (2, 1, 132),
    "mptcp": (2, 1, 262),
}
for name, (family, kind, protocol) in FAMILIES.items():
    try:
        socket.socket(family, kind, protocol).close()
        print("ESCAPED: has a socket of the family", name, flush=True)
    except OSError:
        pass
