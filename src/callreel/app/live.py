"""Builds the live part of a process: calls with their lanes and transcripts, and the sockets that receive their audio."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from callreel.app.carrier import answer_options, carrier_access, signature_check
from callreel.app.pausing import open_pausing
from callreel.app.runtime import Runtime, spool_of, tasks
from callreel.asr.silero import SileroDetector, probabilities
from callreel.asr.workers.pool import StartedEngine
from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.event_relay import EventRelay, PeerMessage
from callreel.cluster.group_commit import GroupCommit
from callreel.domain.ids import CallId
from callreel.ingest.call_ownership import CallOwnership
from callreel.ingest.call_registry import CallRegistry, CaptureOptions
from callreel.ingest.consented_capture import ConsentedCapture
from callreel.ingest.fact_queue import FactQueue
from callreel.ingest.media.protocol import OpenMedia, SocketLimits, media_protocol
from callreel.ingest.media.workers import MediaWorkers
from callreel.ingest.pause_control import PauseControl
from callreel.ingest.stream_lifecycle import StreamLifecycle
from callreel.ingest.stream_restart import StreamRestarter, request_streams_of
from callreel.live.phrase_alerts import PhraseAlerts
from callreel.live.phrase_watch import PhraseWatch
from callreel.live.spill import Spill
from callreel.live.transcription import LiveOptions, LiveTranscription
from callreel.ops.metrics import LiveGauges
from callreel.retention.stopped_recording import RecordingStop
from callreel.runtime.clock import Clock
from callreel.runtime.counters import Counters
from callreel.runtime.secret_tokens import new_token
from callreel.settings import Settings
from callreel.settings.engines import live_segmenter
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore

log = logging.getLogger(__name__)

SWITCH_S = 0.000_5
"""How long a thread may hold the interpreter while the event loop waits for it, in a process that has media sockets.

