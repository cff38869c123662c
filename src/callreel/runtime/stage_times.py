"""Durations and outcomes of the post-call stages in this process, for the metrics."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from prometheus_client import Histogram
from prometheus_client.core import Metric

T = TypeVar("T")

BUCKETS_S = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


class StageTimes:
    """Safe from any thread. A stage that is interrupted and runs again counts twice."""

    def __init__(self) -> None:
        self._seconds = Histogram(
            "callreel_stage_seconds", "Duration of a post-call stage, by stage and outcome (done or failed).",
            ["stage", "outcome"], buckets=BUCKETS_S, registry=None,
        )  # fmt: skip

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """Run `work` and observe its duration."""
        started_s = time.monotonic()
        outcome = "failed"
        try:
            result = work()
            outcome = "done"
            return result
        finally:
            self._seconds.labels(stage, outcome).observe(time.monotonic() - started_s)

    def collect(self) -> Iterable[Metric]:
        """The metrics for a registry."""
        return self._seconds.collect()
