"""What a server counts, in the text format of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from recode_eval.run.answering import GradedAnswer

_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)


class Measures:
    """Follows `desk.Watcher`."""

    def __init__(self, tasks: tuple[str, ...]) -> None:
        """Begin with zero for every task and outcome."""
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "recode_answers", "Graded answers by outcome", ["task", "outcome"],
            registry=self._registry,
        )  # fmt: skip
        self._refused = Counter(
            "recode_refused_requests", "Requests of which nothing was graded", ["code"],
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "recode_answer_seconds", "From an answer's arrival to its verdict", ["task"],
            registry=self._registry, buckets=_BUCKETS,
        )  # fmt: skip
        for task in tasks:
            self._seconds.labels(task)
            for outcome in ("passed", "failed", "unscored"):
                self._answers.labels(task, outcome)

    def show(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a value that is read when it is asked for."""
        Gauge(name, text, registry=self._registry).set_function(value)

    def graded(self, task: str, graded: GradedAnswer, seconds: float) -> None:
        """Count an answer."""
        outcome = {None: "unscored", 1.0: "passed"}.get(graded.reward, "failed")
        self._answers.labels(task, outcome).inc()
        self._seconds.labels(task).observe(seconds)

    def refused(self, code: str) -> None:
        """Count a request that was refused."""
        self._refused.labels(code).inc()

    def text(self) -> bytes:
        """Return everything."""
        shown: bytes = generate_latest(self._registry)
        return shown