Each read and write of the loop lets other threads run, and a thread that computes (rows, stages) then holds the interpreter
for this long. With Python's default of 5 ms, serving 150 sockets once took seconds while calls began.
"""


@dataclass(frozen=True, slots=True)
class LiveSide:
    """Everything that a process needs to receive media streams."""

    engine: StartedEngine
    counters: Counters
    transcription: LiveTranscription
    registry: CallRegistry
    ownership: CallOwnership
    restarter: StreamRestarter
    consented: ConsentedCapture
    pausing: PauseControl
    stop: RecordingStop
    open_media: OpenMedia

    def gauges(self) -> LiveGauges:
        live = self.transcription
        return LiveGauges(
            self.registry.count, live.finals_waiting, live.lag_ms(), live.partials_shed,
            live.overload, live.finals_spilled, live.spilled_total,
        )  # fmt: skip


def _connect(relay: EventRelay, ownership: CallOwnership) -> Callable[[CallId], None]:
    """Let other processes act on the calls of this one. Returns what closes the streams of a call in all of them."""
    relay.on(PeerMessage.LEG_ENDED, lambda call_id: ownership.leg_ended(CallId(call_id)))
    relay.on(PeerMessage.STREAM_ENDED, ownership.stream_stopped)
    relay.on(PeerMessage.STOPPED, lambda call_id: ownership.recording_stopped(CallId(call_id)))
    relay.on(PeerMessage.TAKEN, lambda call_id: ownership.taken_elsewhere(CallId(call_id)))

    def recording_stopped(call_id: CallId) -> None:
        ownership.recording_stopped(call_id)
        relay.send(PeerMessage.STOPPED, call_id)

    return recording_stopped


@asynccontextmanager
async def live_side(
    settings: Settings,
    engine: StartedEngine,
    database: Database,
    publisher: EventPublisher,
    commits: GroupCommit,
    relay: EventRelay,
    process: str,
    blobs: BlobStore,
) -> AsyncIterator[LiveSide]:
    """Live calls and their transcripts, ready for sockets. `process` is the name of this process."""
    counters, clock = Counters(), Clock()
    registry, facts = CallRegistry(settings.max_calls), FactQueue(commits, clock, counters)
    pausing = open_pausing(settings, registry, database, publisher, commits, clock, relay)
    alerts = PhraseAlerts(commits, clock)
    transcription = LiveTranscription(
        engine, commits, publisher, clock, counters, Spill(database, blobs),
        _live_options(settings, pausing.phrases, alerts.watch),
    )  # fmt: skip
    answers = answer_options(settings)
    restarter = StreamRestarter(database, carrier_access(settings), answers, clock, new_token)
    consented = ConsentedCapture(database, commits, restarter, answers, clock)
    options = CaptureOptions(
        process, settings.objects_dir, settings.block_ms, spool=spool_of(blobs),
        hand_over=database.dialect == "postgresql", keys=blobs.keys,
    )  # fmt: skip
    ownership = CallOwnership(
        registry, database, commits, clock, transcription, options,
        request_stream=restarter.request if settings.restart_streams else None,
        announce_taken=lambda call_id: relay.send(PeerMessage.TAKEN, call_id),
    )  # fmt: skip
    streams = StreamLifecycle(
        registry, ownership, commits, clock, counters, transcription, publisher, options
    )
    recording_stopped = _connect(relay, ownership)
    stop = RecordingStop(database, blobs, pausing.carrier, publisher, clock, recording_stopped)
    open_media = media_protocol(
        signature_check(settings), settings.stream_url, streams, facts, counters,
        SocketLimits(settings.stream_start_timeout_s, settings.stream_idle_timeout_s), block_s=settings.block_ms / 1000,
    )  # fmt: skip
    sys.setswitchinterval(SWITCH_S)
    async with AsyncExitStack() as stack:
        stack.callback(restarter.close)
        stack.callback(pausing.carrier.close)
        stack.push_async_callback(alerts.close)
        transcription.start()
        stack.push_async_callback(transcription.close)
        stack.push_async_callback(ownership.close)
        stack.push_async_callback(asyncio.to_thread, consented.close)
        stack.push_async_callback(facts.close)
        stack.push_async_callback(streams.close_all)
        stack.push_async_callback(pausing.live.close)
        await stack.enter_async_context(
            tasks(ownership.reconciling.run(), pausing.live.reconciling.run(), alerts.refreshing.run())
        )
        yield LiveSide(
            engine, counters, transcription, registry, ownership, restarter, consented, pausing.control, stop,
            open_media,
        )  # fmt: skip


@asynccontextmanager
async def media_side(
    settings: Settings, database: Database, live: LiveSide
) -> AsyncIterator[MediaWorkers | None]:
    """The media workers; None if this process handles the media sockets."""
    if not settings.media_workers:
        yield None
        return

    def restart_streams(name: str) -> None:
        if settings.restart_streams:
            asyncio.get_running_loop().run_in_executor(
                None, request_streams_of, name, database, live.restarter
            )

    command = (sys.executable, "-m", "callreel.app.media_worker")
    workers = MediaWorkers(settings.media_workers, command, live.counters, died=restart_streams)
    try:
        await workers.start()
        log.info("media workers started: %d", settings.media_workers)
        yield workers
    finally:
        await workers.close()


def live_gauges(live: LiveSide, media: MediaWorkers | None) -> LiveGauges:
    """The gauges of this process and its media workers together."""
    own = live.gauges()
    if media is None:
        return own
    status = media.status
    every = [own, *(msgspec.convert(worker.gauges, LiveGauges) for worker in status.values())]
    return LiveGauges(
        calls=sum(each.calls for each in every),
        finals_waiting=sum(each.finals_waiting for each in every),
        lag_ms=max(each.lag_ms for each in every),
        partials_shed=sum(each.partials_shed for each in every),
        overload=max(each.overload for each in every),
        finals_spilled=max(
            each.finals_spilled for each in every
        ),  # every process counts the segments that all processes spilled
        spilled_total=sum(each.spilled_total for each in every),
        media={number: worker.calls for number, worker in status.items()},
    )


def _live_options(settings: Settings, *watches: PhraseWatch[Any]) -> LiveOptions:
    return LiveOptions(
        settings.engine_workers,
        SileroDetector,
        live_segmenter(settings),
        enabled=settings.live_transcript,
        watches=watches,
        probabilities=probabilities,
    )


def leg_ended(runtime: Runtime, ownership: CallOwnership) -> Callable[[CallId], None]:
    """Processes the end of a parent leg, here and in other processes, one of which may own the call."""

    def leg_ended(call_id: CallId) -> None:
        ownership.leg_ended(call_id)
        runtime.relay.send(PeerMessage.LEG_ENDED, call_id)

    return leg_ended
