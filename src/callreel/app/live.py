"""The live side of a process: calls with their lanes and transcripts, and the sockets that bring their audio."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from callreel.app.carrier import answer_options, carrier_access, signature_check
from callreel.app.runtime import Runtime, spool_of, tasks
from callreel.asr.silero import SileroDetector
from callreel.asr.workers.pool import BegunEngine
from callreel.audio.segmenter import SegmenterOptions
from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.event_relay import EventRelay, PeerMessage
from callreel.cluster.group_commit import GroupCommit
from callreel.domain.ids import CallId
from callreel.ingest.live_calls import LiveCalls, LiveOptions
from callreel.ingest.media.protocol import OpenMedia, SocketLimits, media_protocol
from callreel.ingest.media.workers import MediaWorkers
from callreel.ingest.ownership import CallOwnership
from callreel.ingest.stream_restart import StreamRestarter, ask_for_calls_of
from callreel.live.spill import Spill
from callreel.live.transcription import LiveTranscription
from callreel.ops.metrics import LiveGauges
from callreel.runtime.clock import Clock
from callreel.runtime.counters import Counters
from callreel.runtime.secret_tokens import new_token
from callreel.settings import Settings
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore

log = logging.getLogger(__name__)

SWITCH_S = 0.000_5
"""How long a thread may keep the event loop from going on, in a process that has sockets.

Each read and write of the loop lets other threads of the interpreter in, and one that computes (rows, stages) stays for
this long. By Python's default of 5 ms a turn over 150 sockets took seconds while calls began.
"""


def _hear_other_processes(relay: EventRelay, live_calls: LiveCalls) -> None:
    """What the carrier told to another process of calls that are here."""
    relay.on(PeerMessage.LEG_ENDED, lambda subject: live_calls.leg_ended(CallId(subject)))
    relay.on(PeerMessage.STREAM_ENDED, live_calls.stream_ended)
    relay.on(PeerMessage.TAKEN, lambda subject: live_calls.taken_elsewhere(CallId(subject)))


@dataclass(frozen=True, slots=True)
class LiveSide:
    """What a process needs to take media streams in."""

    engine: BegunEngine
    counters: Counters
    transcription: LiveTranscription
    calls: LiveCalls
    restreaming: StreamRestarter
    open_media: OpenMedia

    def figures(self) -> LiveGauges:
        heard = self.transcription
        return LiveGauges(
            self.calls.count, heard.finals_waiting, heard.lag_ms(), heard.partials_shed,
            heard.overload, heard.finals_spilled, heard.spilled_total,
        )  # fmt: skip


@asynccontextmanager
async def live_side(
    settings: Settings,
    engine: BegunEngine,
    database: Database,
    publisher: EventPublisher,
    commits: GroupCommit,
    relay: EventRelay,
    process: str,
    blobs: BlobStore,
) -> AsyncIterator[LiveSide]:
    """Live calls and their transcripts, ready for sockets. `process` is this process's name among all."""
    counters, clock = Counters(), Clock()
    transcription = _transcription(settings, engine, database, publisher, commits, blobs, counters)
    restreaming = StreamRestarter(
        database, carrier_access(settings), answer_options(settings), clock, new_token
    )
    live_calls = LiveCalls(
        database, publisher, commits, clock, counters, transcription,
        LiveOptions(
            settings.objects_dir, settings.block_ms, max_calls=settings.max_calls, spool=spool_of(blobs),
            hand_over=database.dialect == "postgresql",
        ),
        CallOwnership(database, clock, process),
        ask_for_stream=restreaming.ask if settings.restart_streams else None,
        taken=lambda call_id: relay.send(PeerMessage.TAKEN, call_id),
    )  # fmt: skip
    live_calls.bind(asyncio.get_running_loop())
    sys.setswitchinterval(SWITCH_S)
    _hear_other_processes(relay, live_calls)
    open_media = media_protocol(
        signature_check(settings), settings.stream_url, live_calls, counters,
        SocketLimits(settings.stream_start_timeout_s, settings.stream_idle_timeout_s), block_s=settings.block_ms / 1000,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        stack.callback(restreaming.close)
        transcription.start()
        stack.push_async_callback(transcription.close)
        stack.push_async_callback(live_calls.close)
        await stack.enter_async_context(tasks(live_calls.run()))
        yield LiveSide(engine, counters, transcription, live_calls, restreaming, open_media)


@asynccontextmanager
async def media_side(
    settings: Settings, database: Database, live: LiveSide
) -> AsyncIterator[MediaWorkers | None]:
    """The processes that have the media sockets; None where this one has them."""
    if not settings.media_workers:
        yield None
        return

    def ask_again(name: str) -> None:
        if settings.restart_streams:
            asyncio.get_running_loop().run_in_executor(
                None, ask_for_calls_of, name, database, live.restreaming
            )

    command = (sys.executable, "-m", "callreel.app.media_worker")
    workers = MediaWorkers(settings.media_workers, command, live.counters, died=ask_again)
    try:
        await workers.start()
        log.info("%d media workers take the sockets", settings.media_workers)
        yield workers
    finally:
        await workers.close()


def live_figures(live: LiveSide, media: MediaWorkers | None) -> LiveGauges:
    """Of this process and its media workers together."""
    own = live.figures()
    if media is None:
        return own
    theirs = media.figures
    return LiveGauges(
        own.calls + sum(worker.calls for worker in theirs.values()),
        own.finals_waiting + sum(worker.finals_waiting for worker in theirs.values()),
        max([own.lag_ms, *(worker.lag_ms for worker in theirs.values())]),
        own.partials_shed + sum(worker.partials_shed for worker in theirs.values()),
        max([own.overload, *(worker.overload for worker in theirs.values())]),
        max([own.finals_spilled, *(worker.finals_spilled for worker in theirs.values())]),
        own.spilled_total + sum(worker.spilled_total for worker in theirs.values()),
        {number: worker.calls for number, worker in theirs.items()},
    )


def _transcription(
    settings: Settings,
    engine: BegunEngine,
    database: Database,
    publisher: EventPublisher,
    commits: GroupCommit,
    blobs: BlobStore,
    counters: Counters,
) -> LiveTranscription:
    options = SegmenterOptions(
        on=settings.vad_on_threshold,
        off=settings.vad_off_threshold,
        min_silence_ms=settings.vad_min_silence_ms,
        pre_ms=settings.vad_pre_ms,
        post_ms=settings.vad_post_ms,
    )
    return LiveTranscription(
        engine.host, database, publisher, commits, Clock(), counters,
        workers=settings.engine_workers, new_detector=SileroDetector, segmenter=options,
        spill=Spill(database, blobs), listen=settings.live_transcript, engine=engine.able, why=engine.why,
    )  # fmt: skip


def leg_ended(runtime: Runtime, live_calls: LiveCalls) -> Callable[[CallId], None]:
    """What is done when the carrier says that a leg is over: its call may be another process's."""

    def leg_ended(call_id: CallId) -> None:
        runtime.durable.expect_work()  # its recording comes soon
        live_calls.leg_ended(call_id)
        runtime.relay.send(PeerMessage.LEG_ENDED, call_id)

    return leg_ended
