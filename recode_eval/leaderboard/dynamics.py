"""Training dynamics: the figures of training logs, as stacked panels over the steps.

Trainings of one base model on the same pairs stand together. Those that differ only in the seed are
one arm: one line, with a faint one for each seed. Curves of the training are smoothed, evaluated
checkpoints are not: they have intervals.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.comparison.pooling import pooled
from recode_eval.leaderboard.plots import MOST_POINTS, STYLES, Curve, Span, panel
from recode_eval.leaderboard.text import digest, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from markupsafe import Markup

    from recode_eval.leaderboard.training import EvaluatedCheckpoint, Points, Training

SMOOTHING = 0.9
_ALGORITHMS = ("sft", "grpo", "dapo")
_FIRST_PART, _LAST_PART = "format", "overlong"
_MOST_PARTS = 10
_LONGEST_LABEL = 80


@dataclass(frozen=True, slots=True)
class Arm:
    """Trainings that differ only in the seed."""

    label: str
    style: int
    trainings: tuple[Training, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart with its notes."""

    title: str
    note: str
    figure: Markup


@dataclass(frozen=True, slots=True)
class Group:
    """Trainings of one base model on the same pairs."""

    key: str
    base: str
    data_hash: str
    arms: tuple[Arm, ...]

    @property
    def drawn(self) -> tuple[Arm, ...]:
        """The arms that have a line of their own kind."""
        return self.arms[:STYLES]

    @property
    def tasks(self) -> list[str]:
        """The tasks that checkpoints were evaluated on."""
        return sorted({c.task for arm in self.arms for t in arm.trainings for c in t.checkpoints})


def groups(trainings: Iterable[Training]) -> list[Group]:
    """Return the trainings by base model and pairs, in the order of the base's name."""
    found: dict[str, list[Training]] = defaultdict(list)
    for training in trainings:
        model = training.report["model"]
        # The same weights may lie in different places.
        weights = model.get("sha256") or model
        found[digest([weights, training.report["data_hash"]])].append(training)
    made = [
        Group(key, members[0].base, members[0].report["data_hash"], _arms(members))
        for key, members in found.items()
    ]
    return sorted(made, key=lambda group: (group.base, group.key))


def _arms(members: Sequence[Training]) -> tuple[Arm, ...]:
    by_settings: dict[str, list[Training]] = defaultdict(list)
    for training in members:
        by_settings[digest(training.deciding)].append(training)
    arms = sorted(by_settings.values(), key=lambda arm: (_rank(arm[0]), arm[0].where))
    labels = _labels([arm[0] for arm in arms])
    return tuple(
        Arm(label, style, tuple(sorted(arm, key=lambda t: (t.seed, t.where))))
        for style, (label, arm) in enumerate(zip(labels, arms, strict=True))
    )


def _rank(training: Training) -> int:
    name = training.algorithm
    return _ALGORITHMS.index(name) if name in _ALGORITHMS else len(_ALGORITHMS)


