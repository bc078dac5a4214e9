"""The pages on training: RL against SFT, and training dynamics."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.leaderboard import dynamics, methods
from recode_eval.leaderboard.ablation import Ablation, ablations, board_results
from recode_eval.leaderboard.dynamics import Group, Panel, last_checkpoints, panels
from recode_eval.leaderboard.plots import crosses, swatch
from recode_eval.leaderboard.retention import Tradeoff, tradeoffs
from recode_eval.leaderboard.site_views import SiteView

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from markupsafe import Markup

    from recode_eval.leaderboard.boards import Board
    from recode_eval.leaderboard.methods import BaseModelBlock, ReportedMethod
    from recode_eval.leaderboard.model_facts import FactBook, ReportedRow
    from recode_eval.leaderboard.site_views import SiteData
    from recode_eval.leaderboard.training import Training

_MOST_SUMMED = 40
"""Rows of the summary on the overview."""


@dataclass(frozen=True, slots=True)
class TrainingViews:
    """The content of the pages; empty without facts and logs."""

    blocks: tuple[BaseModelBlock, ...]
    reported: tuple[ReportedMethod, ...]
    tradeoffs: tuple[Tradeoff, ...]
    groups: tuple[Group, ...]
    ablations: tuple[Ablation, ...]

    @property
    def tasks(self) -> list[str]:
        """The tasks of all blocks."""
        return sorted({task for block in self.blocks for task in block.tasks})

    @property
    def summary(self) -> list[tuple[Any, ...]]:
        """The first rows for the overview: block, section, row, and the changes of the row."""
        return self._summary()[:_MOST_SUMMED]

    @property
    def summary_left(self) -> int:
        """How many rows the overview leaves out."""
        return max(0, len(self._summary()) - _MOST_SUMMED)

    @property
    def keeps(self) -> bool:
        """Whether any method was asked what its base could do before."""
        return any(section.retention for block in self.blocks for section in block.sections)

    def _summary(self) -> list[tuple[Any, ...]]:
        return [
            (block, section, *parts)
            for block in self.blocks
            for section in block.summed
            for parts in section.summary
        ]

    @property
    def reported_columns(self) -> list[tuple[str, str]]:
        """Task and metric of everything that was reported."""
        return list(dict.fromkeys(key for item in self.reported for key in item.figures))

    @property
    def charts(self) -> list[tuple[Tradeoff, Markup]]:
        """Retention against gain, a chart for each pair of boards."""
        return [
            (
                tradeoff,
                crosses(
                    [point for point, *_ in tradeoff.points],
                    f"Change on {tradeoff.kept} against gain on {tradeoff.gain}",
                    f"tradeoff-{number}",
                    (f"gain on {tradeoff.gain}", f"change on {tradeoff.kept}"),
                ),
            )
            for number, tradeoff in enumerate(self.tradeoffs)
        ]

    def sections(self) -> list[tuple[Group, list[Panel]]]:
        """Return the groups of trainings with their charts."""
        return [(group, panels(group)) for group in self.groups]


def training_views(
    boards: Sequence[Board],
    facts: FactBook,
    reported: Iterable[ReportedRow],
    trainings: Sequence[Training],
) -> TrainingViews:
    """Return the content on methods and trainings."""
    blocks = methods.blocks(boards, facts)
    groups = dynamics.groups(trainings)
    return TrainingViews(
        tuple(blocks),
        tuple(methods.reported_methods(reported)),
        tuple(tradeoffs(blocks)),
        tuple(groups),
        tuple(ablations(groups, board_results(boards, facts))),
    )


def _json(content: object) -> str:
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _methods(site: SiteData) -> dict[str, Any] | None:
    found = site.training
    return {"view": found} if found.blocks or found.reported else None


def _methods_files(site: SiteData) -> Iterable[tuple[str, str]]:
    if site.training.blocks:
        yield "data/methods.json", _json(methods.to_json(site.training.blocks))


def _training(site: SiteData) -> dict[str, Any] | None:
    found = site.training
    return {"view": found, "sections": found.sections()} if found.groups else None


def _training_files(site: SiteData) -> Iterable[tuple[str, str]]:
    yield "data/training.json", _json(dynamics.to_json(site.training.groups))


METHODS_VIEW = SiteView("methods.html", "RL against SFT", "methods.html", _methods, _methods_files)
TRAINING_VIEW = SiteView("training.html", "Training", "training.html", _training, _training_files)
HELPERS = {"swatch": swatch, "last_checkpoints": last_checkpoints}
"""What the templates of these pages call."""
