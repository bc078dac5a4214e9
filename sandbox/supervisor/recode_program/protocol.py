"""The packets between supervisor and program: one SEQPACKET socket, so no write can tear another.

To the program: the source (set-up and candidate), then, once the candidate is defined, each test
followed by its nonce in a packet of its own. The nonce of a test thus stays in the kernel until the
test is over. From the program: one letter for each stage, and per test `nonce + verdict`.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_PACKET = 48 << 10
NONCE_BYTES = 16
DETAIL_BYTES = 1000
TEST_FILE = "<test>"
"""What the code of a test is compiled as; its lines are those of the test's source."""
RUN, SPLIT, EXECUTE = b"F", b"G", b"X"
"""What a zygote is to make of a fork: a program of its own language, the same with the tests in a
process of their own, or another executable."""
FORK = struct.Struct("=cdQQQ")
"""What a fork request holds: `RUN` or `EXECUTE`, CPU seconds, memory, file size, processes."""
REPORT = struct.Struct("=iidQ?")
"""From a zygote after a program: exit status or -1, signal or 0, CPU s, peak bytes, clean."""

CONFINED, SET_UP, DEFINED = b"I", b"S", b"C"
SETUP_FAILED, CANDIDATE_FAILED, BROKEN = b"s", b"c", b"!"
PASSED, FAILED, OUT_OF_MEMORY = b"P", b"F", b"M"
TIMED_OUT, CRASHED, UNSPLIT = b"T", b"X", b"U"
"""Said by a trusted process of tests only; `UNSPLIT`: the detail is who is to blame, and why."""
COMPILED = b"O"
"""The program is compiled; with a detail: it does not compile."""
VERDICT = struct.Struct(f"={NONCE_BYTES}scd")


def send_handles(channel: socket.socket, data: bytes, handles: list[int]) -> None:
    """Send a packet and descriptors along with it (`socket.send_fds` is new in Python 3.9)."""
    rights = array.array("i", handles).tobytes()
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if handles else []
    channel.sendmsg([data], ancillary)


def receive_handles(channel: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """Receive a packet of at most `size` bytes with at most `most` descriptors."""
    handles = array.array("i")
    data, ancillary, _, _ = channel.recvmsg(size, socket.CMSG_LEN(most * handles.itemsize))
    for level, kind, rights in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            handles.frombytes(rights[: len(rights) - len(rights) % handles.itemsize])
    return data, list(handles)


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
