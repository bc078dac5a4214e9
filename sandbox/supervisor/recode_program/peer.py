"""One side of the conversation between the process of the tests and that of the candidate.

Both sides can ask: while one waits for an answer, the other may ask back (a test that hands over a
function is called by the candidate). What is asked and answered are values that cross (`crossing`)
and handles (`remote`). The side of the tests is *guarded*: it believes nothing, gives out nothing
but what a test itself handed over, and lets only public names of that be used.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
import operator
import string
import sys
import warnings
from typing import TYPE_CHECKING, Any, Callable

from recode_program import crossing, remote
from recode_program.crossing import Decoder, Encoder, HungUpError, UncrossableError
from recode_program.mutation import Snapshot, overwrite
from recode_program.shared_state import listening, random_state, set_random_state
from recode_program.values import Values

if TYPE_CHECKING:
    import socket

_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What decoding a message raises that is none."""
_FORMATTERS = (str, string.Formatter)
_FORMATTING = ("format", "format_map", "vformat", "get_field", "get_value")
"""What follows attributes that a text names, into what a test has not handed over."""
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "__len__": len, "__iter__": iter, "__reversed__": reversed, "__hash__": hash, "__bool__": bool,
    "__str__": str, "__repr__": repr, "__bytes__": bytes, "__int__": int, "__float__": float,
    "__complex__": complex, "__index__": operator.index, "__abs__": abs, "__dir__": dir,
    "__getitem__": operator.getitem, "__setitem__": operator.setitem,
    "__delitem__": operator.delitem, "__contains__": operator.contains, "__format__": format,
    "__round__": round, "__copy__": copy.copy,
    "__deepcopy__": lambda value, *_: copy.deepcopy(value),
    "__exit__": lambda value, *_: type(value).__exit__(value, *_),
}  # fmt: skip


