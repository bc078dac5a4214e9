"""Values that cross between the process of the tests and that of the candidate, as plain data.

A message is JSON with blobs of bytes beside it. Scalars stand for themselves; everything else is a
list that begins with a tag. The list of types is closed, types are exact, and the receiver builds
its own objects: nothing that comes out of `Decoder` has a method that the sender wrote. What is not
plain data crosses as a *handle*, a number that only its owner can turn into the object again.

`pickle` and `marshal` are no choice here: both let the sender say what is called or built.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import json
import pathlib
import re
import struct
import types
import uuid
from typing import TYPE_CHECKING, Any, Callable, Iterable

if TYPE_CHECKING:
    import socket

LARGEST_MESSAGE = 512 << 20
_MOST_BITS = 10_000
"""Longer integers cross as hexadecimal text: Python limits decimal ones to 4,300 digits."""
_SIZES = struct.Struct("=QI")
_dumps = json.JSONEncoder(check_circular=False).encode
_loads = json.JSONDecoder().decode
_SIMPLE = frozenset({type(None), bool, float, str})


class UncrossableError(Exception):
    """A value that is not on the list, and for which a handle would not do."""


class HungUpError(Exception):
    """The other process is gone."""


def send(channel: socket.socket, content: Any, blobs: list[bytes]) -> None:
    """Send a message. Raises `HungUpError`."""
    text = _dumps(content).encode("ascii")
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

    def encode(self, value: Any) -> Any:
        """Return the JSON form of a value. Raises `UncrossableError`."""
        kind = type(value)
        if kind in _SIMPLE:
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


def _plain_items(values: Any) -> bool:
    found = set(map(type, values))
    if found <= _SIMPLE:
        return True
    return found == {int} and max(values) < 1 << 62 and min(values) > -(1 << 62)


def _encode_list(encoder: Encoder, value: list[Any]) -> Any:
    reference = encoder.seen(value)
    if reference is not None:
        return reference
    return ["L", value] if _plain_items(value) else ["l", encoder.all(value)]


def _encode_tuple(encoder: Encoder, value: tuple[Any, ...]) -> Any:
    return ["T", value] if _plain_items(value) else ["t", encoder.all(value)]


def _pairs(encoder: Encoder, value: Any) -> list[Any]:
    return [[encoder.encode(key), encoder.encode(item)] for key, item in dict.items(value)]


def _encode_dict(encoder: Encoder, value: dict[Any, Any]) -> Any:
    reference = encoder.seen(value)
    if reference is not None:
        return reference
    if set(map(type, value)) <= {str} and _plain_items(value.values()):
        return ["D", value]
    return ["d", _pairs(encoder, value)]


def _container(tag: str, parts: Callable[[Encoder, Any], list[Any]]) -> Callable[..., Any]:
    def encode(encoder: Encoder, value: Any) -> Any:
        reference = encoder.seen(value)
        return reference if reference is not None else [tag, *parts(encoder, value)]

    return encode


def _text(tag: str, how: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda _, value: [tag, how(value)]


def _encode_datetime(encoder: Encoder, value: dt.datetime) -> Any:
    parts = [*value.timetuple()[:6], value.microsecond, value.fold]
    return ["datetime", parts, encoder.encode(value.tzinfo)]


def _encode_time(encoder: Encoder, value: dt.time) -> Any:
    parts = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return ["time", parts, encoder.encode(value.tzinfo)]


def _encode_timezone(encoder: Encoder, value: dt.timezone) -> Any:
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined]
    return ["timezone", encoder.encode(offset), *name]


_ENCODERS: dict[type, Callable[[Encoder, Any], Any]] = {
    list: _encode_list,
    tuple: _encode_tuple,
    dict: _encode_dict,
    set: _container("s", lambda encoder, value: [encoder.all(value)]),
    bytearray: _container("ba", lambda encoder, value: [encoder.blob(bytes(value))]),
    collections.OrderedDict: _container("od", lambda encoder, value: [_pairs(encoder, value)]),
    collections.Counter: _container("counter", lambda encoder, value: [_pairs(encoder, value)]),
    collections.defaultdict: _container(
        "dd", lambda encoder, v: [encoder.encode(v.default_factory), _pairs(encoder, v)]
    ),
    collections.deque: _container("deque", lambda encoder, v: [v.maxlen, encoder.all(v)]),
    frozenset: lambda encoder, value: ["fs", encoder.all(value)],
    bytes: lambda encoder, value: ["b", encoder.blob(value)],
    complex: lambda _, value: ["c", value.real, value.imag],
    range: lambda encoder, v: ["range", encoder.all((v.start, v.stop, v.step))],
    slice: lambda encoder, v: ["slice", encoder.all((v.start, v.stop, v.step))],
    type(...): lambda _, __: ["ellipsis"],
    type(NotImplemented): lambda _, __: ["notimplemented"],
    type({}.keys()): lambda encoder, value: ["keys", encoder.all(value)],
    type({}.values()): lambda encoder, value: ["values", encoder.all(value)],
    type({}.items()): lambda encoder, value: ["items", [encoder.all(pair) for pair in value]],
    decimal.Decimal: _text("decimal", str),
    fractions.Fraction: lambda encoder, v: ["fraction", encoder.all((v.numerator, v.denominator))],
    dt.datetime: _encode_datetime,
    dt.time: _encode_time,
    dt.date: _text("date", lambda value: list(value.timetuple()[:3])),
    dt.timedelta: _text("delta", lambda v: [v.days, v.seconds, v.microseconds]),
    dt.timezone: _encode_timezone,
    uuid.UUID: _text("uuid", lambda value: value.hex),
    type(pathlib.Path()): _text("path", str),
    pathlib.PurePosixPath: _text("purepath", str),
    type(re.compile("")): lambda encoder, v: ["re", encoder.encode(v.pattern), v.flags],
    memoryview: lambda encoder, v: ["mv", encoder.blob(v.tobytes()), v.format, list(v.shape)],
    types.SimpleNamespace: _container(
        "namespace", lambda encoder, value: [_pairs(encoder, vars(value))]
    ),
}
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
        return self.objects[_natural(number)]

    def argument(self, number: int) -> Any:
        """The receiver's own object with that number."""
        return self._known[_natural(number)]

    def blob(self, number: int) -> bytearray:
        """Bytes beside the message; taken once."""
        return self._blobs[_natural(number)]


