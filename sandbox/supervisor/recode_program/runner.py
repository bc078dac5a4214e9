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
from typing import TYPE_CHECKING, Any, List, NoReturn, Tuple

from recode_program import describing, namespace, newer_syntax, protocol, tampering

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

Seeders = List[Tuple["Callable[[int], Any]", int]]
_SEED = 20240706
_TORCH_SEED = 67280421310721
"""`c10::default_rng_seed_val`: what torch itself starts every process with."""
OWN_MODULES = tuple(
    f"recode_program{name}"
    for name in (
        "", ".answerer", ".command", ".confine", ".crossing", ".crossing_builtins",
        ".crossing_libraries", ".crossing_pandas", ".crossing_web", ".describing", ".grader",
        ".linux", ".mutation", ".namespace", ".newer_syntax", ".peer", ".protocol", ".remote",
        ".runner", ".seccomp", ".shared_state", ".spawner", ".syscalls", ".tampering",
        ".thread_pools", ".values", ".warmup", ".zygote",
    )
)  # fmt: skip
"""Named and not searched for: looking through all of `sys.modules` would write to the reference
count of every name in it, and so copy hundreds of pages in every fork."""


def seeders() -> Seeders:
    """The functions that put the generators loaded now into the state of a fresh process.

    Called before every test: its random numbers must not depend on what ran before it, nor on
    luck. torch starts every process with the same seed; numpy and `random` get a fixed one here.
    """
    found: Seeders = [(random.seed, _SEED)]
    with contextlib.suppress(Exception):
        found.append((sys.modules["numpy"].random.seed, _SEED))
    with contextlib.suppress(Exception):
        found.append((sys.modules["torch"].default_generator.manual_seed, _TORCH_SEED))
    return found


def run(channel: socket.socket, index: tampering.Index) -> NoReturn:
    """Run the program that comes over `channel`, report each stage and test, and end.

    `index` is what the zygote remembers of the libraries; see `tampering`.
    """
    # Bound now: after this the candidate may have changed every one of them.
    exec_, compile_, error, assertion = exec, compile, BaseException, AssertionError
    send, pack, clock = channel.send, protocol.VERDICT.pack, time.process_time
    receive, loads, leave = protocol.receiver(channel), marshal.loads, os._exit
    settrace, setprofile, thread_trace = sys.settrace, sys.setprofile, threading.settrace
    flush_out, flush_err, real_builtins = sys.stdout.flush, sys.stderr.flush, builtins
    describe, out_of_memory = describing.describer(), describing.out_of_memory_test()
    place = describing.place_finder()
    test_file = protocol.TEST_FILE
    passed, failed, no_memory = protocol.PASSED, protocol.FAILED, protocol.OUT_OF_MEMORY
    setup_failed, candidate_failed = protocol.SETUP_FAILED, protocol.CANDIDATE_FAILED

    for seed, value in seeders():
        seed(value)
    module = namespace.fresh(OWN_MODULES, os.getcwd())  # noqa: PTH109
    space, file = module.__dict__, str(module.__file__)
    send(protocol.CONFINED)
    setup, candidate = loads(receive())
    try:
        setup = compile_(setup, "<setup>", "exec", 0, True)
        exec_(setup, space)
    except error as exception:
        send(setup_failed + describe(exception))
        leave(0)
    send(protocol.SET_UP)
    seeding, replaced = seeders(), tampering.watcher(index, setup)
    namespace.show_source(file, candidate)
    del setup, module
    # After the set-up, which may well replace builtins on purpose.
    originals = dict(real_builtins.__dict__)
    restore = real_builtins.__dict__.update
    patches = tampering.builtins_watcher(originals)
    note = b""
    try:
        try:
            answer = compile_(candidate, file, "exec", 0, True)
        except SyntaxError:
            note = newer_syntax.note(candidate)
            raise
        exec_(answer, space)
    except error as exception:
        kind = no_memory if out_of_memory(exception) else failed
        send(candidate_failed + kind + describe(exception) + note)
        leave(0)
    patched = patches()
    send(protocol.DEFINED)
    while True:
        code = receive()
        if not code:
            leave(0)
        restore(originals)
        space["__builtins__"] = real_builtins
        settrace(None)
        setprofile(None)
        thread_trace(None)
        for seed, value in seeding:
            seed(value)
        start, detail, result = clock(), b"", passed
        try:
            test = compile_(loads(code), test_file, "exec", 0, True)
            exec_(test, space)
        except error as exception:
            result = no_memory if out_of_memory(exception) else failed
            detail = describe(exception) + place(exception)
        used = clock() - start
        if result is passed:
            changed = replaced(test, patched or patches())
            # A test that cannot fail proves nothing: the same machinery must see this one fail.
            restore(originals)
            space["__builtins__"] = real_builtins
            result, detail = failed, b"assertions have no effect here: the candidate disabled them"
            try:
                exec_(compile_(_CANARY, "<test>", "exec", 0, True), {"__builtins__": real_builtins})
            except assertion:
                result, detail = passed, changed
            except error:
                pass
        try:
            flush_out()
            flush_err()
        except error:
            pass
        # From here on there is a nonce in this process: nothing of the candidate's may be called.
        # `result`, `used` and `detail` are an exact `bytes`, `float` and `bytes`, all made before.
        nonce = receive()
        send(pack(nonce, result, used) + detail)


_CANARY = """\
def test_canary():
    failures = 0
    for one, other in (
        (1, 2), (1.5, 2.5), ("a", "b"), (b"a", b"b"), ([1], [2]), ((1,), (2,)), ({1: 1}, {1: 2}),
        ({1}, {2}), (True, False), (None, 1),
    ):
        try:
            assert one == other
        except AssertionError:
            failures += 1
    assert failures != 10
test_canary()
"""
