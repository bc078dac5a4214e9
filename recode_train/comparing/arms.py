"""Arms of a comparison: a name, an algorithm, settings, a start; and the text that describes one.

The text is `NAME=ALGORITHM[,KEY=VALUE...]`, or an algorithm alone, whose arm has its name. Values
are YAML in flow style, so lists, mappings and quoted text may hold commas.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.checks import named_fields_only
from recode_eval.errors import UsageError
from recode_eval.plugins import unknown
from recode_train.algorithms import ALGORITHMS
from recode_train.config import SETTINGS
from recode_train.presets import method_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BASE: Final = "base"
"""The untrained model, which needs no arm."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_PAIRS: Final = {"[": "]", "{": "}", "(": ")"}
OF_THE_COMPARISON: Final = ("model", "data", "output", "seed", "algorithm", "pairs")
"""Settings that the comparison makes itself."""


@named_fields_only
@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSettings:
    """One way to train: an algorithm with its own settings, from the base or from another arm.

    Raises:
        UsageError: there is no such algorithm, or the name cannot be that of a file.

    >>> ArmSettings(name="hot", algorithm="grpo", overrides=["temperature=1.2"]).start
    'base'
    """

    name: str
    """Letters, digits, `-` and `_`; at most 40."""
    algorithm: str
    overrides: Sequence[str] = ()
    """`KEY=VALUE`, as on the command line; they win over the comparison's."""
    preset: str | None = None
    start: str = BASE
    """`base`, or another arm: from its final weights of the same seed."""
    learning_rates: Sequence[float] = ()
    """Rates to try; the best one on the validation task is taken. Empty: that of the settings."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"An arm's name has letters, digits, - and _, at most 40: not {self.name!r}."
            )
        if self.name in SETTINGS:
            raise UsageError(
                f"An arm cannot be called {self.name}, as that is a setting; choose another name."
            )
        if self.algorithm not in ALGORITHMS:
            raise UsageError(unknown("arm", self.algorithm, (BASE, *ALGORITHMS.names())))
        for text in self.overrides:
            key = text.partition("=")[0].strip()
            if key in OF_THE_COMPARISON:
                raise UsageError(
                    f"Arm {self.name}: {key} is the same for all arms of a comparison; an arm "
                    "cannot set it."
                )
        for rate in self.learning_rates:
            if not 0 < rate < float("inf"):
                raise UsageError(f"Arm {self.name}: a learning rate is above 0, not {rate!r}.")
        if len(set(self.learning_rates)) < len(self.learning_rates):
            raise UsageError(f"Arm {self.name}: one learning rate occurs twice.")

    @property
    def label(self) -> str:
        """The method in tables and on the leaderboard."""
        stated = dict(text.partition("=")[::2] for text in self.overrides)
        method = method_label(self.algorithm, self.preset, stated)
        return method if self.name == self.algorithm else f"{method} ({self.name})"


def parse_arm(text: str) -> ArmSettings:
    """Return the arm that a text describes; raises `UsageError`.

    >>> arm = parse_arm("after=grpo,start=sft,rewards={format: 1, tests: 2},learning_rate=[1e-5,2e-5]")
    >>> arm.start, arm.overrides, arm.learning_rates
    ('sft', ('rewards={format: 1, tests: 2}',), (1e-05, 2e-05))
    >>> parse_arm("sft").name
    'sft'
    """  # noqa: E501
    head, *parts = _split(text)
    name, equals, algorithm = (part.strip() for part in head.partition("="))
    if not name or (equals and not algorithm):
        raise UsageError(f"--arm {text}: write NAME=ALGORITHM[,KEY=VALUE...].")
    chosen: dict[str, Any] = {"name": name, "algorithm": algorithm or name}
    overrides = []
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key:
            raise UsageError(f"--arm {text}: write KEY=VALUE, not {part.strip()!r}.")
        if key in {"start", "preset"}:
            if key in chosen:
                raise UsageError(f"--arm {text}: {key} occurs twice.")
            chosen[key] = value
        elif key == "learning_rate" and value.startswith("["):
            chosen["learning_rates"] = parse_rates(value, f"--arm {text}")
        else:
            overrides.append(f"{key}={value}")
    return ArmSettings(**chosen, overrides=tuple(overrides))


def parse_rates(text: str, where: str) -> tuple[float, ...]:
    """Return the numbers of `1e-5,5e-5`, with brackets or without; raises `UsageError`."""
    try:
        rates = tuple(float(part) for part in text.strip().strip("[]").split(",") if part.strip())
    except ValueError:
        rates = ()
    if not rates:
        raise UsageError(f"{where}: learning rates are numbers with commas between them.")
    return rates


def _split(text: str) -> list[str]:
    """Split at the commas that no bracket and no quotation mark encloses; raises `UsageError`."""
    parts, open_brackets, quote = [""], [], ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in _PAIRS:
            open_brackets.append(_PAIRS[sign])
        elif open_brackets and sign == open_brackets[-1]:
            open_brackets.pop()
        elif sign == "," and not open_brackets:
            parts.append("")
            continue
        parts[-1] += sign
    if quote or open_brackets:
        missing = quote or open_brackets[-1]
        raise UsageError(f"--arm {text}: {missing} is missing.")
    return parts


def in_order(arms: Sequence[ArmSettings]) -> tuple[ArmSettings, ...]:
    """Return the arms so that each comes after the one it starts from; raises `UsageError`."""
    by_name = {arm.name: arm for arm in arms}
    if len(by_name) < len(arms):
        raise UsageError("One arm occurs twice.")
    for arm in arms:
        if arm.start != BASE and arm.start not in by_name:
            raise UsageError(
                f"Arm {arm.name}: " + unknown("arm to start from", arm.start, (BASE, *by_name))
            )
    placed: dict[str, ArmSettings] = {}
    while len(placed) < len(arms):
        ready = [a for a in arms if a.name not in placed and a.start in {BASE, *placed}]
        if not ready:
            circle = ", ".join(a.name for a in arms if a.name not in placed)
            raise UsageError(f"The arms {circle} start from one another; one must start at base.")
        placed |= {arm.name: arm for arm in ready[:1]}
    return tuple(placed.values())


def ancestors(arm: ArmSettings, arms: Sequence[ArmSettings]) -> Iterator[ArmSettings]:
    """Yield the arms that an arm starts from, the nearest first."""
    by_name = {other.name: other for other in arms}
    while arm.start != BASE:
        arm = by_name[arm.start]
        yield arm
