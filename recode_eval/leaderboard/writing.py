"""Writing the pages of models and problems, most of a site, by several processes at once.

Processes are forked, so that they share what was read; each writes its own files.
"""

from __future__ import annotations

import gc
import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from recode_eval.leaderboard.drilldown import problem_page, problem_path
from recode_eval.leaderboard.processes import forked, no_collection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from recode_eval.leaderboard.drilldown import Members
    from recode_eval.leaderboard.pages import Pages
    from recode_eval.leaderboard.sources import Sources

_COLOURED = 5_000
"""Samples of a site whose code is coloured, at about a millisecond each; the problems share them
alike."""
_WORTH_A_POOL = 50_000
"""Samples from which on several processes are worth their start."""
_BATCH = 8

_Problem = tuple[str, str, str]


@dataclass(frozen=True)
class PageWriter:
    """The inputs of the pages of models and problems."""

    pages: Pages
    problems: Mapping[_Problem, Members]
    sources: Sources
    earlier: Path | None = None
    """The site of an earlier build, whose files of answers are used again."""

    @cached_property
    def order(self) -> list[_Problem]:
        """The problems in the order of their pages."""
        return list(self.problems)

    @cached_property
    def places(self) -> dict[_Problem, int]:
        """The place of each in `order`."""
        return {key: index for index, key in enumerate(self.problems)}

    @property
    def count(self) -> int:
        """The number of pages there will be."""
        return len(self.pages.models) + len(self.problems)

    def write(self, folder: Path, jobs: int, others: Callable[[], int]) -> int:
        """Write all pages below `folder` and return their number, with that of `others`.

        `others` writes pages, too: while other processes are at work, where there are any.

        Raises:
            StorageError: a run's files changed.
            InfrastructureError: a process died.
            OSError: a page cannot be written.
        """
        keys: list[str | _Problem] = [*self.pages.models, *self.problems]
        batches = [keys[i : i + _BATCH] for i in range(0, len(keys), _BATCH)]
        runs = {run.key: run for members in self.problems.values() for run, _ in members}
        samples = sum(len(run.index.completions.starts) for run in runs.values())
        if min(jobs, len(keys)) < 2 or samples < _WORTH_A_POOL:
            return others() + sum(self.write_batch(folder, batch) for batch in batches)
        for members in self.problems.values():
            self.sources.problems(members[0][0])  # loaded once, for all processes
        gc.collect()
        gc.freeze()  # a collection in a child would copy the pages that it shares
        try:
            with forked(min(jobs, len(keys)), _start, (self, folder)) as pool:
                made = pool.map(_write_batch, batches)
                return others() + sum(made)
        finally:
            gc.unfreeze()

    def write_batch(self, folder: Path, keys: Sequence[str | _Problem]) -> int:
        """Write some of the pages and return their number; see `write`."""
        with no_collection():
            for key in keys:
                if isinstance(key, str):
                    write_text(folder / f"models/{key}.html", self.pages.model(key))
                else:
                    self._write_problem(folder, key)
        return len(keys)

    def _write_problem(self, folder: Path, key: _Problem) -> None:
        coloured = _COLOURED // len(self.problems)
        page = problem_page(key[2], self.problems[key], self.sources, coloured, self.earlier)
        path = folder / page.path
        write_text(path, self.pages.problem(page, *self._neighbours(key)))
        for name, content in page.files.items():
            if isinstance(content, bytes):
                path.with_name(name).write_bytes(content)
            else:
                _keep(content, path.with_name(name))

    def _neighbours(self, key: _Problem) -> tuple[str, str]:
        """Return the paths of the problems before and after one of the same data; '' at an end."""
        at = self.places[key]

        def path(index: int) -> str:
            if not 0 <= index < len(self.order) or self.order[index][:2] != key[:2]:
                return ""
            return problem_path(*self.order[index])

        return path(at - 1), path(at + 1)


def _keep(earlier: Path, path: Path) -> None:
    """Put a file of the earlier site into the new one; nothing is copied where links can be."""
    try:
        os.link(earlier, path, follow_symlinks=False)
    except OSError:
        shutil.copyfile(earlier, path, follow_symlinks=False)


def write_text(path: Path, content: str) -> None:
    """Write a file, the same bytes on every machine; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="")


_mine: tuple[PageWriter, Path] | None = None
"""What a process of the pool works on; inherited by the fork, never pickled."""


def _start(writer: PageWriter, folder: Path) -> None:
    global _mine
    _mine = writer, folder


def _write_batch(keys: Sequence[str | _Problem]) -> int:
    assert _mine is not None
    writer, folder = _mine
    return writer.write_batch(folder, keys)