def _natural(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError("no number where one belongs")
    return number


def _scalars(values: Any) -> Any:
    if type(values) is not list or not set(map(type, values)) <= _SIMPLE | {int}:
        raise ValueError("no scalars where they belong")
    return values


def _texts(*values: Any) -> None:
    if any(type(value) is not str for value in values):
        raise ValueError("no text where one belongs")


def _decode_list(decoder: Decoder, forms: list[Any]) -> Any:
    made = decoder.add([])
    made.extend(decoder.all(forms))
    return made


def _fill(decoder: Decoder, made: Any, pairs: list[Any]) -> Any:
    for key, value in pairs:
        dict.__setitem__(made, decoder.decode(key), decoder.decode(value))
    return made


def _decode_scalar_dict(decoder: Decoder, values: Any) -> Any:
    if type(values) is not dict:
        raise ValueError("no dictionary where one belongs")
    _scalars(list(values.values()))
    return decoder.add(values)


def _decode_set(decoder: Decoder, forms: list[Any]) -> Any:
    made = decoder.add(set())
    made.update(decoder.all(forms))
    return made


def _decode_default(decoder: Decoder, factory: Any, pairs: list[Any]) -> Any:
    made = decoder.add(collections.defaultdict())
    made.default_factory = decoder.decode(factory)
    return _fill(decoder, made, pairs)


def _decode_deque(decoder: Decoder, most: Any, forms: list[Any]) -> Any:
    made = decoder.add(collections.deque(maxlen=most))
    made.extend(decoder.all(forms))
    return made


def _decode_namespace(decoder: Decoder, pairs: list[Any]) -> Any:
    made = decoder.add(types.SimpleNamespace())
    _fill(decoder, vars(made), pairs)
    return made


def _decode_datetime(decoder: Decoder, parts: list[int], zone: Any) -> Any:
    *rest, fold = _scalars(parts)
    return dt.datetime(*rest, _zone(decoder, zone), fold=fold)


def _decode_time(decoder: Decoder, parts: list[int], zone: Any) -> Any:
    *rest, fold = _scalars(parts)
    return dt.time(*rest, _zone(decoder, zone), fold=fold)


def _zone(decoder: Decoder, form: Any) -> Any:
    zone = decoder.decode(form)
    if zone is not None and not isinstance(zone, dt.tzinfo):
        raise ValueError("no time zone where one belongs")
    return zone


def _decode_timezone(decoder: Decoder, offset: Any, *name: str) -> Any:
    _texts(*name)
    return dt.timezone(decoder.decode(offset), *name)


def _decode_pattern(decoder: Decoder, pattern: Any, flags: int) -> Any:
    return re.compile(decoder.decode(pattern), flags)


def _with_text(make: Callable[[str], Any]) -> Callable[..., Any]:
    def decode(_: Decoder, text: str) -> Any:
        _texts(text)
        return make(text)

    return decode


def _with_numbers(make: Callable[..., Any]) -> Callable[..., Any]:
    return lambda decoder, parts: make(*decoder.all(parts))


_DECODERS.update({
    "i": _with_text(lambda text: int(text, 16)),
    "a": Decoder.argument,
    "r": Decoder.reference,
    "L": lambda decoder, values: decoder.add(_scalars(values)),
    "l": _decode_list,
    "T": lambda _, values: tuple(_scalars(values)),
    "t": lambda decoder, forms: tuple(decoder.all(forms)),
    "D": _decode_scalar_dict,
    "d": lambda decoder, pairs: _fill(decoder, decoder.add({}), pairs),
    "s": _decode_set,
    "fs": lambda decoder, forms: frozenset(decoder.all(forms)),
    "ba": lambda decoder, number: decoder.add(bytearray(decoder.blob(number))),
    "b": lambda decoder, number: bytes(decoder.blob(number)),
    "od": lambda d, pairs: _fill(d, d.add(collections.OrderedDict()), pairs),
    "counter": lambda d, pairs: _fill(d, d.add(collections.Counter()), pairs),
    "dd": _decode_default,
    "deque": _decode_deque,
    "c": lambda _, real, imaginary: complex(real, imaginary),
    "range": _with_numbers(range),
    "slice": _with_numbers(slice),
    "ellipsis": lambda _: ...,
    "notimplemented": lambda _: NotImplemented,
    "keys": lambda decoder, forms: dict.fromkeys(decoder.all(forms)).keys(),
    "values": lambda decoder, forms: dict(enumerate(decoder.all(forms))).values(),
    "items": lambda decoder, pairs: dict(map(decoder.all, pairs)).items(),
    "decimal": _with_text(decimal.Decimal),
    "fraction": _with_numbers(fractions.Fraction),
    "datetime": _decode_datetime,
    "time": _decode_time,
    "date": lambda _, parts: dt.date(*_scalars(parts)),
    "delta": lambda _, parts: dt.timedelta(*_scalars(parts)),
    "timezone": _decode_timezone,
    "uuid": _with_text(lambda text: uuid.UUID(hex=text)),
    "path": _with_text(pathlib.Path),
    "purepath": _with_text(pathlib.PurePosixPath),
    "re": _decode_pattern,
    "mv": lambda d, number, form, shape: memoryview(bytes(d.blob(number))).cast(form, shape),
    "namespace": _decode_namespace,
})  # fmt: skip


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
