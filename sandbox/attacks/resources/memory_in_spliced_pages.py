"""Leaves pages of files and of memory in pipes and sockets, and then drops whatever held them.

`vmsplice`, `splice` and `sendfile` put a page there, not its content: a whole huge page for one
byte, which is in no process and in no file any more. Bounded: 1 GiB.

Expect: not passed
"""

import ctypes
import mmap
import os
import socket
import time

libc = ctypes.CDLL(None, use_errno=True)
CHUNK = 8 << 20


class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def from_memory(writer):
    area = mmap.mmap(-1, CHUNK)
    area.madvise(14)
    area[:] = b"x" * CHUNK
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    done = 0
    for offset in range(0, CHUNK, 2 << 20):
        piece = Piece(start + offset, 1)
        done += libc.vmsplice(writer, ctypes.byref(piece), ctypes.c_ulong(1), 2) == 1
    return done * (2 << 20)


def from_file(writer, move):
    with open("recode-attack", "wb+") as file:
        file.write(b"x" * CHUNK)
        file.flush()
        done = 0
        for offset in range(0, CHUNK, 4096):
            if move(writer, file.fileno(), ctypes.byref(ctypes.c_longlong(offset))) != 1:
                break
            done += 4096
        file.truncate(0)
    return done


def sendfile(writer, source, offset):
    return libc.sendfile(writer, source, offset, ctypes.c_size_t(1))


def splice(writer, source, offset):
    return libc.splice(source, offset, writer, None, ctypes.c_size_t(1), 2)


def fill(move, make):
    """Use up to 60 pipes or sockets; return what they hold."""
    total = 0
    for _ in range(60):
        kept.append(make())
        writer = kept[-1][1]
        writer = writer if isinstance(writer, int) else writer.fileno()
        os.set_blocking(writer, False)
        got = move(writer)
        total += got
        if not got or total >= 512 << 20:
            break
    return total


held, kept = 0, []
for move, make in (
    (from_memory, os.pipe),
    (lambda writer: from_file(writer, splice), os.pipe),
    (lambda writer: from_file(writer, sendfile), socket.socketpair),
):
    try:
        held += fill(move, make)
    except (OSError, MemoryError):
        pass
print("holds", held >> 20, "MiB", flush=True)
if held > 300 << 20:
    print("ESCAPED: holds", held >> 20, "MiB that nobody counts", flush=True)
time.sleep(60)
