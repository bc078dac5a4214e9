"""Reward ablation: trainings that differ only in the weights of their rewards.

What a reward is worth is what the trained model can do that the untrained one could not, on the
same problems: paired differences, from the evaluations during the trainings or from runs on the
boards whose models are known to come from these trainings (`training` in a file with facts).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recode_eval.comparison.pooling import Evidence, adjusted, compared, evidence, pooled
from recode_eval.leaderboard.dynamics import reward_words
from recode_eval.leaderboard.methods import Role, role
from recode_eval.leaderboard.text import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from recode_eval.comparison.pooling import Change
    from recode_eval.leaderboard.boards import Board
    from recode_eval.leaderboard.dynamics import Group
    from recode_eval.leaderboard.loading import RunEntry
    from recode_eval.leaderboard.model_facts import FactBook
    from recode_eval.leaderboard.training import Training

_PAPER = {"format", "es_star"}


@dataclass(frozen=True, slots=True)
class Result:
    """Result of one training under one set of conditions."""

    conditions: str
    """Digest of everything that must agree for two results to be compared."""
    label: str
    metric: str
    before: Sequence[Evidence]
    after: Sequence[Evidence]


@dataclass(frozen=True, slots=True)
class AblationRow:
    """One set of weights."""

    words: str
    weights: Mapping[str, float]
    trainings: tuple[Training, ...]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    gain: Change | None
    """Trained minus untrained."""
    against: Change | None
    """This minus the table's reference; None for the reference itself."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """Sets of weights under one set of conditions, all else equal."""

    key: str
    algorithm: str
    label: str
    metric: str
    reference: str
    rows: tuple[AblationRow, ...]


def board_results(boards: Iterable[Board], facts: FactBook) -> dict[Path, list[Result]]:
    """Return what the boards have of models that come from a training, by its folder."""
    found: dict[Path, list[Result]] = defaultdict(list)
    for board in boards:
        runs = [(s.run, facts.find(s.run.bare_name)) for s in board.standings if s.rank]
        made: dict[tuple[Path, str | None], list[RunEntry]] = defaultdict(list)
        bases: dict[str | None, list[RunEntry]] = defaultdict(list)
        for run, known in runs:
            if known.method is None:
                continue
            if role(known.method) is Role.BASE:
                bases[known.base].append(run)
            elif known.training is not None:
                made[known.training, known.base].append(run)
        wanted = {base for _, base in made}
        starts = {base: _evidence(bases[base], board.primary) for base in wanted}
        for (folder, base), after in made.items():
            before = starts[base]
            if before:
                label = f"{board.label}, final models"
                result = Result(
                    board.key, label, board.primary, before, _evidence(after, board.primary)
                )
                found[folder].append(result)
    return dict(found)


def _evidence(runs: Iterable[RunEntry], metric: str) -> list[Evidence]:
    return [evidence(run.problems, (metric,)) for run in runs]


def checkpoint_results(training: Training) -> list[Result]:
    """Compare a training's last evaluation with the one before its first step."""
    found = []
    for task in sorted({checkpoint.task for checkpoint in training.checkpoints}):
        of_task = [c for c in training.checkpoints if c.task == task]
        first, last = of_task[0], of_task[-1]
        if first.proof is None or last.proof is None or first.step != 0 or last.step == 0:
            continue
        if first.proof.rules == last.proof.rules and first.metric == last.metric:
            label = f"{task}, evaluation at step {last.step}"
            key = digest([last.proof.rules, last.metric, last.step])
            before, after = [first.proof.evidence], [last.proof.evidence]
            found.append(Result(key, label, last.metric, before, after))
    return found


def ablations(groups: Iterable[Group], linked: Mapping[Path, Sequence[Result]]) -> list[Ablation]:
    """Return a table for each set of trainings that differ in the rewards only."""
    tables: list[Ablation] = []
    for group in groups:
        alike: dict[str, list[Training]] = defaultdict(list)
        for arm in group.arms:
            for training in arm.trainings:
                if training.rewards:
                    others = {k: v for k, v in training.deciding.items() if k != "rewards"}
                    alike[digest(others)].append(training)
        for members in alike.values():
            tables += _tables(members, linked)
    return tables


def _tables(members: Sequence[Training], linked: Mapping[Path, Sequence[Result]]) -> list[Ablation]:
    """Return a table per set of conditions under which two sets of weights have results."""
    found: dict[str, dict[str, list[tuple[Training, Result]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for training in members:
        for result in [*linked.get(training.folder, ()), *checkpoint_results(training)]:
            found[result.conditions][digest(_weights(training))].append((training, result))
    return [_table(list(rows.values())) for _, rows in sorted(found.items()) if len(rows) > 1]


def _table(sets: Sequence[Sequence[tuple[Training, Result]]]) -> Ablation:
    first_training, first = sets[0][0]
    rows = [_row(items) for items in sets]
    rows.sort(
        key=lambda pair: (set(pair[0].weights) != _PAPER, len(pair[0].weights), pair[0].words)
    )
    reference, base = rows[0]
    gains, rivals = [], []
    for row, known in rows:
        pair = None if known is None or base is None or row is reference else (base[1], known[1])
        gains.append(None if known is None else compared(*known, first.metric))
        rivals.append(None if pair is None else compared(*pair, first.metric))
    tested = adjusted([*gains, *rivals], [first.metric] * 2 * len(rows))
    return Ablation(
        digest([first.conditions, *(t.key for items in sets for t, _ in items)]),
        first_training.algorithm,
        first.label,
        first.metric,
        reference.words,
        tuple(
            replace(row, gain=tested[index], against=tested[len(rows) + index])
            for index, (row, _) in enumerate(rows)
        ),
    )


def _row(
    items: Sequence[tuple[Training, Result]],
) -> tuple[AblationRow, tuple[Evidence, Evidence] | None]:
    """Return a set of weights without its tests, and the evidence for them."""
    trainings = sorted((training for training, _ in items), key=lambda t: (t.seed, t.where))
    weights = _weights(trainings[0])
    row = AblationRow(
        " + ".join(reward_words(weights)), weights, tuple(trainings), None, None, None, None
    )
    metric = items[0][1].metric
    befores = [known for _, result in items for known in result.before]
    afters: dict[str, list[Evidence]] = defaultdict(list)
    for training, result in items:
        if result.after:
            afters[training.key] += result.after
    if not befores or not afters:
        return row, None
    # All trainings of a base may begin with the very same runs of it: the mean stays theirs.
    before = pooled(befores)
    after = pooled([pooled(runs) for runs in afters.values()], trainings=True)
    row = replace(row, before=before.estimate(metric), after=after.estimate(metric))
    return row, (before, after)


def _weights(training: Training) -> dict[str, float]:
    """Return the rewards with a weight."""
    return {name: float(weight) for name, weight in training.rewards.items() if weight}
