"""Days in rows: when the change that a row is about was made."""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from recode_eval.tasks.rows import RowError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MONTH = re.compile(r"(?P<year>[0-9]{4})-(?P<month>0[1-9]|1[0-2])")
_RUST = re.compile(r"1\.(?P<minor>\d{1,3})\.(?P<patch>\d+)")
_RUST_1_5 = date(2015, 12, 10)
"""Every six weeks since then, on a Thursday, another minor version
(https://doc.rust-lang.org/book/appendix-07-nightly-rust.html)."""


def day(raw: Mapping[str, Any], key: str) -> date | None:
    """Return a field's day, which YAML reads as one and JSON as text; None if the row has none.

    >>> day({"changed_on": "2024-09-18"}, "changed_on")
    datetime.date(2024, 9, 18)
    """
    value = raw.get(key)
    if value is None or type(value) is date:
        return value
    try:
        if _DAY.fullmatch(value):  # some Pythons read 20240918 and 2024-W38-3, too
            return date.fromisoformat(value)
        raise ValueError
    except (TypeError, ValueError):
        raise RowError(f"the field {key} must be a day such as 2024-09-18") from None


def month(value: object) -> tuple[date, date] | None:
    """Return the first and the last day of a month; None for anything else.

    >>> month("2024-02")
    (datetime.date(2024, 2, 1), datetime.date(2024, 2, 29))
    """
    match = _MONTH.fullmatch(value) if isinstance(value, str) else None
    if match is None or match["year"] == "0000":
        return None
    year, number = int(match["year"]), int(match["month"])
    return date(year, number, 1), date(year, number, calendar.monthrange(year, number)[1])


def rust_release(version: str) -> date | None:
    """Return the day on which a version of Rust appeared; None for what is none after 1.5.

    A repair (1.80.1) has the day of its minor version: what it is about was public by then.

    >>> rust_release("1.80.0")
    datetime.date(2024, 7, 25)
    """
    match = _RUST.fullmatch(version)
    if match is None or int(match["minor"]) < 5:
        return None
    return _RUST_1_5 + timedelta(weeks=6 * (int(match["minor"]) - 5))
