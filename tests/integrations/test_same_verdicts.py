"""The same answer gets the same verdict on every road: API, and the programs of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from answer_batches import odd, solutions
from verdict_roads import NEEDS_DOCKER, ROADS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from answer_batches import Batch

FIRST = next(iter(ROADS))


def roads() -> list[object]:
    """Return the roads that are compared with the first one."""
    marks = {name: [pytest.mark.docker] for name in NEEDS_DOCKER}
    return [pytest.param(name, marks=marks.get(name, [])) for name in ROADS if name != FIRST]


class Comparison:
    """Batches with the verdicts of the first road, which the others are held against."""

    def __init__(self, batches: list[Batch], folder: Path, peer: Callable[[str], str]) -> None:
        self._folder, self._peer, self._batches = folder, peer, batches
        self._first = [self._verdicts(FIRST, number) for number in range(len(batches))]

    def _verdicts(self, road: str, number: int) -> dict[str, float | None]:
        place = self._folder / f"{number}-{road}"
        place.mkdir()
        found = ROADS[road](self._batches[number], place, self._peer)
        assert found.keys() == self._batches[number].answers.keys()
        return found

    def differences(self, road: str) -> dict[str, tuple[float | None, float | None]]:
        """Return the answers that get another verdict on a road."""
        found = {}
        for number, (batch, first) in enumerate(zip(self._batches, self._first, strict=True)):
            other = self._verdicts(road, number)
            differing = {key: (first[key], other[key]) for key in first if first[key] != other[key]}
            found |= {f"{batch.name}: {key}": pair for key, pair in differing.items()}
            values = list(first.values())
            counts = {value: values.count(value) for value in (1.0, 0.0, None)}
            print(f"{road}: {batch.name}: {len(values)} answers, {counts}: {len(differing)} differ")
        return found


@pytest.fixture(scope="module")
def sample(
    tmp_path_factory: pytest.TempPathFactory, peer_python: Callable[[str], str]
) -> Comparison:
    folder = tmp_path_factory.mktemp("sample")
    batches = [
        solutions("arena-mini", "reference", 4),
        solutions("arena-mini", "stale", 4),
        solutions("migration-validation", "reference", 3),
        solutions("migration-validation", "stale", 3),
        odd(folder, slow=False),
    ]
    assert len(batches[-1].answers) >= 50
    return Comparison(batches, folder, peer_python)


@pytest.fixture(scope="module")
def everything(
    tmp_path_factory: pytest.TempPathFactory, peer_python: Callable[[str], str]
) -> Comparison:
    folder = tmp_path_factory.mktemp("everything")
    tasks = ("arena-mini", "migration", "migration-validation")
    batches = [solutions(task, kind) for task in tasks for kind in ("reference", "stale")]
    return Comparison([*batches, odd(folder, slow=True)], folder, peer_python)


@pytest.mark.slow
@pytest.mark.parametrize("road", roads())
def test_a_sample(road: str, sample: Comparison) -> None:
    assert sample.differences(road) == {}


@pytest.mark.exhaustive
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("road", roads())
def test_all_references_stale_solutions_and_odd_answers(road: str, everything: Comparison) -> None:
    assert everything.differences(road) == {}
