"""Rewards stay small beside a step: a bound that a busy machine cannot miss."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

_BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "rewards.py"


def test_a_completion_of_a_thousand_characters_takes_milliseconds() -> None:
    """Upstream's plain edit distance takes 0.4 s for one such completion.

    Measured is 2.3 ms of CPU time for all text rewards and the copy rate of one; the bound is
    ten times as much.
    """
    spec = importlib.util.spec_from_file_location("benchmark_rewards", _BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = benchmark
    spec.loader.exec_module(benchmark)
    seconds = benchmark.time_rewards(1_000, batches=3)
    assert set(seconds) == {"format", "es_star", "em_star", "overlong", "copy rate"}
    assert sum(seconds.values()) / benchmark.BATCH < 0.023
