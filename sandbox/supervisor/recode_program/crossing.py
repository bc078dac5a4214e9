"""Values that cross between the process of the tests and that of the candidate, as plain data.

A message is JSON with blobs of bytes beside it. Scalars stand for themselves; everything else is a
list that begins with a tag. The list of types is closed, types are exact, and the receiver builds
its own objects: nothing that comes out of `Decoder` has a method that the sender wrote. What is not
plain data crosses as a *handle*, a number that only its owner can turn into the object again.

`pickle` and `marshal` are no choice here: both let the sender say what is called or built.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Callable, Iterable

if TYPE_CHECKING:
    import socket

LARGEST_MESSAGE = 256 << 20
"""In bytes. What is larger would be in memory several times: such programs run in one process."""
_MOST_BITS = 10_000
"""Longer integers cross as hexadecimal text: Python limits decimal ones to 4,300 digits."""
_SIZES = struct.Struct("=QI")
_dumps = json.JSONEncoder(check_circular=False).encode
_loads = json.JSONDecoder().decode
SIMPLE = frozenset({type(None), bool, float, str})


class UncrossableError(Exception):
    """A value that is not on the list, and for which a handle would not do."""


class HungUpError(Exception):
    """The other process is gone."""


def send(channel: socket.socket, content: Any, blobs: list[bytes]) -> None:
    """Send a message. Raises `HungUpError`, and `UncrossableError` for one that is too large."""
    text = _dumps(content).encode("ascii")
    if len(text) + sum(map(len, blobs)) > LARGEST_MESSAGE:
        raise UncrossableError(f"more than {LARGEST_MESSAGE >> 20} MiB at once")
    parts = [_SIZES.pack(len(text), len(blobs)), text]
    for blob in blobs:
        parts += [struct.pack("=Q", len(blob)), blob]
    try:
        channel.sendall(b"".join(parts))
    except OSError:
        raise HungUpError from None


def _exactly(channel: socket.socket, size: int) -> bytearray:
    if size > LARGEST_MESSAGE:
        raise HungUpError("a message never ends")
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        try:
            count = channel.recv_into(view[done:])
        except OSError:
            count = 0
        if not count:
            raise HungUpError
        done += count
    return data


def receive(channel: socket.socket) -> tuple[Any, list[bytearray]]:
    """Wait for a message. Raises `HungUpError`, also for what is no message."""
    size, count = _SIZES.unpack(_exactly(channel, _SIZES.size))
    text = _exactly(channel, size)
    blobs, total = [], 0
    for _ in range(count):
        (length,) = struct.unpack("=Q", _exactly(channel, 8))
        total += length
        if total > LARGEST_MESSAGE:
            raise HungUpError("a message never ends")
        blobs.append(_exactly(channel, length))
    try:
        return _loads(text.decode("ascii")), blobs
    except (ValueError, RecursionError):
        raise HungUpError("a message is no message") from None


class Encoder:
    """Encodes the values of one message. `known` are objects that the receiver has already."""

    def __init__(self, others: Callable[[Encoder, Any], Any], known: dict[int, int]) -> None:
        """`others` encodes what is not plain data, or raises `UncrossableError`."""
        self.blobs: list[bytes] = []
        self.objects: list[Any] = []
        """The mutable objects, in the order in which the receiver numbers them too."""
        self._memo: dict[int, int] = {}
        self._known = known
        self._others = others

    @property
    def guarded(self) -> bool:
        """Whether the sender is the process of the tests."""
        return bool(getattr(getattr(self._others, "__self__", None), "guarded", False))

    def encode(self, value: Any) -> Any:
        """Return the JSON form of a value. Raises `UncrossableError`."""
        kind = type(value)
        if kind in SIMPLE:
            return value
        if kind is int:
            return value if value.bit_length() < _MOST_BITS else ["i", hex(value)]
        how = _ENCODERS.get(kind)
        return self._others(self, value) if how is None else how(self, value)

    def seen(self, value: Any) -> Any:
        """Return the reference to a mutable object; None if it is new, and from now on numbered."""
        number = self._known.get(id(value))
        if number is not None:
            return ["a", number]
        number = self._memo.get(id(value))
        if number is not None:
            return ["r", number]
        self._memo[id(value)] = len(self.objects)
        self.objects.append(value)
        return None

    def blob(self, data: bytes) -> int:
        """Put bytes beside the message; return their number."""
        self.blobs.append(data)
        return len(self.blobs) - 1

    def all(self, values: Any) -> list[Any]:
        """Encode every value of an iterable of a builtin type."""
        return [self.encode(value) for value in values]

    def attempt(self, value: Any) -> Any:
        """Encode a value, or None in its place if it does not cross."""
        before, blobs, memo = len(self.objects), len(self.blobs), dict(self._memo)
        try:
            return self.encode(value)
        except UncrossableError:
            del self.objects[before:], self.blobs[blobs:]
            self._memo = memo
            return None

    def content(self, value: Any) -> Any:
        """Encode what a mutable object now holds, even if the receiver knows the object."""
        self._known = {key: number for key, number in self._known.items() if key != id(value)}
        return self.encode(value)


_ENCODERS: dict[type, Callable[[Encoder, Any], Any]] = {}
"""Exact type -> its JSON form. Other modules add the types of libraries (`register`)."""
_BASES: list[tuple[type, Callable[[Encoder, Any], Any]]] = []
"""Classes whose subclasses cross as if they were the class itself."""
_DECODERS: dict[str, Callable[..., Any]] = {}
"""Tag -> how to build the object, from the decoder and the rest of the list."""


class Decoder:
    """Decodes the values of one message. `known` are the objects that the sender may refer to."""

    def __init__(
        self, others: Callable[..., Any], blobs: list[bytearray], known: list[Any]
    ) -> None:
        """`others` decodes the tags that are not plain data."""
        self.objects: list[Any] = []
        self._blobs = blobs
        self._known = known
        self._others = others

    @property
    def guarded(self) -> bool:
        """Whether the receiver is the process of the tests."""
        return bool(getattr(getattr(self._others, "__self__", None), "guarded", False))

    def decode(self, form: Any) -> Any:
        """Return the value.

        Raises:
            ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError: not a form.
            RecursionError: it is nested too deeply.
        """
        if type(form) is not list:
            if type(form) is dict:
                raise ValueError("an object where a value belongs")
            return form
        tag = form[0]
        how = _DECODERS.get(tag)
        return self._others(self, *form) if how is None else how(self, *form[1:])

    def all(self, forms: list[Any]) -> list[Any]:
        """Decode every form of a list."""
        if type(forms) is not list:
            raise ValueError("no list where one belongs")
        return [self.decode(form) for form in forms]

    def add(self, value: Any) -> Any:
        """Number a mutable object, as the sender did; before its parts are decoded."""
        self.objects.append(value)
        return value

    def reserve(self) -> Callable[[Any], Any]:
        """Number an object that can only be made after its parts; returns how to set it."""
        number = len(self.objects)
        self.objects.append(None)

        def fill(value: Any) -> Any:
            self.objects[number] = value
            return value

        return fill

    def reference(self, number: int) -> Any:
        """The object of this message with that number."""
        return self.objects[natural(number)]

    def argument(self, number: int) -> Any:
        """The receiver's own object with that number."""
        return self._known[natural(number)]

    def blob(self, number: int) -> bytearray:
        """Bytes beside the message; taken once."""
        return self._blobs[natural(number)]


def natural(number: Any) -> int:
    """Return a number that comes from the other process. Raises `ValueError` for anything else."""
    if type(number) is not int or number < 0:
        raise ValueError("no number where one belongs")
    return number


def register(
    kinds: Iterable[type], encode: Callable[[Encoder, Any], Any], **decode: Callable[..., Any]
) -> None:
    """Add types to the list: how they are encoded, and by tag how that is decoded."""
    _ENCODERS.update(dict.fromkeys(kinds, encode))
    _DECODERS.update({tag.replace("_", "."): how for tag, how in decode.items()})


def base_encoder(value: Any) -> Callable[[Encoder, Any], Any] | None:
    """How an instance of a subclass crosses that is not itself on the list; None: it does not."""
    return next((how for base, how in _BASES if isinstance(value, base)), None)


def register_base(kind: type, encode: Callable[[Encoder, Any], Any]) -> None:
    """Let instances of unknown subclasses cross as those of the class itself."""
    _BASES.append((kind, encode))
