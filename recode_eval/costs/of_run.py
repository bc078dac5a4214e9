"""What a run cost: sums over its answers, and what `results.json` says of them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recode_eval.costs.prices import Price, find_price, rounded
from recode_eval.errors import DataError
from recode_eval.models.backends import backend_facts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from recode_eval.costs.prices import Answered
    from recode_eval.models.base import ModelInfo

PER_HOUR_SERVED = (
    "the price is per hour, but of a server only its requests' times are known, many at once"
)
NOT_GENERATED = "its answers are saved or known, so none was paid for"
NO_PRICE = "no entry of the prices matches the model's name"


@dataclass(frozen=True, slots=True)
class Pricing:
    """The price of a run's model, or why its cost is unknown; a manifest keeps it."""

    price: Price | None
    unknown: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what a manifest keeps."""
        price = None if self.price is None else self.price.to_json()
        return {"price": price, "unknown": self.unknown}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Pricing:
        """Read what a manifest keeps; raises `ValueError`, `TypeError` or `KeyError`."""
        price = stored["price"]
        return cls(None if price is None else Price.from_json(price), str(stored["unknown"]))


def stored_pricing(stored: Any, folder: Path) -> Pricing:
    """Read the price of a run's manifest; raises `DataError` for what no run writes."""
    try:
        return Pricing.from_json(stored)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{folder}: in manifest.json, `pricing` is malformed ({error}). Give the prices again "
            "with --prices FILE."
        ) from error


def pricing_of(prices: tuple[Price, ...], model: ModelInfo) -> Pricing:
    """Return what a price file says of a model."""
    if not backend_facts(model.backend).generates:
        return Pricing(None, NOT_GENERATED)
    price = find_price(prices, model.name)
    if price is None:
        return Pricing(None, NO_PRICE)
    if price.per_hour is not None and "base_url" in model.identity:
        return Pricing(None, PER_HOUR_SERVED)
    return Pricing(price)


class RunCost:
    """Adds up what the answers of a run cost."""

    def __init__(self, pricing: Pricing | None) -> None:
        """Without a pricing there is no cost, and nothing to say about it."""
        self._pricing = pricing
        self._total = self._whole = self._scored = Decimal(0)
        self._samples = 0
        self._unknown = "" if pricing is None else pricing.unknown

    def add(self, answer: Answered, *, scored: bool, sample: bool = True) -> None:
        """Add an answer; `scored`: it counts among the run's verdicts.

        Without `sample` it is a part of a conversation that is not finished: paid for, no sample.
        """
        if self._pricing is None or self._pricing.price is None or self._unknown:
            return
        try:
            cost = self._pricing.price.of(answer)
        except ValueError as error:
            self._unknown = str(error)
            return
        self._total += cost
        self._scored += cost if scored else 0
        self._whole += cost if sample else 0
        self._samples += sample

    @property
    def unknown(self) -> str | None:
        """Why the cost is unknown although there are prices; None where it is known."""
        return self._unknown or None

    def to_json(self, passed: int) -> dict[str, Any] | None:
        """Return `usage.cost`; `passed` samples solve their problem."""
        price = None if self._pricing is None else self._pricing.price
        if price is None or self._unknown or not self._samples:
            return None
        return {
            "currency": price.currency,
            "total": rounded(self._total),
            "per_sample": rounded(self._whole / self._samples),
            "per_solved": rounded(self._scored / passed) if passed else None,
            "as_of": price.as_of,
            "source": price.source,
        }
