"""Clusters: rows that depend on each other because they share a part."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def connected(parts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return each row's cluster: rows with a part in common, directly or through other rows.

    `parts[row]` has at least one part (an update, an API). A cluster is named by the smallest part
    in it, so that the order of the rows does not matter.
    """
    leader: dict[str, str] = {}

    def find(part: str) -> str:
        while leader.setdefault(part, part) != part:
            leader[part] = part = leader[leader[part]]
        return part

    for first, *others in parts.values():
        for part in others:
            low, high = sorted((find(first), find(part)))
            leader[high] = low
    return {row: find(first) for row, (first, *_) in parts.items()}