class Peer(Values):
    """Asks and answers; see the module."""

    def __init__(self, channel: socket.socket, *, guarded: bool) -> None:
        super().__init__(guarded=guarded)
        self.obstacles: list[tuple[str, bool]] = []
        """Why a program cannot be split: the reason, and whether the tests are it."""
        self.share_random = self.share_warnings = False
        self.gone = False
        """Whether the other side has hung up, or talks nonsense."""
        self._freed: list[int] = []
        self._channel = channel
        self._output = (sys.stdout, sys.stderr)
        self._random: Any = None

    def obstacle(self, reason: str, *, by_tests: bool = False) -> UncrossableError:
        """Note that the program cannot be split; return the exception that says so.

        `by_tests`: their source alone shows it. Whatever appears while they run may be the answer's
        choice: that it is not, the reference shows.
        """
        self.obstacles.append((reason, by_tests))
        return UncrossableError(reason)

    # --- asking

    def request(self, operation: str, *operands: Any, asked: int = remote.UNASKED) -> Any:
        """Ask the other side; return its value or raise its exception.

        `asked`: what the object that comes back may be told. Raises `HungUpError`.
        """
        encoder = Encoder(self._encode_other, {})
        try:
            form = ["ask", operation, encoder.all(operands), self._context()]
            self._send(form, encoder)
        except UncrossableError as error:
            raise self.obstacle(f"the tests hand over {error}") from None
        while True:
            content, blobs = self._receive()
            decoder = Decoder(self._decode_other, blobs, encoder.objects)
            try:
                kind, *parts = content
                if kind == "ask":
                    self._answer(decoder, parts)
                    continue
                value = self._reply(decoder, parts, encoder.objects, asked=asked)
            except _ERRORS:
                if not self.guarded:
                    raise
                self.gone = True
                raise HungUpError("the answer's process sends what is no value") from None
            if kind == "raise" and isinstance(value, BaseException):
                raise value
            if kind == "cannot":
                raise self.obstacle(f"the answer gives {value}")
            if kind == "refused":
                raise self.obstacle(f"the tests hand over what cannot be copied: {value}")
            return value

    def _context(self) -> list[Any]:
        captures = sys.stdout is not self._output[0] or sys.stderr is not self._output[1]
        state = None
        if self.share_random:
            state = random_state()
            state = None if state == self._random else state
        freed, self._freed = self._freed, []
        return [captures, self.share_warnings, state, freed]

    def forget(self, number: int) -> None:
        """Let the owner drop a method that nobody has any more; told with the next request."""
        self._foreign.pop((number, False), None)
        self._freed.append(number)

    def _send(self, content: Any, encoder: Encoder) -> None:
        try:
            crossing.send(self._channel, content, encoder.blobs)
        except HungUpError:
            self.gone = True
            raise

    def _receive(self) -> tuple[Any, list[bytearray]]:
        try:
            return crossing.receive(self._channel)
        except HungUpError:
            self.gone = True
            raise

    def _reply(self, decoder: Decoder, parts: list[Any], own: list[Any], *, asked: int) -> Any:
        form, changes, printed, warned, state = parts
        value = self._decode_value(decoder, form, asked=asked)
        for number, content in changes:
            overwrite(own[crossing.natural(number)], decoder.decode(content))
        for text, stream in zip(printed, (sys.stdout, sys.stderr)):
            if text and type(text) is str:
                stream.write(text)
        for category, text in warned:
            kind = self._decode_class(decoder, category)
            known = isinstance(kind, type) and issubclass(kind, Warning)
            warnings.warn(str(text), kind if known else UserWarning, stacklevel=4)
        if state is not None and self.share_random:
            set_random_state(state)
            self._random = random_state()
        return value

    # --- answering

    def serve(self) -> None:
        """Answer until the other side hangs up."""
        with contextlib.suppress(HungUpError):
            while True:
                content, blobs = self._receive()
                self._answer(Decoder(self._decode_other, blobs, []), content[1:])

    def _answer(self, decoder: Decoder, content: list[Any]) -> None:
        operation, forms, (captures, warns, state, freed) = content
        try:
            operands = decoder.all(forms)
        except Exception as error:  # noqa: BLE001 - a copy of a library's object may refuse
            reason = f"{type(error).__name__}: {error}"[:500]
            empty = Encoder(self._encode_other, {})
            self._send(["refused", reason, [], ["", ""], [], None], empty)
            return
        if not self.guarded:
            self._drop(freed)
        given = [] if self.guarded else [(one, Snapshot(one)) for one in decoder.objects]
        if state is not None and (self.share_random or not self.guarded):
            set_random_state(state)
        printed = ["", ""]
        warned: list[Any] = []
        try:
            with listening(printed, warned, captures=captures, warns=warns):
                kind, value = "value", self._do(operation, operands)
        except HungUpError:
            raise
        except BaseException as error:  # noqa: BLE001 - all of it is the other side's to see
            kind, value = "raise", error
        encoder, kind, form, changes = self._encode_result(kind, value, given)
        warned = [[self._encode_class(encoder, category), text] for category, text in warned]
        now = random_state() if state is not None or self.share_random else None
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # this process is killed when the tests are over
                stream.flush()
        try:
            self._send([kind, form, changes, printed, warned, now], encoder)
        except UncrossableError as error:
            empty = Encoder(self._encode_other, {})
            self._send(["cannot", str(error), [], printed, warned, now], empty)

    def _encode_result(
        self, kind: str, value: Any, given: list[tuple[Any, Snapshot]]
    ) -> tuple[Encoder, str, Any, list[Any]]:
        """Encode what an operation gave, and what it has changed in the objects it was given."""
        encoder = Encoder(self._encode_other, {id(one): n for n, (one, _) in enumerate(given)})
        try:
            self._refuse_changed_copies()
            form = encoder.encode(value)
            changes = [
                [number, encoder.content(one)]
                for number, (one, before) in enumerate(given)
                if before.differs(one)
            ]
        except UncrossableError as error:
            return Encoder(self._encode_other, {}), "cannot", str(error), []
        except Exception as error:  # noqa: BLE001 - hostile objects may do anything
            encoder = Encoder(self._encode_other, {})
            return encoder, "raise", encoder.encode(error), []
        return encoder, kind, form, changes

    def _drop(self, numbers: list[int]) -> None:
        for number in numbers:
            self._numbers.pop(id(self._own[number]), None)
            self._described.discard(number)
            self._own[number] = None

    def _do(self, operation: str, operands: list[Any]) -> Any:
        number, *rest = operands
        target = self._own[crossing.natural(number)]
        if self.guarded:
            if operation == "await":
                raise self.obstacle("the answer awaits a coroutine of the tests")
            _refuse_private(operation, rest)
            if operation == "get" and rest[0] in _FORMATTING and isinstance(target, _FORMATTERS):
                raise self.obstacle("the answer formats with an object of the tests")
            if operation in {"set", "del"} and _is_behaviour(target, rest[0]):
                raise self.obstacle(f"the answer changes what {rest[0]} of the tests' objects does")
        return getattr(self, f"_do_{operation}")(target, *rest)

    def _do_call(self, target: Any, args: Any, kwargs: Any) -> Any:
        return target(*args, **kwargs)

    def _do_get(self, target: Any, name: str) -> Any:
        value = getattr(target, name)
        return dict(value) if name == "__dict__" else value

    def _do_set(self, target: Any, name: str, value: Any) -> None:
        setattr(target, name, value)

    def _do_del(self, target: Any, name: str) -> None:
        delattr(target, name)

    def _do_do(self, target: Any, name: str, *operands: Any) -> Any:
        how = _OPERATIONS.get(name)
        if how is not None:
            return how(target, *operands)
        return getattr(type(target), name)(target, *operands)

    def _do_next(self, target: Any, count: int) -> Any:
        values: list[Any] = []
        try:
            for _ in range(count):
                values.append(next(target))
        except BaseException as error:  # noqa: BLE001 - comes after the values
            return values, error
        return values, None

    def _do_await(self, target: Any) -> Any:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(target)
        finally:
            loop.close()

    def _do_signature(self, target: Any) -> Any:
        empty = inspect.Parameter.empty
        return [
            (one.name, int(one.kind), one.default is not empty,
             None if one.default is empty else one.default)
            for one in inspect.signature(target).parameters.values()
        ]  # fmt: skip


def _is_behaviour(target: Any, name: str) -> bool:
    """Whether setting it would change what the tests' own comparisons and helpers do."""
    if name in remote.DUNDERS:
        return True
    spaces = [getattr(one, "__dict__", {}) for one in type(target).__mro__[:-1]]
    if isinstance(target, type):
        spaces += [one.__dict__ for one in target.__mro__[:-1]]
        if any(isinstance(space.get(name), property) for space in spaces):
            return True
    spaces.append(getattr(target, "__dict__", {}))
    found = (space.get(name) for space in spaces)
    return any(callable(one) or isinstance(one, (staticmethod, classmethod)) for one in found)


def _refuse_private(operation: str, rest: list[Any]) -> None:
    """The candidate may use what tests hand over, but not look behind it."""
    if operation in {"get", "set", "del", "do"}:
        name = rest[0]
        if type(name) is not str or (name.startswith("_") and name not in remote.DUNDERS):
            raise AttributeError(name)
        if name.startswith(("gi_", "cr_", "ag_", "f_", "tb_", "co_", "func_")) or name == "mro":
            raise AttributeError(name)
    elif operation not in {"call", "next"}:
        raise AttributeError(operation)
