"""The user's own prices: a dated file, checked key by key, and what an answer costs by it.

No price is shipped. The first entry whose pattern matches a model's name counts; a model without
one has an unknown cost, never a cost of 0. All arithmetic is decimal and exact.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Protocol, Self

from recode_eval.errors import UsageError
from recode_eval.plugins import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TOP = ("currency", "models")
_TOKENS = ("input", "cached_input", "output", "batch")
_AMOUNTS = (*_TOKENS, "per_hour")
_KEYS = ("model", "as_of", "source", *_AMOUNTS)
_MILLION = Decimal(1_000_000)
_HOUR = Decimal(3600)
_HIGHEST = Decimal(10**9)
_LONGEST = 500
_CURRENCY = re.compile(r"[A-Z]{3}")
_PLACEHOLDER = re.compile(r"\s*<[^<>]*>\s*")
_NEVER_ASKED = "prompt_too_long"
_SHOWN = Context(prec=8)


class Answered(Protocol):
    """What a price needs to know of an answer: a stored record or a completion."""

    @property
    def finish_reason(self) -> str:
        """Why it ended."""
        ...

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of the prompt, cached ones included."""
        ...

    @property
    def completion_tokens(self) -> int | None:
        """Tokens of the answer, thoughts included."""
        ...

    @property
    def cached_tokens(self) -> int | None:
        """Of the prompt's tokens those that the server had in its cache."""
        ...

    @property
    def seconds(self) -> float | None:
        """Wall time of the generation."""
        ...

    @property
    def batched(self) -> bool:
        """Whether a batch job asked for it."""
        ...


@dataclass(frozen=True, slots=True)
class Price:
    """One entry of a price file, in `currency`; amounts are exact."""

    model: str
    """A model's name, or a pattern with `*` and `?`."""
    currency: str
    as_of: str
    """The day on which the price held (ISO)."""
    source: str
    """Where the price stands."""
    input: Decimal | None = None
    """Of a million tokens of the prompt."""
    cached_input: Decimal | None = None
    """Of a million tokens that the server had in its cache; None: as `input`."""
    output: Decimal | None = None
    """Of a million tokens of the answer, thoughts included."""
    batch: Decimal | None = None
    """Factor for answers of batch jobs, in (0, 1]; None: unknown."""
    per_hour: Decimal | None = None
    """Of an hour of generation on this machine; instead of prices of tokens."""

    def matches(self, name: str) -> bool:
        """Whether this is the price of a model.

        >>> Price("big-*", "EUR", "2026-01-31", "a list").matches("big-one")
        True
        """
        return fnmatch.fnmatchcase(name, self.model.replace("[", "[[]"))

    def of_tokens(self, prompt: int, answer: int, *, cached: int = 0, batched: bool) -> Decimal:
        """Return what tokens cost; `cached` are a part of `prompt`.

        Raises `ValueError` where the price says nothing of tokens, or of batches.

        >>> million = Price("m", "EUR", "2026-01-31", "a list", Decimal(2), output=Decimal(8))
        >>> million.of_tokens(500, 250, batched=False)
        Decimal('0.003')
        """
        if self.input is None or self.output is None:
            raise ValueError("the price is per hour, not of tokens")
        if batched and self.batch is None:
            raise ValueError("the price has no factor `batch`")
        read = self.input if self.cached_input is None else self.cached_input
        cached = min(cached, prompt)
        whole = (prompt - cached) * self.input + cached * read + answer * self.output
        return whole / _MILLION * (self.batch if batched and self.batch is not None else 1)

    def most_of_tokens(self, prompt: int, answer: int, *, batched: bool) -> Decimal:
        """Return what tokens cost at most, however many of them the server has in its cache.

        >>> million = Price("m", "EUR", "2026-01-31", "a list", Decimal(2), Decimal(3), Decimal(8))
        >>> million.most_of_tokens(500, 250, batched=False)
        Decimal('0.0035')
        """
        costs = (
            self.of_tokens(prompt, answer, cached=cached, batched=batched) for cached in (0, prompt)
        )
        return max(costs)

    def of(self, answer: Answered) -> Decimal:
        """Return what one answer costs; raises `ValueError` with the reason if nobody can know."""
        if self.per_hour is not None:
            if answer.seconds is None:
                raise ValueError("the back-end does not say how long the generation took")
            return Decimal(repr(answer.seconds)) * self.per_hour / _HOUR
        asked, written = answer.prompt_tokens, answer.completion_tokens
        if answer.finish_reason == _NEVER_ASKED:  # refused before anything was read
            asked, written = asked or 0, written or 0
        if asked is None or written is None:
            raise ValueError("the server does not say how many tokens its answers took")
        return self.of_tokens(
            asked, written, cached=answer.cached_tokens or 0, batched=answer.batched
        )

    def to_json(self) -> dict[str, str]:
        """Return what a manifest keeps; amounts as text, which is exact."""
        values = ((item.name, getattr(self, item.name)) for item in fields(self))
        return {name: str(value) for name, value in values if value is not None}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what a manifest keeps; raises `ValueError` or `TypeError` for anything else."""
        known = {item.name for item in fields(cls)}
        if not all(isinstance(value, str) and name in known for name, value in stored.items()):
            raise ValueError("the stored price has an unknown part")
        given = dict(stored)
        for name in _AMOUNTS:
            if name in given:
                given[name] = _stored_amount(given[name])
        found = cls(**given)
        if (found.per_hour is None) == (found.input is None or found.output is None):
            raise ValueError("the stored price has neither tokens nor hours")
        return found


def _stored_amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except ArithmeticError as error:
        raise ValueError(f"the stored price is {text!r:.40}") from error
    if not (amount.is_finite() and 0 <= amount <= _HIGHEST):
        raise ValueError(f"the stored price is {text!r:.40}")
    return amount


def find_price(prices: tuple[Price, ...], name: str) -> Price | None:
    """Return the first price that matches a model's name; None: its cost is unknown."""
    return next((price for price in prices if price.matches(name)), None)