def _labels(arms: Sequence[Training]) -> list[str]:
    """Return the method of each, and in what it differs from others of the same method."""
    labels = []
    for arm in arms:
        same = [other for other in arms if other.method == arm.method]
        names = dict.fromkeys(name for other in same for name in other.deciding)
        differing = [
            name for name in names if len({digest(other.deciding.get(name)) for other in same}) > 1
        ]
        label = shown(arm.method)
        if differing:
            label += ": " + ", ".join(_setting(name, arm.deciding.get(name)) for name in differing)
        labels.append(label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…")
    # What was cut off may have been all that tells two of them apart.
    return [
        f"{label} ({labels[:index].count(label) + 1})" if labels.count(label) > 1 else label
        for index, label in enumerate(labels)
    ]


def _setting(name: str, value: object) -> str:
    if name == "rewards" and isinstance(value, dict):
        return "rewards " + (" + ".join(reward_words(value)) or "none")
    return f"{shown(name)} {shown(value)}"


def reward_words(weights: Mapping[str, float]) -> list[str]:
    """Return the rewards with a weight, for people."""
    return [
        shown(name) if weight == 1 else f"{weight:g} {shown(name)}"
        for name, weight in sorted(weights.items(), key=lambda item: _part_order(item[0]))
        if weight
    ]


def _part_order(name: str) -> tuple[int, str]:
    return (name != _FIRST_PART) + (name == _LAST_PART), name


def panels(group: Group) -> list[Panel]:
    """Return the charts of a group: parts of the reward, checkpoints, then what explains them."""
    made = _Panels(group)
    parts = sorted({p for arm in group.arms for t in arm.trainings for p in t.parts},
                   key=_part_order)  # fmt: skip
    smoothed = f"Moving average ({SMOOTHING:g})"
    for part in parts[:_MOST_PARTS]:
        made.add(f"rewards/{part}/mean", f"Reward: {part}", f"{smoothed}; without its weight.")
    if len(parts) > 1:
        made.add("reward", "Reward: weighted sum", f"{smoothed}.")
    for task in group.tasks:
        made.add_checkpoints(task)
    made.add(
        "frac_reward_zero_std",
        "Share of groups without variance",
        f"{smoothed}. Groups whose rewards are all equal teach nothing.",
        percent=True,
    )
    made.add("completions/mean_length", "Length of completions", f"{smoothed}; tokens.")
    made.add("kl", "KL divergence from the base", f"{smoothed}.")
    made.add("entropy", "Entropy of the next token", f"{smoothed}; nats.")
    made.add("loss", "Loss of SFT", f"{smoothed}.", only="sft")
    return made.found


class _Panels:
    """Collects the charts of a group that have something to show."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._last = float(max(t.last_step for arm in group.arms for t in arm.trainings))
        self.found: list[Panel] = []

    def add(
        self, series: str, title: str, note: str, *, percent: bool = False, only: str = ""
    ) -> None:
        """Add a chart of a logged series."""
        curves = []
        for arm in self._group.drawn:
            if only and arm.trainings[0].algorithm != only:
                continue
            lines = [t.series[series] for t in arm.trainings if t.series.get(series)]
            if lines:
                curves.append(_curve(arm, lines))
        self._draw(curves, title, note, percent=percent)

    def add_checkpoints(self, task: str) -> None:
        """Add a chart of the evaluated checkpoints."""
        curves: list[Curve] = []
        metrics: set[str] = set()
        for arm in self._group.drawn:
            by_step = _by_step(arm, task)
            metrics.update(c.metric for found in by_step.values() for c in found)
            marks = [(float(step), checkpoint_span(found)) for step, found in by_step.items()]
            if marks:
                points = [(step, span.value) for step, span in marks]
                curves.append(Curve(arm.label, arm.style, points, marks=marks))
        metric = " and ".join(sorted(metrics))
        note = (
            "Evaluated checkpoints, not smoothed; bars are 95 % intervals by clusters of problems "
            "where the evaluation's own run lies beside the log. Seeds are pooled by problem."
        )
        self._draw(curves, f"{metric} on {shown(task)}", note, percent=True)

    def _draw(self, curves: Sequence[Curve], title: str, note: str, *, percent: bool) -> None:
        if curves:
            name = f"p-{self._group.key}-{len(self.found)}"
            figure = panel(curves, title, name, self._last, percent=percent)
            self.found.append(Panel(title, note, figure))


def _curve(arm: Arm, lines: Sequence[Points]) -> Curve:
    smooth = [smoothed(points) for points in lines]
    if len(smooth) == 1:
        raw = [(float(step), value) for step, value in lines[0]]
        return Curve(arm.label, arm.style, smooth[0], [raw])
    tables = [dict(line) for line in smooth]
    common = [step for step, _ in smooth[0] if all(step in table for table in tables)]
    mean = [(step, sum(table[step] for table in tables) / len(tables)) for step in common]
    return Curve(arm.label, arm.style, mean, smooth)


def smoothed(points: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """Return the exponential moving average, with Adam's bias correction."""
    total, weight, found = 0.0, 0.0, []
    for step, value in points:
        total = SMOOTHING * total + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        found.append((float(step), total / weight))
    return found


def _by_step(arm: Arm, task: str) -> dict[int, list[EvaluatedCheckpoint]]:
    """Return the checkpoints of the steps at which every seed was evaluated."""
    found: dict[int, list[EvaluatedCheckpoint]] = defaultdict(list)
    for training in arm.trainings:
        for checkpoint in training.checkpoints:
            if checkpoint.task == task:
                found[checkpoint.step].append(checkpoint)
    most = max((len(items) for items in found.values()), default=0)
    return {step: items for step, items in sorted(found.items()) if len(items) == most}


def checkpoint_span(found: Sequence[EvaluatedCheckpoint]) -> Span:
    """Return the mean of the seeds' checkpoints, with an interval where their runs are here."""
    value = sum(c.value for c in found) / len(found)
    proofs = [c.proof for c in found if c.proof is not None]
    if len(proofs) < len(found) or len({proof.rules for proof in proofs}) > 1:
        return Span(value)
    estimate = pooled([proof.evidence for proof in proofs]).estimate(found[0].metric)
    if estimate is None:
        return Span(value)
    return Span(estimate["value"], estimate["low"], estimate["high"])


def last_checkpoints(training: Training) -> dict[str, dict[str, Any]]:
    """Return the last evaluation of each task as an estimate: value, low, high."""
    last = {checkpoint.task: checkpoint for checkpoint in training.checkpoints}
    spans = {task: checkpoint_span([checkpoint]) for task, checkpoint in last.items()}
    return {
        task: {"value": span.value, "low": span.low, "high": span.high}
        for task, span in spans.items()
    }


def to_json(found: Iterable[Group]) -> list[dict[str, Any]]:
    """Return what the charts show as plain values, for the download."""
    return [
        {
            "base": group.base,
            "data_hash": group.data_hash,
            "arm": arm.label,
            "training": training.where,
            "seed": training.seed,
            "finished": training.finished,
            "rewards": dict(training.rewards),
            "series": {name: _thin(points) for name, points in training.series.items()},
            "checkpoints": [
                {"step": c.step, "task": c.task, "metric": c.metric, "value": c.value}
                for c in training.checkpoints
            ],
        }
        for group in found
        for arm in group.arms
        for training in arm.trainings
    ]


def _thin(points: Points) -> list[tuple[int, float]]:
    """Return at most `MOST_POINTS` of the logged points, the first among them."""
    stride = -(-len(points) // MOST_POINTS) or 1
    return list(points[::stride])
