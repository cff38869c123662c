"""The Prometheus metrics of this process and of the database's rows, collected at each scrape.

Counters and histograms are kept by `runtime/counters.py` and `runtime/stage_times.py`; the rest is state that other
objects hold, so it is a custom collector. Media workers report to their server, which answers for them. Names follow
prometheus.io/docs/practices/naming. Labels have closed sets of values: none holds a call, a number or a person.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from callreel.domain.work import ON_RECORDINGS, NoWork, WorkQueue, WorkState
from callreel.ops.health import Health
from callreel.runtime.clock import Clock
from callreel.runtime.counters import Counters
from callreel.runtime.stage_times import StageTimes
from callreel.store.calls import erasures, outbox, tallies
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from callreel.store.files.data_folder import free_bytes

disable_created_metrics()  # type: ignore[no-untyped-call]  # creation times, which no dashboard uses

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class LiveGauges:
    """The state of live transcription. `media` has the number of calls of each media worker."""

    calls: int
    finals_waiting: int
    lag_ms: int
    partials_shed: int
    overload: int = 0
    finals_spilled: int = 0
    spilled_total: int = 0
    media: Mapping[int, int] = field(default_factory=dict)


class EngineLoad(Protocol):
    """The engine processes of one purpose (`asr/workers/host.py`)."""

    @property
    def workers(self) -> int: ...

    @property
    def idle(self) -> int: ...

    @property
    def restarts(self) -> int: ...


@dataclass(eq=False)
class Metrics:
    """One for each process; `engines` by purpose: `live`, `final`. `text` blocks for a few queries."""

    database: Database
    blobs: BlobStore
    counters: Counters
    health: Health
    clock: Clock
    live: Callable[[], LiveGauges]
    stages: StageTimes = field(default_factory=StageTimes, kw_only=True)
    engines: Mapping[str, EngineLoad] = field(default_factory=dict, kw_only=True)
    work: WorkQueue = field(default_factory=NoWork, kw_only=True)

    def __post_init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry must not collect at registration to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics for the registry."""
        yield from self.counters.collect()
        yield from self._live_state()
        yield from self._rows()
        yield from self.stages.collect()
        yield from self._engine_load()
        failing = {problem.name for problem in self.health.problems()}
        checks = {name: int(name not in failing) for name in self.health.names}
        yield _gauge("health", "1 if a check passes, 0 if it fails.", checks, "check")
        yield _gauge(
            "disk_free_bytes", "Free space on the disk of the data folder.", free_bytes(self.blobs.root)
        )

    def _live_state(self) -> Iterator[Metric]:
        live = self.live()
        yield _gauge("live_calls", "Calls whose audio is arriving at this server.", live.calls)
        yield _gauge("media_worker_calls", "Those of each media worker.", live.media, "worker")
        yield _gauge("finals_waiting", "Closed segments waiting for the engine.", live.finals_waiting)
        yield _gauge("live_lag_seconds", "How long the oldest of them has waited.", live.lag_ms / 1000)
        yield _gauge(
            "live_overload_level", "Load shedding, from 0 (none) to 4 (segments on disk).", live.overload
        )
        yield _gauge("finals_spilled", "Closed segments waiting on disk.", live.finals_spilled)
        yield CounterMetricFamily(
            "callreel_segments_spilled", "Closed segments that had to wait on disk.", live.spilled_total
        )
        yield CounterMetricFamily("callreel_partials_shed", "Discarded partials.", live.partials_shed)

    def _rows(self) -> Iterator[Metric]:
        now = self.clock.now()
        with self.database.read() as conn:
            by_state = tallies.calls_by_state(conn)
            verdicts = tallies.calls_by_verdict(conn)
            recorded = tallies.recordings_by_state(conn)
            sizes = tallies.layer_sizes(conn)
            orders = [order for order in outbox.all_orders(conn) if order.workflow in ON_RECORDINGS]
            erasing = erasures.unfinished(conn)
        yield _gauge("calls", "Calls, by state.", by_state, "state")
        yield _gauge("verdicts", "Closed calls, by verdict.", verdicts, "verdict")
        yield _gauge("recordings", "Cloud recordings, by state.", recorded, "state")
        yield _gauge("stored_bytes", "Stored audio, by layer.", sizes, "layer")
        items = [item for item in self.work.unfinished() if item.workflow in ON_RECORDINGS]
        since = [("start", order.created_at) for order in orders]
        since += [
            (str(item.workflow), item.updated_at) for item in items if item.state is not WorkState.PARKED
        ]
        yield _gauge("stages_unfinished", "Recordings with waiting or running stages.", len(since))
        ages_s = [(now - at).total_seconds() for _, at in since]
        yield _gauge(
            "stages_oldest_seconds", "Time since the last progress of the oldest.", max(ages_s, default=0)
        )
        yield from _queues(since, now)
        parked = GaugeMetricFamily(
            "callreel_stages_parked", "Parked recordings, by stage and reason.", labels=["stage", "reason"]
        )
        failed = [item for item in items if item.state is WorkState.PARKED]
        for labels, count in Counter((item.step or "", reason_of(item.failure)) for item in failed).items():
            parked.add_metric(labels, count)
        yield parked
        yield _gauge("erasures_unfinished", "Erasures in progress or waiting.", len(erasing))
        ages_s = [(now - began_at).total_seconds() for began_at in erasing]
        yield _gauge(
            "erasures_oldest_seconds", "Time since the request of the oldest.", max(ages_s, default=0)
        )

    def _engine_load(self) -> Iterator[Metric]:
        workers = {purpose: engine.workers for purpose, engine in self.engines.items()}
        busy = {purpose: engine.workers - engine.idle for purpose, engine in self.engines.items()}
        yield _gauge("engine_processes", "Engine processes of this process.", workers, "use")
        yield _gauge("engine_busy", "Those that are decoding.", busy, "use")
        restarts = CounterMetricFamily(
            "callreel_engine_restarts", "Engine processes that died.", labels=["use"]
        )
        for purpose, engine in self.engines.items():
            restarts.add_metric([purpose], engine.restarts)
        yield restarts


