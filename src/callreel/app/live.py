"""The live side of a process: calls with their lanes and transcripts, and the sockets that bring their audio."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from callreel.app.carrier import answer_options, carrier_access, signature_check
from callreel.app.ground import Ground, spool_of, tasks
from callreel.audio.segmenter import SegmenterOptions
from callreel.domain.ids import CallId
from callreel.engines.pool import BegunEngine
from callreel.engines.silero import SileroDetector
from callreel.services.announce import Announcer
from callreel.services.bridge import Bridge, Word
from callreel.services.clock import Clock
from callreel.services.counters import Counters
from callreel.services.custody import Custody
from callreel.services.live import LiveTranscription
from callreel.services.live_calls import LiveCalls, LiveOptions
from callreel.services.metrics import LiveFigures
from callreel.services.restream import Restreaming, ask_for_calls_of
from callreel.services.secret_tokens import new_token
from callreel.services.spill import Spill
from callreel.settings import Settings
from callreel.store.blobs import BlobStore
from callreel.store.database import Database
from callreel.web.media_protocol import OpenMedia, SocketLimits, media_protocol
from callreel.web.media_workers import MediaWorkers

log = logging.getLogger(__name__)

SWITCH_S = 0.000_5
"""How long a thread may keep the event loop from going on, in a process that has sockets.

Each read and write of the loop lets other threads of the interpreter in, and one that computes (rows, stages) stays for
this long. By Python's default of 5 ms a turn over 150 sockets took seconds while calls began.
"""


def _hear_other_processes(bridge: Bridge, live_calls: LiveCalls) -> None:
    """What the carrier told to another process of calls that are here."""
    bridge.on(Word.LEG_ENDED, lambda subject: live_calls.leg_ended(CallId(subject)))
    bridge.on(Word.STREAM_ENDED, live_calls.stream_ended)
    bridge.on(Word.TAKEN, lambda subject: live_calls.taken_elsewhere(CallId(subject)))


@dataclass(frozen=True, slots=True)
class LiveSide:
    """What a process needs to take media streams in."""

    engine: BegunEngine
    counters: Counters
    transcription: LiveTranscription
    calls: LiveCalls
    restreaming: Restreaming
    open_media: OpenMedia

    def figures(self) -> LiveFigures:
        heard = self.transcription
        return LiveFigures(
            self.calls.count, heard.finals_waiting, heard.lag_ms(), heard.partials_shed,
            heard.overload, heard.finals_spilled, heard.spilled_total,
        )  # fmt: skip


@asynccontextmanager
async def live_side(
    settings: Settings,
    engine: BegunEngine,
    database: Database,
    announcer: Announcer,
    bridge: Bridge,
    process: str,
    blobs: BlobStore,
) -> AsyncIterator[LiveSide]:
    """Live calls and their transcripts, ready for sockets. `process` is this process's name among all."""
    counters, clock = Counters(), Clock()
    transcription = _transcription(settings, engine, database, announcer, blobs, counters)
    restreaming = Restreaming(database, carrier_access(settings), answer_options(settings), clock, new_token)
    live_calls = LiveCalls(
        database, announcer, clock, counters, transcription,
        LiveOptions(
            settings.objects_dir, settings.block_ms, max_calls=settings.max_calls, spool=spool_of(blobs),
            hand_over=database.dialect == "postgresql",
        ),
        Custody(database, clock, process),
        ask_for_stream=restreaming.ask if settings.restart_streams else None,
        taken=lambda call_id: bridge.say(Word.TAKEN, call_id),
    )  # fmt: skip
    live_calls.bind(asyncio.get_running_loop())
    sys.setswitchinterval(SWITCH_S)
    _hear_other_processes(bridge, live_calls)
    open_media = media_protocol(
        signature_check(settings), settings.stream_url, live_calls, counters,
        SocketLimits(settings.start_deadline_s, settings.stream_idle_s), block_s=settings.block_ms / 1000,
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


def live_figures(live: LiveSide, media: MediaWorkers | None) -> LiveFigures:
    """Of this process and its media workers together."""
    own = live.figures()
    if media is None:
        return own
    theirs = media.figures
    return LiveFigures(
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
    announcer: Announcer,
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
        engine.host, database, announcer, Clock(), counters,
        workers=settings.engine_workers, new_detector=SileroDetector, segmenter=options,
        spill=Spill(database, blobs), listen=settings.live_transcript, engine=engine.able, why=engine.why,
    )  # fmt: skip


def leg_ended(ground: Ground, live_calls: LiveCalls) -> Callable[[CallId], None]:
    """What is done when the carrier says that a leg is over: its call may be another process's."""

    def leg_ended(call_id: CallId) -> None:
        ground.durable.expect_work()  # its recording comes soon
        live_calls.leg_ended(call_id)
        ground.bridge.say(Word.LEG_ENDED, call_id)

    return leg_ended
