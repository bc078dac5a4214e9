"""Verdicts of the gate for the leaderboard: read as untrusted input, newest first.

A file may come from anybody. One that is not a verdict by its schema is named and left out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recode_eval.errors import DataError, StorageError, UsageError
from recode_eval.gating.shipping import of_file, plain_name, policy_words, shipping_sentence
from recode_eval.leaderboard.loading import BrokenRun
from recode_eval.leaderboard.publishing import public
from recode_eval.leaderboard.site_views import SiteView
from recode_eval.schemas.base import decode
from recode_eval.schemas.verdict import VerdictFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recode_eval.leaderboard.site_views import SiteData

VERDICT = "verdict.json"
_MOST_SHOWN = 200
_MOST_CANDIDATES = 12
"""Candidates with a section of their own; the table has all verdicts."""
_MOST_OLDER = 20
_LARGEST_BYTES = 32_000_000
"""A verdict lists the problems that changed sides; of 10,000 problems that is about a megabyte."""


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """One decision of the gate."""

    where: str
    """The file as people know it: relative to what was given on the command line."""
    created: datetime
    content: VerdictFile

    @property
    def verdict(self) -> str:
        """`pass`, `regress`, `inconclusive` or `invalid`."""
        return self.content.verdict

    @property
    def when(self) -> str:
        """The time for people, to the minute."""
        return self.created.strftime("%Y-%m-%d %H:%M")

    def models(self, side: str) -> str:
        """Return the name of the `baseline` or the `candidate`; hostile text."""
        names = dict.fromkeys(public(task[side].model) for task in self.content.tasks)
        return ", ".join(names) or "unknown"

    @property
    def sentence(self) -> str:
        """What a release engineer needs to know, in the words of the command; safe to show."""
        return shipping_sentence(of_file(self.content), _name)

    @property
    def policy(self) -> tuple[str, ...]:
        """What the policy tolerates, in the words of the command; safe to show."""
        tasks = [task.task for task in self.content.tasks] or self.content.policy.tasks or []
        sampled = self.content.sampling is not None
        return policy_words(self.content.policy, tasks, sampled=sampled, safe=_name)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate with all verdicts on it, the newest first."""

    latest: GateVerdict
    older: tuple[GateVerdict, ...]


def by_candidate(verdicts: Sequence[GateVerdict]) -> list[Candidate]:
    """Return the candidates of some verdicts, the one with the newest verdict first."""
    found: dict[tuple[str, ...], list[GateVerdict]] = {}
    for item in verdicts:
        tasks = sorted({task.task for task in item.content.tasks})
        found.setdefault((item.models("candidate"), *tasks), []).append(item)
    return [Candidate(first, tuple(rest)) for first, *rest in found.values()]


def _name(name: str) -> str:
    return plain_name(public(name))


def read_verdicts(places: Sequence[Path]) -> tuple[list[GateVerdict], list[BrokenRun]]:
    """Return the verdicts of some places, newest first, and the files that are not verdicts.

    A place is a file, or a folder with files `verdict.json` in it or below; a folder without any is
    no error: the gate may not have graded yet. Raises `UsageError` if a place does not exist.
    """
    found: list[GateVerdict] = []
    broken: list[BrokenRun] = []
    for path, where in _files(places):
        try:
            found.append(_read(path, where))
        except (DataError, StorageError) as error:
            broken.append(BrokenRun(where, str(error)))
    found.sort(key=lambda item: (item.created, item.where), reverse=True)
    return found, broken


def _files(places: Iterable[Path]) -> list[tuple[Path, str]]:
    found: dict[Path, str] = {}
    for place in places:
        if place.is_file():
            found.setdefault(place.absolute(), place.name)
        elif place.is_dir():
            for folder, _, files in os.walk(place):
                if VERDICT in files:
                    path = Path(folder, VERDICT)
                    found.setdefault(path.absolute(), path.relative_to(place).as_posix())
        else:
            raise UsageError(
                f"There is no verdict at {place}: no such file or folder. `recode-eval gate --out "
                "FOLDER` writes one."
            )
    return sorted(found.items(), key=lambda item: (item[1], item[0]))


def _read(path: Path, where: str) -> GateVerdict:
    if path.is_symlink() or not path.is_file():
        # A submitted folder could link to any place, or to an endless file.
        raise DataError(f"{VERDICT} is not a plain file.")
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise DataError(f"{VERDICT} is too large for a verdict.")
        content = decode(path.read_bytes(), VerdictFile, VERDICT)
    except OSError as error:
        raise StorageError(f"{VERDICT} cannot be read: {error.strerror}.") from error
    return GateVerdict(where, _time(content.created), content)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise DataError(f"{VERDICT}: `created` is not a time ({text[:40]!r}).") from None


def _context(site: SiteData) -> dict[str, Any] | None:
    if not site.verdicts:
        return None
    runs = {
        standing.run.key: (board, standing.run)
        for board in site.boards
        for standing in board.standings
    }
    candidates = by_candidate(site.verdicts)
    return {
        "verdicts": site.verdicts,
        "candidates": candidates[:_MOST_CANDIDATES],
        "candidates_left": max(0, len(candidates) - _MOST_CANDIDATES),
        "most": _MOST_SHOWN,
        "most_older": _MOST_OLDER,
        "runs": runs,
    }


GATE_VIEW = SiteView("gate.html", "Gate", "gate.html", _context)