def rounded(amount: Decimal) -> float:
    """Return an amount as results have it: eight significant digits.

    >>> rounded(Decimal("0.1234567891"))
    0.12345679
    """
    return float(_SHOWN.plus(amount))


def load_prices(file: Path) -> tuple[Price, ...]:
    """Read a price file; raises `UsageError` naming the file, the entry and what is expected."""
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Cannot read the prices {file}: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"The prices {file} are not YAML: {error}") from error
    try:
        return _prices(content)
    except ValueError as error:
        raise UsageError(f"The prices {file}: {error}. docs/cost.md shows the format.") from error


def _prices(content: Any) -> tuple[Price, ...]:
    if not isinstance(content, dict):
        raise ValueError("a mapping with `currency` and `models` is expected")  # noqa: TRY004
    _known(content, _TOP, "")
    currency = _text(content.get("currency"), "`currency`")
    if not _CURRENCY.fullmatch(currency):
        raise ValueError(f"`currency` must be a code of three letters such as EUR, not {currency}")
    entries = content.get("models")
    if not isinstance(entries, list) or not entries:
        raise ValueError("`models` must be a list with at least one entry")
    return tuple(_price(entry, number, currency) for number, entry in enumerate(entries, 1))


def _price(entry: Any, number: int, currency: str) -> Price:
    where = f"entry {number}"
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must be a mapping: model, as_of, source, prices")  # noqa: TRY004
    _known(entry, _KEYS, f"{where}: ")
    name = _text(entry.get("model"), f"{where}: `model`")
    where = f"{where} ({name[:60]})"
    amounts = {key: _amount(entry[key], f"{where}: `{key}`") for key in _AMOUNTS if key in entry}
    if "per_hour" in amounts:
        if other := next((key for key in _TOKENS if key in amounts), None):
            raise ValueError(f"{where}: `per_hour` and `{other}` exclude each other")
    elif missing := [key for key in ("input", "output") if key not in amounts]:
        raise ValueError(f"{where}: `{missing[0]}` is missing (or give `per_hour`)")
    if not 0 < amounts.get("batch", Decimal(1)) <= 1:
        raise ValueError(f"{where}: `batch` must be a factor above 0 and at most 1, such as 0.5")
    return Price(
        name,
        currency,
        _day(entry.get("as_of"), f"{where}: `as_of`"),
        _text(entry.get("source"), f"{where}: `source`"),
        **amounts,
    )


def _known(content: Mapping[Any, Any], keys: tuple[str, ...], where: str) -> None:
    for key in content:
        if key not in keys:
            raise ValueError(
                f"{where}unknown key {str(key)!r:.60}.{did_you_mean(key, keys)} Known: "
                f"{', '.join(keys)}"
            )


def _text(value: Any, what: str) -> str:
    if value is None:
        raise ValueError(f"{what} is missing")
    _no_placeholder(value, what)
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST:
        raise ValueError(f"{what} must be text of at most {_LONGEST} characters, in quotes if YAML "
                         "takes it for something else")  # fmt: skip
    return value.strip()


def _day(value: Any, what: str) -> str:
    if value is None:
        raise ValueError(f"{what} is missing: the day on which the price held")
    _no_placeholder(value, what)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    try:
        if isinstance(value, str) and date.fromisoformat(value).isoformat() == value:
            return value
    except ValueError:
        pass
    raise ValueError(f"{what} must be a day such as 2026-01-31, not {str(value)!r:.40}")


def _amount(value: Any, what: str) -> Decimal:
    _no_placeholder(value, what)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} must be a number like 0.25, not {value!r:.40}")  # noqa: TRY004
    amount = Decimal(repr(value))  # 0.1 of the file is 0.1, not the nearest binary fraction
    if not (amount.is_finite() and 0 <= amount <= _HIGHEST):
        raise ValueError(f"{what} must be a number of 0 to {_HIGHEST}, not {value!r:.40}")
    return amount


def _no_placeholder(value: Any, what: str) -> None:
    if isinstance(value, str) and _PLACEHOLDER.fullmatch(value):
        raise ValueError(f"{what} is still the placeholder {value.strip()[:60]}: write your own")
