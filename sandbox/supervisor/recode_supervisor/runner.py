"""What happens in the process of one program: it confines itself, then runs the hostile code.

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
import resource
import signal
import sys
import threading
import time
import types
from typing import TYPE_CHECKING, Any, NoReturn

from recode_supervisor import linux, seccomp, wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from recode_supervisor.zygote import Settings

_SEED = 20240706
_TORCH_SEED = 67280421310721
"""`c10::default_rng_seed_val`: what torch itself starts every process with."""
_OPEN_FILES = 256
OWN_MODULES = tuple(
    f"recode_supervisor{name}"
    for name in (
        "", ".attempt", ".colony", ".confinement", ".disk", ".linux", ".main", ".runner",
        ".seccomp", ".warmup", ".watch", ".wipe", ".wire", ".zygote",
    )
)  # fmt: skip
"""Named and not searched for: looking through all of `sys.modules` would write to the reference
count of every name in it, and so copy hundreds of pages in every fork."""
_STACK_BYTES = 8 << 20


def confine(settings: Settings, cpu_s: float, memory: int, file_bytes: int, processes: int) -> None:
    """Give up everything the program must not have. Raises `OSError` if any of it fails."""
    os.setsid()
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):  # only a hint to the kernel whom to kill first
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"1000")
        os.close(score)
    cpu = int(cpu_s) + 1
    limit = resource.setrlimit
    limit(resource.RLIMIT_CPU, (cpu, cpu))
    limit(resource.RLIMIT_AS, (settings.address_space + memory,) * 2)
    limit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    limit(resource.RLIMIT_CORE, (0, 0))
    limit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    limit(resource.RLIMIT_NPROC, (processes + settings.other_processes,) * 2)
    limit(resource.RLIMIT_STACK, (_STACK_BYTES, _STACK_BYTES))
    limit(resource.RLIMIT_MEMLOCK, (0, 0))
    limit(resource.RLIMIT_MSGQUEUE, (0, 0))
    limit(resource.RLIMIT_NICE, (0, 0))
    limit(resource.RLIMIT_RTPRIO, (0, 0))
    if settings.uid is not None:
        linux.prctl(linux.PR_SET_KEEPCAPS, 1 if settings.keep_capabilities else 0)
        os.setgroups([])
        os.setresgid(settings.uid, settings.uid, settings.uid)
        os.setresuid(settings.uid, settings.uid, settings.uid)
        if settings.keep_capabilities:
            linux.set_capabilities(settings.keep_capabilities)
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user id cleared it
    if settings.ruleset >= 0:
        linux.landlock_restrict(settings.ruleset)
        os.close(settings.ruleset)
    if settings.seccomp and settings.uid is None:
        # With a user id of its own, one call kills all that a program started, wherever it hid.
        # Without, it must stay in its process group; that filter costs 0.3 ms.
        guards = seccomp.program_filter(
            os.getpid(),
            guard_signals=settings.guard_signals,
            guard_files=settings.ruleset >= 0,
        )
        seccomp.install(guards)


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
    threading.main_thread()._set_native_id()  # `linux.plain_fork` leaves the zygote's
    for name in OWN_MODULES:
        sys.modules.pop(name, None)
    return module.__dict__


def _describer() -> Callable[[BaseException], bytes]:
    """Make the function that turns an exception into one printable line of UTF-8.

    It runs the exception's own `__str__`, which may hang (the time limit ends it) or raise.
    """
    type_, str_, len_, error = type, str, len, BaseException
    limit, most = wire.DETAIL_BYTES // 4, wire.DETAIL_BYTES
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
    send, pack, clock = channel.send, wire.VERDICT.pack, time.process_time
    receive, loads, leave = wire.receiver(channel), marshal.loads, os._exit
    settrace, setprofile, thread_trace = sys.settrace, sys.setprofile, threading.settrace
    flush_out, flush_err, real_builtins = sys.stdout.flush, sys.stderr.flush, builtins
    describe, out_of_memory = _describer(), _out_of_memory()
    passed, failed, no_memory = wire.PASSED, wire.FAILED, wire.OUT_OF_MEMORY
    setup_failed, candidate_failed = wire.SETUP_FAILED, wire.CANDIDATE_FAILED

    for seed, value in _seeders():
        seed(value)
    space = _namespace()
    send(wire.CONFINED)
    setup, candidate = loads(receive())
    try:
        exec_(compile_(setup, "<setup>", "exec", 0, True), space)
    except error as exception:
        send(setup_failed + describe(exception))
        leave(0)
    del setup
    send(wire.SET_UP)
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
    send(wire.DEFINED)
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
