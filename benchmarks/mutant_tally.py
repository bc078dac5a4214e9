"""Counting how many mutants of pairs are noticed, for the benchmarks of each language."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

OVER_ALL, PER_PAIR = 0.8, 0.6
"""Shares of mutants that tests must notice: of all together, and of each pair's."""


class Tally:
    """Mutants and those that some test notices, by library (or whatever `title` names)."""

    def __init__(self, title: str, *, tell_survivors: bool) -> None:
        self._title, self._tell = title, tell_survivors
        self._made, self._noticed = Counter[str](), Counter[str]()
        self._weak: list[str] = []

    def add(self, pair: str, library: str, made: int, survivors: Sequence[str]) -> None:
        """Count a pair's mutants; `survivors` are the edits that no test noticed."""
        self._made[library] += made
        self._noticed[library] += made - len(survivors)
        if len(survivors) > (1 - PER_PAIR) * made:
            self._weak.append(f"{pair} ({len(survivors)} of {made} survive)")
        for edit in survivors if self._tell else ():
            print(f"    {pair}: {edit}", flush=True)

    def show(self) -> int:
        """Print the table; return the exit status, 1 if too few are noticed."""
        print(f"| {self._title} | mutants | noticed | |\n| --- | ---: | ---: | ---: |")
        for library, made in self._made.items():
            noticed = self._noticed[library]
            print(f"| {library} | {made} | {noticed} | {noticed / made:.0%} |")
        made, found = self._made.total(), self._noticed.total()
        print(f"| all | {made} | {found} | {found / max(made, 1):.1%} |")
        for pair in self._weak:
            print(f"weak tests: {pair}")
        return 1 if self._weak or found < OVER_ALL * made else 0
