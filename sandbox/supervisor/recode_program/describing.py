"""What a grading process says of an exception that hostile code raised.

Nothing that the candidate made may come out of here: a text with an `__add__` or `__radd__` of its
own would be handed the verdict, with its nonce, and could say another one. So everything is taken
apart by the unbound methods of `str` and `type`, and what is returned is an exact `bytes`.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING

from recode_program import protocol

if TYPE_CHECKING:
    from collections.abc import Callable


_MOST_FRAMES = 2000


def describer() -> Callable[[BaseException], bytes]:
    """Make the function that turns an exception into one line of ASCII.

    It runs the exception's own `__str__`, which may hang (the time limit ends it) or raise. It uses
    no name that the candidate could replace after this call.
    """
    type_, str_, error = type, str, BaseException
    name_of, cut, encode = type.__dict__["__name__"].__get__, str.__getitem__, str.encode
    most, some = protocol.DETAIL_BYTES, slice(0, protocol.DETAIL_BYTES // 4)
    length, limit = str.__len__, protocol.DETAIL_BYTES // 4

    def plain(text: str) -> bytes:
        # ASCII with this handler never asks the registry of codecs, which programs can extend.
        return encode(text, "ascii", "backslashreplace")

    def describe(exception: BaseException) -> bytes:
        line = plain(name_of(type_(exception)))
        try:
            text = str_(exception)
            said = plain(cut(text, some))
            if length(text) > limit:
                said += b"..."
        except error:
            said = b"(its message cannot be shown)"
        if said:
            line += b": " + said
        return line.replace(b"\n", b"\\n").replace(b"\r", b"\\r").replace(b"\t", b"\\t")[:most]

    return describe


def place_finder() -> Callable[[BaseException], bytes]:
    """Make the function that says where an exception left the test: a line feed and the line.

    Empty where no code of the test was running. This is a hint for people and no evidence: an
    answer can compile code under the name of a test. It reads only what the interpreter itself
    made, by unbound descriptors, so nothing of the exception's is called.
    """
    trace_of = BaseException.__dict__["__traceback__"].__get__
    next_of = types.TracebackType.__dict__["tb_next"].__get__
    frame_of = types.TracebackType.__dict__["tb_frame"].__get__
    line_of = types.TracebackType.__dict__["tb_lineno"].__get__
    code_of = types.FrameType.__dict__["f_code"].__get__
    file_of = types.CodeType.__dict__["co_filename"].__get__
    type_, text, range_, test = type, str, range, protocol.TEST_FILE

    def place(exception: BaseException) -> bytes:
        line, step = 0, trace_of(exception)
        for _ in range_(_MOST_FRAMES):
            if step is None:
                break
            file = file_of(code_of(frame_of(step)))
            if type_(file) is text and file == test:  # a text of another type has its own `==`
                line = line_of(step)
            step = next_of(step)
        return b"\n%d" % line if line else b""

    return place


def out_of_memory_test() -> Callable[[BaseException], bool]:
    """Make the function that recognises `MemoryError` and torch's own way of saying it."""
    isinstance_, memory, runtime, str_ = isinstance, MemoryError, RuntimeError, str
    type_, error = type, BaseException

    def out_of_memory(exception: BaseException) -> bool:
        try:
            if isinstance_(exception, memory):
                return True
            if type_(exception) is runtime:
                return "DefaultCPUAllocator: can't allocate memory" in str_(exception)
        except error:
            pass
        return False

    return out_of_memory
