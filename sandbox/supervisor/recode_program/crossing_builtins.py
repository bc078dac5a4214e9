"""The types of Python itself that cross between processes as plain data; see `crossing`."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import fractions
import importlib
import pathlib
import re
import sys
import types
import uuid
from typing import Any, Callable

from recode_program.crossing import SIMPLE, Decoder, Encoder, UncrossableError, register


def _plain_items(values: Any) -> bool:
    found = set(map(type, values))
    if found <= SIMPLE:
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
    return ["datetime", parts, _encode_zone(encoder, value.tzinfo)]


def _encode_zone(encoder: Encoder, value: dt.tzinfo | None) -> Any:
    if value is None or type(value) is dt.timezone:
        return encoder.encode(value)
    zones = sys.modules.get("zoneinfo")
    if zones is not None and type(value) is zones.ZoneInfo and value.key:  # type: ignore[attr-defined]
        return ["zone", value.key]  # type: ignore[attr-defined]
    raise UncrossableError(f"a {type(value).__module__}.{type(value).__name__}")


def _decode_zone(_: Decoder, key: Any) -> Any:
    _texts(key)
    try:
        return importlib.import_module("zoneinfo").ZoneInfo(key)
    except (LookupError, OSError):
        raise ValueError("no time zone") from None


def _encode_time(encoder: Encoder, value: dt.time) -> Any:
    parts = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return ["time", parts, _encode_zone(encoder, value.tzinfo)]


def _encode_timezone(encoder: Encoder, value: dt.timezone) -> Any:
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined]
    return ["timezone", encoder.encode(offset), *name]


def _encode_field(encoder: Encoder, value: Any) -> Any:
    flags = [bool(value.init), bool(value.repr), value.hash, bool(value.compare)]
    kind = getattr(value._field_type, "name", "")
    parts = (value.type, value.default, value.default_factory, value.metadata)
    return ["field", value.name, flags, kind, *map(encoder.attempt, parts)]


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
    types.MappingProxyType: lambda encoder, value: ["proxy", encoder.encode(dict(value))],
    memoryview: lambda encoder, v: ["mv", encoder.blob(v.tobytes()), v.format, list(v.shape)],
    type(dataclasses.MISSING): lambda *_: ["missing"],
    dataclasses.Field: _encode_field,
    types.SimpleNamespace: _container(
        "namespace", lambda encoder, value: [_pairs(encoder, vars(value))]
    ),
}


def _scalars(values: Any) -> Any:
    if type(values) is not list or not set(map(type, values)) <= SIMPLE | {int}:
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
    year, month, day, hour, minute, second, microsecond, fold = _scalars(parts)
    at = (hour, minute, second, microsecond)
    return dt.datetime(year, month, day, *at, tzinfo=_zone(decoder, zone), fold=fold)


def _decode_time(decoder: Decoder, parts: list[int], zone: Any) -> Any:
    hour, minute, second, microsecond, fold = _scalars(parts)
    return dt.time(hour, minute, second, microsecond, _zone(decoder, zone), fold=fold)


def _zone(decoder: Decoder, form: Any) -> Any:
    zone = decoder.decode(form)
    if zone is not None and not isinstance(zone, dt.tzinfo):
        raise ValueError("no time zone where one belongs")
    return zone


def _decode_timezone(decoder: Decoder, offset: Any, *name: str) -> Any:
    _texts(*name)
    return dt.timezone(decoder.decode(offset), *name)


_FIELD_KINDS: dict[str, Any] = {
    one.name: one
    for one in vars(dataclasses).values()
    if isinstance(one, dataclasses._FIELD_BASE)  # type: ignore[attr-defined]
}


def _decode_field(decoder: Decoder, name: Any, flags: Any, kind: Any, *forms: Any) -> Any:
    """`asdict` and `fields` look at what kind of field it is, by identity."""
    _texts(name, kind)
    init, shown, hashed, compare = _scalars(flags)
    made: Any = dataclasses.field(init=init, repr=shown, hash=hashed, compare=compare)
    made.type, made.default, made.default_factory, made.metadata = decoder.all(list(forms))
    made.name, made._field_type = name, _FIELD_KINDS.get(kind)
    return made


def _decode_pattern(decoder: Decoder, pattern: Any, flags: int) -> Any:
    return re.compile(decoder.decode(pattern), flags)


def _with_text(make: Callable[[str], Any]) -> Callable[..., Any]:
    def decode(_: Decoder, text: str) -> Any:
        _texts(text)
        return make(text)

    return decode


def _with_numbers(make: Callable[..., Any]) -> Callable[..., Any]:
    return lambda decoder, parts: make(*decoder.all(parts))


_DECODERS: dict[str, Callable[..., Any]] = {
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
    "zone": _decode_zone,
    "uuid": _with_text(lambda text: uuid.UUID(hex=text)),
    "path": _with_text(pathlib.Path),
    "purepath": _with_text(pathlib.PurePosixPath),
    "re": _decode_pattern,
    "proxy": lambda decoder, form: types.MappingProxyType(decoder.decode(form)),
    "mv": lambda d, number, form, shape: memoryview(bytes(d.blob(number))).cast(form, shape),
    "namespace": _decode_namespace,
    "missing": lambda _: dataclasses.MISSING,
    "field": _decode_field,
}  # fmt: skip

for _kind, _encode in _ENCODERS.items():
    register([_kind], _encode)
register([], lambda *_: None, **_DECODERS)
