"""What Prometheus may ask: counts and gauges of this process and of the rows, made when asked. Nothing is pushed.

Names follow prometheus.io/docs/practices/naming. No label holds a call, a number or a person: their sets are closed.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from callreel.ops.health import Health
from callreel.runtime.clock import Clock
from callreel.runtime.counters import GAP_MS, Counters
from callreel.runtime.stage_times import StageTimes
from callreel.store.calls import erasures, recordings, tallies
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore

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


class EngineLoad(Protocol):
    """The engine processes of one use (`engines/host`)."""

    @property
    def workers(self) -> int: ...

    @property
    def idle(self) -> int: ...

    @property
    def restarts(self) -> int: ...


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
        *,
        stages: StageTimes | None = None,
        engines: Mapping[str, EngineLoad] | None = None,
    ) -> None:
        """`engines` by what they are for: `live`, `final`."""
        self._database = database
        self._blobs = blobs
        self._counters = counters
        self._health = health
        self._clock = clock
        self._live = live
        self._stages = stages or StageTimes()
        self._engines = dict(engines or {})
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
        yield from self._stages.collect()
        yield from self._engine_load()
        wrong = {problem.name for problem in self._health.problems()}
        healthy = _gauge("health", "1 where a check passes, 0 where it fails.", "check")
        for name in self._health.names:
            healthy.add_metric([name], 0.0 if name in wrong else 1.0)
        yield healthy

    def _process(self) -> Iterator[Metric]:
        happened = CounterMetricFamily(
            "callreel_events", "What happened in this process, by name.", labels=["event"]
        )
        frames = CounterMetricFamily(
            "callreel_frames", "Frames of streams that have ended, by what became of them.", labels=["fate"]
        )
        counted = self._counters.snapshot()
        for name, number in sorted(counted.items()):
            if name.startswith("frames_"):
                frames.add_metric([name.removeprefix("frames_")], number)
            elif name != GAP_MS:
                happened.add_metric([name], number)
        yield happened
        yield frames
        gaps = CounterMetricFamily(
            "callreel_gap_seconds", "Silence put where no frame came, in streams that have ended."
        )
        gaps.add_metric([], counted.get(GAP_MS, 0) / 1000)
        yield gaps
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
            erasing = erasures.unfinished(conn)
        yield _by("calls", "Calls, by state.", "state", by_state)
        yield _by("verdicts", "Closed calls, by verdict.", "verdict", verdicts)
        yield _by("recordings", "Cloud recordings, by state.", "state", recorded)
        yield _by("stored_bytes", "Audio kept, by layer.", "layer", sizes)
        yield _single("stages_unfinished", "Recordings whose stages wait or run.", len(waiting))
        ages = [(now - row.updated_at).total_seconds() for row in waiting]
        yield _single(
            "stages_oldest_seconds", "How long the oldest of them has not moved.", max(ages, default=0.0)
        )
        yield from _queues(waiting, now)
        parked = Counter((row.stage or "fetch", reason_of(row.stage_error)) for row in stuck)
        family = GaugeMetricFamily(
            "callreel_stages_parked",
            "Recordings that are stuck, by stage and reason.",
            labels=["stage", "reason"],
        )
        for labels, number in parked.items():
            family.add_metric(labels, number)
        yield family
        yield _single("erasures_unfinished", "Calls that are being erased, or wait for it.", len(erasing))
        asked = [(now - began_at).total_seconds() for began_at in erasing]
        yield _single(
            "erasures_oldest_seconds",
            "How long ago the oldest of them was asked for.",
            max(asked, default=0.0),
        )

    def _engine_load(self) -> Iterator[Metric]:
        processes = _gauge("engine_processes", "Engine processes of this process.", "use")
        busy = _gauge("engine_busy", "Those that decode now.", "use")
        restarts = CounterMetricFamily(
            "callreel_engine_restarts", "Engine processes that died.", labels=["use"]
        )
        for use, host in self._engines.items():
            processes.add_metric([use], host.workers)
            busy.add_metric([use], host.workers - host.idle)
            restarts.add_metric([use], host.restarts)
        yield from (processes, busy, restarts)


def _queues(waiting: Sequence[RecordingRow], now: datetime) -> Iterator[Metric]:
    """By where they are: `start` waits for a worker, else the stage that runs or comes next."""
    lengths: Counter[str] = Counter()
    oldest_s: dict[str, float] = {}
    for row in waiting:
        queue = "start" if row.stage is None or row.dispatched_at is None else row.stage
        lengths[queue] += 1
        oldest_s[queue] = max(oldest_s.get(queue, 0.0), (now - row.updated_at).total_seconds())
    yield _by("queue_length", "Recordings whose stages wait or run, by stage.", "queue", lengths)
    ages = _gauge("queue_oldest_seconds", "How long the oldest of them has not moved.", "queue")
    for queue, age_s in oldest_s.items():
        ages.add_metric([queue], age_s)
    yield ages


_REASONS = (
    ("credentials", re.compile(r"\b(401|403)\b|credentials")),
    ("quota", re.compile(r"\b429\b")),
    ("not_there", re.compile(r"\b404\b")),
    ("carrier", re.compile(r"\bthe carrier (answered|refused)|\bbroke|no WAV|WAV file should")),
    ("store", re.compile(r"StoreError|could not be kept|the database")),
    ("engine", re.compile(r"EngineError")),
)


def reason_of(error: str | None) -> str:
    """One of a closed set for what a stuck stage says, for a label."""
    return next((name for name, pattern in _REASONS if pattern.search(error or "")), "other")


def _gauge(name: str, what: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"callreel_{name}", what, labels=[label])


def _single(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"callreel_{name}", what, value=value)


def _by(name: str, what: str, label: str, values: Mapping[Any, int]) -> GaugeMetricFamily:
    family = _gauge(name, what, label)
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family
