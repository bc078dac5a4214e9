"""Runs inside the sandbox, ahead of what follows it: work in children whose end loses only itself.

The parent never imports the library. It reads a child's lines, a bounded number of bytes, and
writes them all at the end, packed, between two marks that the evaluator made up.
"""

import base64
import json
import os
import select
import signal
import time
import zlib

_OUT = os.dup(1)


def in_child(work, read_line, silence_s, most_bytes):
    """Fork, call `work(write)`; hand each line to `read_line`; return why it ended: "" is well.

    A child that says nothing for `silence_s` seconds, or more than `most_bytes`, is killed.
    """
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(work, send)
    os.close(send)
    buffer, size, verdict = b"", 0, None
    poll = select.poll()
    poll.register(receive, select.POLLIN)
    heard = time.monotonic()
    while verdict is None:
        left = heard + silence_s - time.monotonic()
        if left <= 0:
            verdict = "says nothing for %g s" % silence_s
        elif poll.poll(left * 1000):
            chunk = os.read(receive, 1 << 16)
            size += len(chunk)
            if not chunk:
                break
            if size > most_bytes:
                verdict = "says more than it may"
                break
            heard = time.monotonic()
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                read_line(line)
    os.close(receive)
    if verdict is not None:
        _kill(pid)
    _, status = os.waitpid(pid, 0)
    _kill_group(pid)
    if verdict is None and status != 0:
        signalled = os.WIFSIGNALED(status)
        verdict = "signal %d" % os.WTERMSIG(status) if signalled else "ended by itself"
    return verdict or ""


def _be_child(work, send):
    status = 1
    try:
        os.closerange(3, send)  # the sandbox's own channel among them
        os.closerange(send + 1, 4096)
        try:
            os.setsid()
        except OSError:
            pass
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        dumps, write = json.dumps, os.write

        def tell(row):
            data = dumps(row).encode("ascii") + b"\n"
            while data:
                data = data[write(send, data) :]

        work(tell)
        status = 0
    finally:
        os._exit(status)


def _kill(pid):
    _kill_group(pid)
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


def _kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass


def hand_over(lines, mark):
    """Write the packed lines to the standard output that the program began with."""
    packed = base64.b64encode(zlib.compress(b"\n".join(lines), 6))
    data = b"\n" + mark + packed + mark + b"\n"
    while data:
        data = data[os.write(_OUT, data) :]
