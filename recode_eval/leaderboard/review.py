"""Review of submitted packs for a pull request: each verified, a part graded again, in Markdown.

The draw follows from the commit and the file's name, so that anybody can repeat it. Everything in a
pack is hostile: names and texts are quoted, and nothing in it is executed outside of the sandbox.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.comparison.report import code
from recode_eval.errors import DataError, UsageError
from recode_eval.leaderboard.submissions import board_of, wrong_facts
from recode_eval.leaderboard.verify import Checked, check, unpacked
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.leaderboard.sources import Sources
    from recode_eval.sandbox.base import Sandbox
    from recode_eval.tasks.base import Task

LIMIT: Final = 60_000
"""Characters of a report; GitHub takes 65,536 in a comment."""
_MOST: Final = 20
"""Findings of one pack that a report names."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What the review of one pack found; texts are hostile."""

    name: str
    seed: int
    checked: Checked | None
    """None: the pack could not be read."""
    faults: tuple[str, ...]
    """What is wrong with the pack or the facts beside it."""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults and self.checked is not None and self.checked.sound

    @property
    def complete(self) -> bool:
        """Whether every drawn sample could be graded here."""
        return self.checked is not None and not self.checked.ungraded

    @property
    def verdict(self) -> str:
        """The result in a word or three."""
        if not self.sound:
            return "NOT sound"
        return "sound" if self.complete else "sound as far as it could be graded"

    def as_json(self) -> dict[str, Any]:
        """Return the content for `--json`."""
        return {
            "file": self.name,
            "seed": self.seed,
            "sound": self.sound,
            "faults": list(self.faults),
            "check": None if self.checked is None else self.checked.as_json(),
        }


def seed_of(commit: str, name: str) -> int:
    """Return the seed of a pack's draw.

    >>> seed_of("0f3c", "a.tar.zst") == seed_of("0f3c", "a.tar.zst") != seed_of("0f3d", "a.tar.zst")
    True
    """
    return int(hashlib.sha256(f"{commit}\n{name}".encode()).hexdigest()[:8], 16) >> 1


def review(
    file: Path,
    commit: str,
    sources: Sources,
    task: Callable[[str], Task],
    open_sandbox: Callable[[Task, str], Sandbox],
    *,
    share: float = 0.1,
    note: Callable[[str], None] = lambda _: None,
) -> Reviewed:
    """Verify a pack, the facts beside it, and a part of its answers.

    Raises `InfrastructureError` if there is no sandbox; a damaged pack is a finding.
    """
    seed = seed_of(commit, file.name)
    faults: list[str] = []
    checked = None
    with tempfile.TemporaryDirectory(prefix="recode-eval-review-") as temporary:
        try:
            if file.is_symlink() or file.is_dir():
                raise DataError("it is not a plain file")
            folder = unpacked(file, Path(temporary))
            board = board_of(folder, sources)
            if board.partial:
                faults.append(f"{board.problems} of {board.whole} problems were asked")
            faults += wrong_facts(file, board)
            checked = check(
                folder, file.name, sources, task, open_sandbox, share=share, seed=seed, note=note
            )
        except (DataError, UsageError) as error:
            faults.append(str(error).replace(temporary, ""))
    return Reviewed(file.name, seed, checked, tuple(faults))


def markdown(reviews: Sequence[Reviewed], commit: str) -> str:
    """Return the report on a pull request, of at most `LIMIT` characters."""
    about = (
        f"Commit {code(commit)}. A part of the answers, drawn by the commit and the file's name, "
        "was graded again in a sandbox."
    )
    parts = [f"## Submitted runs\n\n{about}\n\n"]
    for item in reviews:
        parts.append(f"### {code(item.name)}: {item.verdict}\n\n")
        lines = _findings(item)
        parts += [f"- {line}\n" for line in lines[:_MOST]]
        if len(lines) > _MOST:
            parts.append(f"- {len(lines) - _MOST} more\n")
        parts.append("\n")
    parts.append(
        "A check shows that the files agree and that verdicts hold on another machine. It does not "
        "show who wrote the answers, nor which other runs were not sent.\n"
    )
    text = "".join(parts)
    return text if len(text) <= LIMIT else f"{text[:LIMIT].rpartition(chr(10))[0]}\n\n(cut)\n"


def _findings(item: Reviewed) -> list[str]:
    lines = [code(one_line(fault, 300)) for fault in item.faults]
    found = item.checked
    if found is None:
        return lines
    what = f"{code(one_line(found.model, 100))} on {code(one_line(found.task, 100))}"
    lines.append(
        f"{what}: {found.drawn} of {found.samples} samples graded again (`--seed {item.seed}`)"
    )
    lines += [f"{code(one_line(name, 100))} does not follow from the counts of the problems"
              for name in found.figures]  # fmt: skip
    lines += [f"{code(one_line(name, 100))} used another prompt than the run names"
              for name in found.wrong_prompts]  # fmt: skip
    if found.prompts:
        lines.append(f"prompts not checked: {code(one_line(found.prompts, 200))}")
    lines += [
        f"{one.what}: {code(one_line(one.problem_id, 100))}, sample {one.sample}: "
        f"{code(one_line(one.detail, 200))}"
        for one in found.deviations
    ]
    return lines + [f"not graded here: {code(one_line(text, 200))}" for text in found.ungraded]
