"""The types of pandas that cross between processes as plain data; see `crossing_libraries`."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from recode_program.crossing import Decoder, Encoder, UncrossableError, register, register_base

_EXTENSION = re.compile(r"U?Int\d+|Float\d+|boolean|string(\[\w+\])?|str")
_INDICES = (
    "Index", "RangeIndex", "MultiIndex", "DatetimeIndex", "TimedeltaIndex", "PeriodIndex",
    "IntervalIndex", "CategoricalIndex",
)  # fmt: skip


def bind(pd: Any) -> None:
    """Register the types of the loaded library."""
    frame, series, index = pd.DataFrame, pd.Series, pd.Index
    array = pd.array

    def encode_timestamp(_: Encoder, v: Any) -> Any:
        zone = None if v.tz is None else str(v.tz)
        return ["pd.ts", v.asm8.view("i8").item(), v.unit, zone, v.fold]

    def decode_timestamp(_: Decoder, number: Any, unit: Any, zone: Any, fold: Any) -> Any:
        made = pd.Timestamp(int(number), unit=_word(unit), tz=None if zone is None else _zone(zone))
        return made.as_unit(_word(unit)).replace(fold=fold)

    def values(encoder: Encoder, data: Any) -> Any:
        """An array of a column or an index: what numpy holds, or the parts of pandas' own types."""
        name = type(data.dtype).__name__
        if name == "CategoricalDtype":
            return ["cat", encoder.encode(data.codes), encoder.encode(data.categories),
                    bool(data.ordered)]  # fmt: skip
        if name == "DatetimeTZDtype":
            return ["tz", encoder.encode(data.asi8), data.unit, str(data.dtype.tz)]
        if name == "PeriodDtype":
            return ["per", encoder.encode(data.asi8), str(data.dtype)]
        if name == "IntervalDtype":
            return ["iv", encoder.encode(index(data.left)), encoder.encode(index(data.right)),
                    data.closed]  # fmt: skip
        if name in {"NumpyEADtype", "PandasDtype"}:
            return ["np", encoder.encode(data.to_numpy())]
        if isinstance(data.dtype, pd.api.extensions.ExtensionDtype):
            if not _EXTENSION.fullmatch(str(data.dtype)):
                raise UncrossableError(f"a pandas array of {data.dtype}")
            listed = [None if one is pd.NA or one is None else one for one in data]
            return ["ext", str(data.dtype), encoder.all(listed)]
        return ["np", encoder.encode(data.to_numpy() if hasattr(data, "to_numpy") else data)]

    def back(decoder: Decoder, form: Any) -> Any:
        tag, *rest = form
        if tag == "np":
            return decoder.decode(rest[0])
        if tag == "cat":
            codes, categories = decoder.all(rest[:2])
            return pd.Categorical.from_codes(codes, categories, ordered=bool(rest[2]))
        if tag == "tz":
            stamps = decoder.decode(rest[0])
            return (
                pd.DatetimeIndex(stamps.view(f"M8[{_word(rest[1])}]"), tz="UTC")
                .tz_convert(_zone(rest[2]))
                .array
            )
        if tag == "per":
            return pd.arrays.PeriodArray(decoder.decode(rest[0]), dtype=str(rest[1]))
        if tag == "iv":
            left, right = decoder.all(rest[:2])
            return pd.arrays.IntervalArray.from_arrays(left, right, closed=_word(rest[2]))
        if tag == "ext" and type(rest[0]) is str and _EXTENSION.fullmatch(rest[0]):
            return array(decoder.all(rest[1]), dtype=str(rest[0]))
        raise ValueError("no array of pandas")

    def encode_index(encoder: Encoder, value: Any) -> Any:
        names = encoder.all(list(value.names))
        kind = type(value).__name__
        if kind == "RangeIndex":
            return ["pd.r", value.start, value.stop, value.step, *names]
        if kind == "MultiIndex":
            codes = [encoder.encode(one) for one in value.codes]
            return ["pd.mi", [encode_index(encoder, one) for one in value.levels], codes, names]
        freq = (
            getattr(value, "freqstr", None) if kind in {"DatetimeIndex", "TimedeltaIndex"} else None
        )
        return ["pd.i", kind, values(encoder, value.array), freq, *names]

    def decode_index(decoder: Decoder, kind: str, form: Any, freq: Any, name: Any) -> Any:
        made = index(back(decoder, form), name=decoder.decode(name))
        if freq is not None and type(made).__name__ == kind:
            with contextlib.suppress(ValueError):
                made = type(made)(made, freq=str(freq))
        return made

    def decode_multi(decoder: Decoder, levels: Any, codes: Any, names: Any) -> Any:
        made = decoder.all(levels)
        return pd.MultiIndex(
            levels=made, codes=decoder.all(codes), names=decoder.all(names), verify_integrity=True
        )

    def encode_series(encoder: Encoder, value: Any) -> Any:
        reference = encoder.seen(value)
        if reference is not None:
            return reference
        return ["pd.s", values(encoder, value.array), encoder.encode(value.index),
                encoder.encode(value.name), encoder.encode(dict(value.attrs))]  # fmt: skip

    def decode_series(decoder: Decoder, form: Any, labels: Any, name: Any, attrs: Any) -> Any:
        fill = decoder.reserve()
        data = back(decoder, form)
        labels, name, attrs = decoder.all([labels, name, attrs])
        made = fill(series(data, index=labels, name=name, dtype=getattr(data, "dtype", None)))
        made.attrs.update(attrs)
        return made

    def encode_frame(encoder: Encoder, value: Any) -> Any:
        reference = encoder.seen(value)
        if reference is not None:
            return reference
        columns = [values(encoder, value.iloc[:, n].array) for n in range(value.shape[1])]
        return ["pd.f", columns, encoder.encode(value.index), encoder.encode(value.columns),
                encoder.encode(dict(value.attrs))]  # fmt: skip

    def decode_frame(decoder: Decoder, columns: Any, labels: Any, names: Any, attrs: Any) -> Any:
        fill = decoder.reserve()
        data = [back(decoder, one) for one in columns]
        labels, names, attrs = decoder.all([labels, names, attrs])
        parts = {n: series(one, index=labels, dtype=getattr(one, "dtype", None))
                 for n, one in enumerate(data)}  # fmt: skip
        made = frame(parts, index=labels)
        made.columns = names
        made.attrs.update(attrs)
        return fill(made)

    register([series], encode_series, pd_s=decode_series)
    register([frame], encode_frame, pd_f=decode_frame)
    register_base(series, encode_series)
    register_base(frame, encode_frame)
    register(
        [getattr(pd, name) for name in _INDICES], encode_index,
        pd_i=decode_index, pd_mi=decode_multi,
        pd_r=lambda d, start, stop, step, name: pd.RangeIndex(start, stop, step,
                                                              name=d.decode(name)),
    )  # fmt: skip
    register([type(pd.NaT)], lambda *_: ["pd.nat"], pd_nat=lambda _: pd.NaT)
    register([type(pd.NA)], lambda *_: ["pd.na"], pd_na=lambda _: pd.NA)
    register([pd.Timestamp], encode_timestamp, pd_ts=decode_timestamp)
    register(
        [pd.Timedelta], lambda _, v: ["pd.td", v.asm8.view("i8").item(), v.unit],
        pd_td=lambda _, n, unit: pd.Timedelta(int(n), unit=_word(unit)).as_unit(_word(unit)),
    )  # fmt: skip
    register([pd.Period], lambda _, v: ["pd.p", v.ordinal, v.freqstr],
             pd_p=lambda _, n, freq: pd.Period(ordinal=int(n), freq=str(freq)))  # fmt: skip
    register(
        [pd.Interval], lambda e, v: ["pd.iv", e.encode(v.left), e.encode(v.right), v.closed],
        pd_iv=lambda d, left, right, closed: pd.Interval(*d.all([left, right]),
                                                         closed=_word(closed)),
    )  # fmt: skip


def _zone(text: Any) -> str:
    """The name of a time zone. `dateutil/` would be followed by the path of a file."""
    if type(text) is not str or text.startswith("dateutil"):
        raise ValueError("no time zone where one belongs")
    return text


def _word(text: Any) -> str:
    if type(text) is not str or not text.isalpha():
        raise ValueError("no word where one belongs")
    return text
