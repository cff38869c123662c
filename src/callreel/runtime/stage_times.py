"""How long the stages after calls take in this process, and what became of them, for the metrics."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from prometheus_client import Histogram
from prometheus_client.core import Metric

T = TypeVar("T")

BUCKETS_S = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


class StageTimes:
    """Safe from any thread. A stage that ran twice, since its first run was cut off, counts twice."""

    def __init__(self) -> None:
        self._seconds = Histogram(
            "callreel_stage_seconds", "Time of a stage after a call, by stage and whether it was done or failed.",
            ["stage", "end"], buckets=BUCKETS_S, registry=None,
        )  # fmt: skip

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """Do `work` and note how long it took."""
        began_s = time.monotonic()
        end = "failed"
        try:
            result = work()
            end = "done"
            return result
        finally:
            self._seconds.labels(stage, end).observe(time.monotonic() - began_s)

    def collect(self) -> Iterable[Metric]:
        """In the library's form."""
        return self._seconds.collect()
