"""What Prometheus may ask: counts and gauges of this process and of the rows, made when asked. Nothing is pushed.

Names follow prometheus.io/docs/practices/naming. No label holds a call, a number or a person: their sets are closed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from callreel.services.clock import Clock
from callreel.services.counters import Counters
from callreel.services.health import Health
from callreel.store import recordings, tallies
from callreel.store.blobs import BlobStore
from callreel.store.database import Database

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """Of the calls that go on in this server, at one instant. `media` are the calls of each media worker, if it has any."""

    calls: int
    finals_waiting: int
    lag_ms: int
    partials_shed: int
    overload: int = 0
    finals_spilled: int = 0
    spilled_total: int = 0
    media: Mapping[int, int] = field(default_factory=dict)


class Metrics:
    """One a process. `text` blocks for a few queries."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        counters: Counters,
        health: Health,
        clock: Clock,
        live: Callable[[], LiveFigures],
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._counters = counters
        self._health = health
        self._clock = clock
        self._live = live
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """All of it, in the text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on what happened."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The registry's question."""
        yield from self._process()
        yield from self._rows()
        wrong = {problem.name for problem in self._health.problems()}
        healthy = _gauge("health", "1 where a check passes, 0 where it fails.", "check")
        for name in self._health.names:
            healthy.add_metric([name], 0.0 if name in wrong else 1.0)
        yield healthy

    def _process(self) -> Iterator[Metric]:
        happened = CounterMetricFamily(
            "callreel_events", "What happened in this process, by name.", labels=["event"]
        )
        for name, number in sorted(self._counters.snapshot().items()):
            happened.add_metric([name], number)
        yield happened
        live = self._live()
        yield _single("live_calls", "Calls whose audio comes to this server now.", live.calls)
        media = {str(number): calls for number, calls in live.media.items()}
        yield _by("media_worker_calls", "Those of each media worker.", "worker", media)
        yield _single("finals_waiting", "Closed segments that wait for the engine.", live.finals_waiting)
        yield _single("live_lag_seconds", "How long the oldest of them has waited.", live.lag_ms / 1000)
        yield _single("live_overload_level", "What is given up: 0 nothing … 4 memory.", live.overload)
        yield _single(
            "finals_spilled", "Closed segments that wait on disk for the engine.", live.finals_spilled
        )
        spilled = CounterMetricFamily(
            "callreel_segments_spilled", "Closed segments that had to wait on disk."
        )
        spilled.add_metric([], live.spilled_total)
        yield spilled
        shed = CounterMetricFamily(
            "callreel_partials_shed", "Partials given up because the engine cannot keep up."
        )
        shed.add_metric([], live.partials_shed)
        yield shed
        yield _single("disk_free_bytes", "Room on the disk of the data folder.", self._blobs.free_bytes())

    def _rows(self) -> Iterator[Metric]:
        now = self._clock.now()
        with self._database.read() as conn:
            by_state = tallies.calls_by_state(conn)
            verdicts = tallies.calls_by_verdict(conn)
            recorded = tallies.recordings_by_state(conn)
            sizes = tallies.layer_sizes(conn)
            waiting, stuck = recordings.running(conn), recordings.stuck(conn)
        yield _by("calls", "Calls, by state.", "state", by_state)
        yield _by("verdicts", "Closed calls, by verdict.", "verdict", verdicts)
        yield _by("recordings", "Cloud recordings, by state.", "state", recorded)
        yield _by("stored_bytes", "Audio kept, by layer.", "layer", sizes)
        yield _single("stages_unfinished", "Recordings whose stages wait or run.", len(waiting))
        ages = [(now - row.updated_at).total_seconds() for row in waiting]
        yield _single(
            "stages_oldest_seconds", "How long the oldest of them has not moved.", max(ages, default=0.0)
        )
        parked: dict[str, int] = {}
        for row in stuck:
            parked[row.stage or "fetch"] = parked.get(row.stage or "fetch", 0) + 1
        yield _by("stages_parked", "Recordings that are stuck, by stage.", "stage", parked)


def _gauge(name: str, what: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"callreel_{name}", what, labels=[label])


def _single(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"callreel_{name}", what, value=value)


def _by(name: str, what: str, label: str, values: Mapping[Any, int]) -> GaugeMetricFamily:
    family = _gauge(name, what, label)
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family
