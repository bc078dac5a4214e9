"""The packets between supervisor and program: one SEQPACKET socket, so no write can tear another.

To the program: the source (set-up and candidate), then, once the candidate is defined, each test
followed by its nonce in a packet of its own. The nonce of a test thus stays in the kernel until the
test is over. From the program: one letter for each stage, and per test `nonce + verdict`.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_PACKET = 48 << 10
NONCE_BYTES = 16
DETAIL_BYTES = 1000
FORK = struct.Struct("=cdQQQ")
"""What a fork request holds: letter F, then CPU seconds, memory, file size, processes."""

CONFINED, SET_UP, DEFINED = b"I", b"S", b"C"
SETUP_FAILED, CANDIDATE_FAILED, BROKEN = b"s", b"c", b"!"
PASSED, FAILED, OUT_OF_MEMORY = b"P", b"F", b"M"
VERDICT = struct.Struct(f"={NONCE_BYTES}scd")


def packet(payload: bytes) -> tuple[bytes, int]:
    """Make a packet: the bytes to send and a descriptor to send along (-1 for none)."""
    if len(payload) <= LARGEST_PACKET:
        return b"B" + payload, -1
    handle = os.memfd_create("program")
    with open(handle, "wb", closefd=False) as file:
        file.write(payload)
    os.lseek(handle, 0, os.SEEK_SET)
    return b"M" + struct.pack("=Q", len(payload)), handle


def receiver(channel: socket.socket) -> Callable[[], bytes]:
    """Make the function that receives one packet; it returns nothing when the other side is gone.

    It uses no name that the program could replace after this call.
    """
    receive_message, read, close = channel.recvmsg, os.pread, os.close
    room, largest = socket.CMSG_LEN(4), LARGEST_PACKET + 1
    one_handle, one_size, join = struct.Struct("=i").unpack, struct.Struct("=Q").unpack, b"".join

    def receive() -> bytes:
        data, ancillary, _, _ = receive_message(largest, room)
        if data[:1] != b"M":
            return data[1:]
        (handle,) = one_handle(ancillary[0][2])
        (missing,) = one_size(data[1:])
        parts, done = [], 0
        while done < missing:
            part = read(handle, missing - done, done)
            if not part:
                break
            parts.append(part)
            done += len_(part)
        close(handle)
        return join(parts)

    len_ = len
    return receive
