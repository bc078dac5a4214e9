"""The gate's policy: a small YAML file, checked key by key (docs/ci.md)."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from recode_eval.errors import UsageError
from recode_eval.metrics import NAME_PATTERN, downloaded, metric
from recode_eval.plugins import nearest
from recode_eval.schemas.verdict import PolicyContent
from recode_eval.stats.sequential import default_looks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recode_eval.gating.spending import Spending

VERSION = 1
DEFAULT_FILE = Path(__file__).with_name("default_policy.yaml")
DEFAULT = "default"
"""The key of `margins` that speaks for the tasks that are not named."""
_KEYS = (
    "version",
    "alpha",
    "rerun",
    "sequential",
    "looks",
    "max_unscored",
    "min_samples",
    "tasks",
    "margins",
)
_FEWEST_SAMPLES = 2


@dataclass(frozen=True, slots=True)
class Policy:
    """How far a checkpoint may drop, and the confidence that the gate requires."""

    margins: Mapping[str, Mapping[str, float]]
    """Per task (or `default`), per metric: the tolerated drop in points, above 0."""
    alpha: float = 0.05
    """One-sided level of the whole procedure, in (0, 0.5)."""
    rerun: bool = False
    """Whether an inconclusive verdict may be followed by one rerun with new seeds."""
    sequential: bool = True
    """Whether a candidate that the gate samples itself is looked at before all is drawn."""
    looks: tuple[int, ...] | None = None
    """Samples per problem at each look, ascending; None: at every fifth of the baseline's."""
    max_unscored: float = 0.01
    """Share, in [0, 1)."""
    min_samples: int = _FEWEST_SAMPLES
    tasks: tuple[str, ...] | None = None
    spending: Spending | None = None
    """The place of this verdict among those of its training; no key of a file: `watch` counts."""

    @property
    def level(self) -> float:
        """One-sided level of one look: a declared rerun splits `alpha` (Bonferroni)."""
        return self.alpha / 2 if self.rerun else self.alpha

    @property
    def regress_level(self) -> float:
        """One-sided level of a `regress`: what a training's verdict may spend of `level`."""
        return self.level * (1 if self.spending is None else self.spending.regress_share)

    @property
    def promotion_level(self) -> float:
        """One-sided level of *improved*, which may make a checkpoint the reference."""
        share = None if self.spending is None else self.spending.promotion_share
        return self.level * (1 if share is None else share)

    @property
    def confidence(self) -> float:
        """Of the two-sided interval whose ends are one look's two one-sided tests."""
        return 1 - 2 * self.level

    def looks_at(self, task: str, n: int) -> tuple[int, ...]:
        """Return the samples per problem at each look if the baseline has `n`; the last is `n`.

        There is no look with fewer than `min_samples`, or than the k of a metric such as pass@k.
        """
        ks = (metric(name).k for name in self.metrics(task))
        least = max([self.min_samples, *(k for k in ks if k is not None)])
        if not self.sequential or n <= least:
            return (n,)
        if self.looks is None:
            return default_looks(n, least)
        return (*(look for look in self.looks if least <= look < n), n)

    def metrics(self, task: str) -> Mapping[str, float]:
        """Return the gate's metrics of a task with their margins in points."""
        return self.margins.get(task, self.margins.get(DEFAULT, {}))

    def to_json(self) -> dict[str, Any]:
        """Return the content of a file that says the same."""
        content = {"version": VERSION, **asdict(self)}
        return {key: content[key] for key in _KEYS}


def load_policy(file: Path | None = None) -> Policy:
    """Read a policy, or the default one; keys that are left out keep their default.

    Raises `UsageError` naming the file, the key and what is expected.
    """
    file = file or DEFAULT_FILE
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Cannot read the policy {file}: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"The policy {file} is not YAML: {error}") from error
    try:
        return _policy(content)
    except ValueError as error:
        raise UsageError(
            f"The policy {file}: {error}. `recode-eval gate --print-policy` shows a complete one."
        ) from error


_EXPECTED = {
    "version": f"be {VERSION}",
    "alpha": "be a number between 0 and 0.5",
    "rerun": "be true or false",
    "sequential": "be true or false",
    "looks": "be a list of ascending whole numbers above 0, or null",
    "max_unscored": "be a number between 0 and 1",
    "min_samples": f"be a whole number of at least {_FEWEST_SAMPLES}",
    "tasks": "be a list of names, or null",
    "margins": "map tasks (or `default`) to metrics with their points: {default: {pass@1: 3}}",
}
"""What each key must do; its type and range are those of `PolicyContent`."""


def _policy(content: object) -> Policy:
    if not isinstance(content, dict):
        raise ValueError("a mapping is expected")  # noqa: TRY004 - one kind of error for the file
    for key in content:
        if key not in _EXPECTED:
            raise ValueError(f"unknown key {key!r}{_hint(key, _EXPECTED)}")
    margins = content.get("margins")
    known = {**Policy(margins={}).to_json(), "version": None, **content}
    try:
        found = msgspec.convert({**known, "margins": {}}, PolicyContent)
    except msgspec.ValidationError as error:
        key = next(key for key in _EXPECTED if f"`$.{key}" in str(error))
        raise ValueError(f"`{key}` must {_EXPECTED[key]}, not {content.get(key)!r}") from error
    looks, tasks = found.looks, found.tasks
    if looks is not None and (not looks or looks != sorted(set(looks))):
        raise ValueError(f"`looks` must {_EXPECTED['looks']}, not {looks}")
    if tasks is not None and not tasks:
        raise ValueError(f"`tasks` must {_EXPECTED['tasks']}")
    return Policy(
        margins=_margins(margins),
        alpha=found.alpha,
        rerun=found.rerun,
        sequential=found.sequential,
        looks=None if looks is None else tuple(looks),
        max_unscored=found.max_unscored,
        min_samples=found.min_samples,
        tasks=None if tasks is None else tuple(dict.fromkeys(tasks)),
    )


def _hint(name: object, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {near}?"


def _margins(content: object) -> dict[str, dict[str, float]]:
    if not isinstance(content, dict) or not content:
        raise ValueError(f"`margins` must {_EXPECTED['margins']}")
    for task, metrics in content.items():
        if not isinstance(task, str) or not isinstance(metrics, dict) or not metrics:
            raise ValueError(f"`margins` of {task!r} must map metrics to points: {{pass@1: 3}}")
    return {
        task: {str(name): _points(task, str(name), points) for name, points in metrics.items()}
        for task, metrics in content.items()
    }


def _points(task: str, name: str, points: object) -> float:
    """Return a margin; it must be smaller than the metric's whole range."""
    if not re.match(NAME_PATTERN, name):
        # A measure of a task's own may have any such name; others must be metrics.
        hint = _hint(name, downloaded())
        raise ValueError(f"`margins.{task}.{name}`: unknown metric{hint}")
    most = 100 * metric(name).width
    if type(points) not in {int, float} or not 0 < points < most:  # type: ignore[operator]
        raise ValueError(f"`margins.{task}.{name}` must be a number between 0 and {most:g}")
    return float(points)  # type: ignore[arg-type]
