"""Event counts of this process as Prometheus counters, for the metrics, the reports of media workers and the tests."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import Counter
from prometheus_client.core import Metric

GAP_MS: Final = "gap_ms"
"""Milliseconds of silence inserted for missing frames, in finished streams. The frames of those streams are counted as `frames_…`."""
_FRAMES: Final = "frames_"


class Counters:
    """Counts by name; safe from any thread. Not in the global registry: a process may have several instances."""

    def __init__(self) -> None:
        self._events = Counter("callreel_events", "Events of this process.", ["event"], registry=None)
        self._frames = Counter(
            "callreel_frames", "Frames of finished streams, by outcome.", ["outcome"], registry=None
        )
        self._gap = Counter("callreel_gap_seconds", "Silence inserted for missing frames.", registry=None)

    def add(self, name: str, n: int = 1) -> None:
        if name == GAP_MS:
            self._gap.inc(n / 1000)
        elif name.startswith(_FRAMES):
            self._frames.labels(name.removeprefix(_FRAMES)).inc(n)
        else:
            self._events.labels(name).inc(n)

    def snapshot(self) -> dict[str, int]:
        """The counts so far, by the names passed to `add`."""
        gap_ms = round(1000 * sum(_totals(self._gap).values()))
        frames = {f"{_FRAMES}{outcome}": round(count) for outcome, count in _totals(self._frames).items()}
        events = {name: round(count) for name, count in _totals(self._events).items()}
        return events | frames | ({GAP_MS: gap_ms} if gap_ms else {})

    def collect(self) -> Iterator[Metric]:
        """The metrics for a registry."""
        for counter in (self._events, self._frames, self._gap):
            yield from counter.collect()


def _totals(counter: Counter) -> dict[str, float]:
    samples = [sample for metric in counter.collect() for sample in metric.samples]
    return {
        next(iter(sample.labels.values()), ""): sample.value
        for sample in samples
        if sample.name.endswith("_total")
    }
