"""The edit distance stays orders of magnitude faster than plain Python."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

_BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "similarity.py"


def test_the_distance_is_a_hundred_times_faster_than_plain_python() -> None:
    """Upstream's plain distance takes seconds for one pair of 2,000 characters.

    Measured is a factor above 10,000, so that a busy machine cannot fail this.
    """
    spec = importlib.util.spec_from_file_location("benchmark_similarity", _BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = benchmark
    spec.loader.exec_module(benchmark)
    measured = benchmark.measure(1_000, groups=1, plain_pairs=2)
    assert measured.distance_ratio > 100
    assert measured.ratio > 10