def _queues(since: Sequence[tuple[str, datetime]], now: datetime) -> Iterator[Metric]:
    """By the waiting or running workflow; `start` is ordered and not queued yet."""
    lengths = Counter(queue for queue, _ in since)
    oldest_s = {
        queue: max((now - at).total_seconds() for name, at in since if name == queue) for queue in lengths
    }
    yield _gauge("queue_length", "Recordings with waiting or running stages, by stage.", lengths, "queue")
    yield _gauge("queue_oldest_seconds", "Time since the last progress of the oldest.", oldest_s, "queue")


_REASONS = (
    ("credentials", re.compile(r"\b(401|403)\b|credentials")),
    ("quota", re.compile(r"\b429\b")),
    ("not_there", re.compile(r"\b404\b")),
    ("carrier", re.compile(r"\bthe carrier (answered|refused)|\bbroke|no WAV|WAV file should")),
    ("store", re.compile(r"StoreError|OSError|could not be kept|the database")),
    ("engine", re.compile(r"EngineError")),
)


def reason_of(error: str | None) -> str:
    """The label of a parked stage's error, from a closed set."""
    return next((name for name, pattern in _REASONS if pattern.search(error or "")), "other")


def _gauge(name: str, what: str, value: float | Mapping[Any, float], label: str = "") -> GaugeMetricFamily:
    """A gauge: one value, or one for each value of `label`."""
    if not isinstance(value, Mapping):
        return GaugeMetricFamily(f"callreel_{name}", what, value=value)
    family = GaugeMetricFamily(f"callreel_{name}", what, labels=[label])
    for key, each in value.items():
        family.add_metric([str(key)], each)
    return family
