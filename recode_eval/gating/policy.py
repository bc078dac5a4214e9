"""The gate's policy: a small YAML file, checked key by key (docs/ci.md)."""

from __future__ import annotations

import difflib
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.errors import UsageError
from recode_eval.stats.sequential import default_looks

if TYPE_CHECKING:
    from collections.abc import Mapping

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
_AT_K = re.compile(r"@([1-9][0-9]{0,8})$")
_FEWEST_SAMPLES = 2
_MOST_POINTS = 100


@dataclass(frozen=True, slots=True)
class Policy:
    """What a checkpoint must keep, and how sure the gate must be."""

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

    @property
    def level(self) -> float:
        """One-sided level of one look: a declared rerun splits `alpha` (Bonferroni)."""
        return self.alpha / 2 if self.rerun else self.alpha

    @property
    def confidence(self) -> float:
        """Of the two-sided interval whose ends are one look's two one-sided tests."""
        return 1 - 2 * self.level

    def looks_at(self, task: str, n: int) -> tuple[int, ...]:
        """Return the samples per problem at each look if the baseline has `n`; the last is `n`.

        There is no look with fewer than `min_samples`, or than the k of a metric such as pass@k.
        """
        ks = (int(found[1]) for name in self.metrics(task) if (found := _AT_K.search(name)))
        least = max([self.min_samples, *ks])
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
        raise UsageError(f"The policy {file} is no YAML: {error}") from error
    try:
        return _policy(content)
    except ValueError as error:
        raise UsageError(
            f"The policy {file}: {error}. `recode-eval gate --print-policy` shows a complete one."
        ) from error


def _policy(content: object) -> Policy:
    if not isinstance(content, dict):
        raise ValueError("a mapping is expected")  # noqa: TRY004 - one kind of error for the file
    for key in content:
        if key not in _KEYS:
            close = difflib.get_close_matches(str(key), _KEYS, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"unknown key {key!r}{hint}")
    if content.get("version") != VERSION:
        raise ValueError(f"`version` must be {VERSION}, not {content.get('version')!r}")
    settings: dict[str, Any] = {"margins": _margins(content.get("margins"))}
    if "alpha" in content:
        settings["alpha"] = _number("alpha", content["alpha"], 0, 0.5)
    for key in ("rerun", "sequential"):
        if key in content:
            if type(content[key]) is not bool:
                raise ValueError(f"`{key}` must be true or false")
            settings[key] = content[key]
    if content.get("looks") is not None:
        settings["looks"] = _looks(content["looks"])
    if "max_unscored" in content:
        settings["max_unscored"] = _number("max_unscored", content["max_unscored"], -1e-9, 1)
    if "min_samples" in content:
        least = content["min_samples"]
        if type(least) is not int or least < _FEWEST_SAMPLES:
            raise ValueError(f"`min_samples` must be a whole number of at least {_FEWEST_SAMPLES}")
        settings["min_samples"] = least
    if content.get("tasks") is not None:
        settings["tasks"] = _names(content["tasks"])
    return Policy(**settings)


def _margins(content: object) -> dict[str, dict[str, float]]:
    if not isinstance(content, dict) or not content:
        raise ValueError("`margins` must map tasks (or `default`) to metrics with their points")
    for task, metrics in content.items():
        if not isinstance(task, str) or not isinstance(metrics, dict) or not metrics:
            raise ValueError(f"`margins` of {task!r} must map metrics to points: {{pass@1: 3}}")
    return {
        task: {
            str(name): _number(f"margins.{task}.{name}", points, 0, _MOST_POINTS)
            for name, points in metrics.items()
        }
        for task, metrics in content.items()
    }


def _looks(content: object) -> tuple[int, ...]:
    looks = content if isinstance(content, list) else []
    ascending = all(type(look) is int for look in looks) and looks == sorted(set(looks))
    if not looks or not ascending or looks[0] < 1:
        raise ValueError("`looks` must be a list of ascending whole numbers above 0, or null")
    return tuple(looks)


def _names(content: object) -> tuple[str, ...]:
    if not isinstance(content, list) or not content or not all(type(x) is str for x in content):
        raise ValueError("`tasks` must be a list of names, or null")
    return tuple(dict.fromkeys(content))


def _number(name: str, value: object, above: float, below: float) -> float:
    if type(value) not in {int, float} or not above < value < below:  # type: ignore[operator]
        raise ValueError(f"`{name}` must be a number between {max(above, 0):g} and {below:g}")
    return float(value)  # type: ignore[arg-type]
