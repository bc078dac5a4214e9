"""The types of settings: each states its range in words, for errors and for lists."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

REWARDS: Final = (
    "format", "format_paper", "es", "em", "es_star", "em_star", "overlong", "tests", "api",
)  # fmt: skip
"""Names of the reward functions; `recode_train.rewards` has their formulas."""
FORM_REWARDS: Final = ("format", "format_paper")
"""Those that judge the form of a written answer."""
DEFAULT_REWARDS: Final[Mapping[str, float]] = MappingProxyType({"format": 1.0, "es_star": 1.0})

_FINITE: Final = sys.float_info.max
Count = Annotated[int, Meta(ge=1, description="a whole number of at least 1")]
Natural = Annotated[int, Meta(ge=0, description="a whole number of at least 0")]
GroupSize = Annotated[int, Meta(ge=2, description="a whole number of at least 2")]
Seed = Annotated[int, Meta(ge=0, le=2**31 - 1, description="a whole number in [0, 2147483647]")]
Amount = Annotated[float, Meta(ge=0, le=_FINITE, description="a number of at least 0")]
Positive = Annotated[float, Meta(gt=0, le=_FINITE, description="a number above 0")]
Share = Annotated[float, Meta(ge=0, le=1, description="a number in [0, 1]")]
PositiveShare = Annotated[float, Meta(gt=0, le=1, description="a number in [0, 1], above 0")]
Text = Annotated[str, Meta(pattern=r"\S", description="text, and not empty")]
Switch = Annotated[bool, Meta(description="true or false")]
Names = Annotated[tuple[str, ...], Meta(description="a list of names")]
_Finite = Annotated[float, Meta(ge=-_FINITE, le=_FINITE)]
Number = Annotated[float, Meta(ge=-_FINITE, le=_FINITE, description="a finite number")]
Weights = Annotated[Mapping[str, _Finite], Meta(description="a mapping of names to finite numbers")]
Arguments = Annotated[Mapping[str, Any], Meta(description="a mapping of names to values")]
Tuning = Literal["full", "lora", "dora", "qlora"]
NumberFormat = Literal["auto", "float32", "bfloat16", "float16"]
Loss = Literal["grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"]
"""What GRPOConfig of TRL 1.16 knows; a test compares the lists."""
ImportanceLevel = Literal["token", "sequence"]
RewardScale = Literal["group", "batch", "none"]
KeepReward = Literal["auto", "tests", "es", "em", "es_star", "em_star"]
DpoLoss = Literal[
    "sigmoid", "sigmoid_norm", "hinge", "ipo", "nca_pair", "sppo_hard", "apo_zero", "apo_down"
]
"""What DPOConfig of TRL 1.16 knows and needs no other setting."""
VllmMode = Literal["colocate", "server"]
Tools = Annotated[
    tuple[Literal["run", "read"], ...], Meta(description="a list of the tools run and read")
]
TrackerNames = Annotated[
    tuple[Literal["wandb", "tensorboard", "trackio"], ...],
    Meta(description="a list of wandb, tensorboard and trackio"),
]
Turns = Annotated[int, Meta(ge=1, le=20, description="a whole number in [1, 20]")]
Tier = Literal["auto", "docker", "bubblewrap", "landlock"]
_TEXTUAL: Final = frozenset({Text, Switch, Names, Tools, TrackerNames})


def members(wanted: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type alone."""
    if typing.get_origin(wanted) in {typing.Union, types.UnionType}:
        return typing.get_args(wanted)
    return (wanted,)


def is_numeric(wanted: Any) -> bool:
    """Tell whether text may stand for a value of the type.

    YAML reads 5e-5, which has no dot, as text; "true" in quotes stays text.
    """
    return not any(member in _TEXTUAL for member in members(wanted))


def choices(wanted: Any) -> tuple[str, ...]:
    """Return the values that a type lists; empty where it lists none."""
    return typing.get_args(wanted) if typing.get_origin(wanted) is Literal else ()


def expected(wanted: Any) -> str:
    """Say what fits a type.

    >>> expected(Count | None), expected(Tuning)
    ('a whole number of at least 1 or null', 'one of full, lora, dora, qlora')
    """
    if found := choices(wanted):
        return f"one of {', '.join(found)}"
    first, *others = members(wanted)
    return f"{first.__metadata__[0].description}{' or null' if others else ''}"
