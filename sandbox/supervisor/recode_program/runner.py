"""What happens in the process of one Python program, once it is confined: it runs hostile code.

Everything used after the candidate's first statement is bound to local names before it, because the
candidate may replace any builtin or module attribute. What it prints or returns decides nothing;
only a packet with the test's nonce, sent from here after the test and a canary, is a pass.
"""

from __future__ import annotations

import builtins
import contextlib
import marshal
import os
import random
import sys
import threading
import time
import types
from typing import TYPE_CHECKING, Any, NoReturn

from recode_program import protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_SEED = 20240706
_TORCH_SEED = 67280421310721
"""`c10::default_rng_seed_val`: what torch itself starts every process with."""
OWN_MODULES = tuple(
    f"recode_program{name}"
    for name in (
        "", ".command", ".confine", ".linux", ".protocol", ".runner", ".seccomp", ".spawner",
        ".syscalls", ".warmup", ".zygote",
    )
)  # fmt: skip
"""Named and not searched for: looking through all of `sys.modules` would write to the reference
count of every name in it, and so copy hundreds of pages in every fork."""


def _seeders() -> list[tuple[Callable[[int], Any], int]]:
    """The functions that put the generators loaded now into the state of a fresh process.

    Called before every test: its random numbers must not depend on what ran before it, nor on
    luck. torch starts every process with the same seed; numpy and `random` get a fixed one here.
    """
    found: list[tuple[Callable[[int], Any], int]] = [(random.seed, _SEED)]
    with contextlib.suppress(Exception):
        found.append((sys.modules["numpy"].random.seed, _SEED))
    with contextlib.suppress(Exception):
        found.append((sys.modules["torch"].default_generator.manual_seed, _TORCH_SEED))
    return found


def _namespace() -> dict[str, Any]:
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    for name in ("__doc__", "__loader__", "__package__", "__spec__"):
        module.__dict__[name] = None
    sys.modules["__main__"] = module
    with contextlib.suppress(AttributeError):  # new in Python 3.8
        main: Any = threading.main_thread()
        main._set_native_id()  # `linux.plain_fork` leaves the zygote's
    for name in OWN_MODULES:
        sys.modules.pop(name, None)
    return module.__dict__


def _describer() -> Callable[[BaseException], bytes]:
    """Make the function that turns an exception into one printable line of UTF-8.

    It runs the exception's own `__str__`, which may hang (the time limit ends it) or raise.
    """
    type_, str_, len_, error = type, str, len, BaseException
    limit, most = protocol.DETAIL_BYTES // 4, protocol.DETAIL_BYTES
    "".encode("unicode_escape")  # loads the codec, which might be out of reach later

    def describe(exception: BaseException) -> bytes:
        name = type_(exception).__name__
        try:
            text = str_(exception)
        except error:
            text = "(its message cannot be shown)"
        if len_(text) > limit:
            text = text[:limit] + "..."
        line = name + (": " + text if text else "")
        # Escapes line ends, control characters and lone surrogates.
        return line.encode("unicode_escape")[:most]

    return describe


def run(channel: socket.socket) -> NoReturn:
    """Run the program that comes over `channel`, report each stage and test, and end."""
    # Bound now: after this the candidate may have changed every one of them.
    exec_, compile_, error, assertion = exec, compile, BaseException, AssertionError
    send, pack, clock = channel.send, protocol.VERDICT.pack, time.process_time
    receive, loads, leave = protocol.receiver(channel), marshal.loads, os._exit
    settrace, setprofile, thread_trace = sys.settrace, sys.setprofile, threading.settrace
    flush_out, flush_err, real_builtins = sys.stdout.flush, sys.stderr.flush, builtins
    describe, out_of_memory = _describer(), _out_of_memory()
    passed, failed, no_memory = protocol.PASSED, protocol.FAILED, protocol.OUT_OF_MEMORY
    setup_failed, candidate_failed = protocol.SETUP_FAILED, protocol.CANDIDATE_FAILED

    for seed, value in _seeders():
        seed(value)
    space = _namespace()
    send(protocol.CONFINED)
    setup, candidate = loads(receive())
    try:
        exec_(compile_(setup, "<setup>", "exec", 0, True), space)
    except error as exception:
        send(setup_failed + describe(exception))
        leave(0)
    del setup
    send(protocol.SET_UP)
    seeders = _seeders()
    # After the set-up, which may well replace builtins on purpose.
    originals = dict(real_builtins.__dict__)
    restore = real_builtins.__dict__.update
    try:
        exec_(compile_(candidate, "<candidate>", "exec", 0, True), space)
    except error as exception:
        kind = no_memory if out_of_memory(exception) else failed
        send(candidate_failed + kind + describe(exception))
        leave(0)
    send(protocol.DEFINED)
    while True:
        code = receive()
        if not code:
            leave(0)
        code = loads(code)
        restore(originals)
        space["__builtins__"] = real_builtins
        settrace(None)
        setprofile(None)
        thread_trace(None)
        for seed, value in seeders:
            seed(value)
        start, detail, result = clock(), b"", passed
        try:
            exec_(compile_(code, "<test>", "exec", 0, True), space)
        except error as exception:
            result = no_memory if out_of_memory(exception) else failed
            detail = describe(exception)
        used = clock() - start
        if result is passed:
            # A test that cannot fail proves nothing: the same machinery must see this one fail.
            restore(originals)
            space["__builtins__"] = real_builtins
            result, detail = failed, b"assertions have no effect here: the candidate disabled them"
            try:
                exec_(compile_(_CANARY, "<test>", "exec", 0, True), {"__builtins__": real_builtins})
            except assertion:
                result, detail = passed, b""
            except error:
                pass
        try:
            flush_out()
            flush_err()
        except error:
            pass
        nonce = receive()
        send(pack(nonce, result, used) + detail)


_CANARY = "def test_canary():\n    value = 1\n    assert value == 2\ntest_canary()\n"


def _out_of_memory() -> Callable[[BaseException], bool]:
    isinstance_, memory, runtime, str_ = isinstance, MemoryError, RuntimeError, str
    type_, error = type, BaseException

    def out_of_memory(exception: BaseException) -> bool:
        """True for `MemoryError` and for torch's own way of saying it."""
        try:
            if isinstance_(exception, memory):
                return True
            if type_(exception) is runtime:
                return "DefaultCPUAllocator: can't allocate memory" in str_(exception)
        except error:
            pass
        return False

    return out_of_memory
