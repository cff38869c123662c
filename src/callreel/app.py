"""The composition root: builds every part from the settings, hands it down, and runs the server or a worker.

The only module that knows all rooms. Lower ones get plain values and each other, never the settings.
"""

import asyncio
import gc
import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Connection

from callreel.audio.segmenter import SegmenterOptions
from callreel.carrier.destination import DialPolicy
from callreel.carrier.signature import SignatureCheck
from callreel.domain.call import Role
from callreel.domain.errors import EngineError, SettingsError, StoreError
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.verdict import Limits
from callreel.engines import registry
from callreel.engines.failover import AnyHost, FailoverHost
from callreel.engines.fetch_log import FetchLog
from callreel.engines.host import EngineHost
from callreel.engines.pool import BegunEngine, EnginePool
from callreel.engines.silero import SileroDetector
from callreel.engines.survey import Purpose, facts, survey
from callreel.services import again
from callreel.services.announce import Announcer
from callreel.services.answer import Answering, AnswerOptions
from callreel.services.archiving import QUIET, Archiving
from callreel.services.bridge import Bridge, Link, Word
from callreel.services.bus import EventBus
from callreel.services.callbacks import CallbackIntake
from callreel.services.carrier_list import CarrierList
from callreel.services.clock import Clock
from callreel.services.cloud import CarrierAccess, CarrierRecordings
from callreel.services.counters import Counters
from callreel.services.custody import Custody
from callreel.services.deletion import Deletion
from callreel.services.dispatch import Dispatcher
from callreel.services.durable import Durable
from callreel.services.erasing import Erasing
from callreel.services.fetching import Fetching, FetchOptions
from callreel.services.group_commit import GroupCommit
from callreel.services.health import Health, enough_room, works
from callreel.services.heartbeat import Heartbeat
from callreel.services.indexing import index_older
from callreel.services.judging import Judging
from callreel.services.layer_sync import LayerSync
from callreel.services.lead import Lead
from callreel.services.live import LiveTranscription
from callreel.services.live_calls import LiveCalls, LiveOptions
from callreel.services.metrics import EngineLoad, LiveFigures, Metrics
from callreel.services.moving import Moving
from callreel.services.peers import Peers, new_name
from callreel.services.presence import Presence
from callreel.services.reconcile import LookAgain, Reconciler
from callreel.services.recovery import Recovery
from callreel.services.restream import Restreaming, ask_for_calls_of
from callreel.services.secret_tokens import new_token
from callreel.services.silent_calls import SilentCalls
from callreel.services.spill import Spill
from callreel.services.stage_times import StageTimes
from callreel.services.stages import TRANSCRIBE_QUEUE, WHOLE_QUEUE, Stages
from callreel.services.tracing import export_to
from callreel.services.transcribing import Transcribing
from callreel.services.upkeep import Upkeep
from callreel.settings import LOOPBACK_HOSTS, Settings, describe
from callreel.settings.engines import engine_by_spec, engine_for, standing_in, surveyed
from callreel.speech.engine import Capabilities, HeardWord
from callreel.store import vocabulary
from callreel.store.blobs import BlobStore
from callreel.store.database import Database
from callreel.store.local_link import LocalLink
from callreel.store.notify import PostgresLink
from callreel.store.object_store import is_object_store, open_object_store
from callreel.store.spool import spool_name
from callreel.web.app import create_app
from callreel.web.carrier_routes import carrier_router
from callreel.web.media_protocol import OpenMedia, SocketLimits, media_protocol
from callreel.web.media_workers import MediaWorkers
from callreel.web.one_port import in_this_process, one_port
from callreel.web.options import ShownSetting, SoftphoneOptions, WebOptions
from callreel.web.welcome import first_link

log = logging.getLogger(__name__)

ADOPT_EVERY_S = 10.0
DRAIN_LOOK_S = 0.1
AGAIN_LOOK_S = 1.0

T = TypeVar("T")
Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Ground:
    """What the server and a worker share: rows, files, events, the clock, the stages."""

    settings: Settings
    database: Database
    blobs: BlobStore
    bus: EventBus
    announcer: Announcer
    clock: Clock
    carrier: CarrierRecordings
    durable: Durable
    heartbeat: Heartbeat
    peers: Peers
    bridge: Bridge
    final: BegunEngine | None
    """The engine of the final pass; None where this process transcribes nothing after calls."""
    hints: Sequence[str]
    stage_times: StageTimes
    moving: Moving | None

    @property
    def process(self) -> str:
        """This process's name among its peers."""
        return self.heartbeat.name


def serve(settings: Settings, *, demo: bool = False, demo_sign_in: bool = False) -> None:
    """Run the server until SIGINT or SIGTERM. Raises CallreelError before it takes anything in.

    `demo` is for this machine alone and lets everybody on it in; with `demo_sign_in` people sign in all the same.
    """
    if demo and settings.host not in LOOPBACK_HOSTS:
        raise SettingsError(f"demo mode listens on loopback only, not on {settings.host}")
    if settings.softphone_local_signal:
        _refuse_stand_in_beside_a_carrier(settings, demo)
    asyncio.run(_serve(settings, demo, demo_sign_in))


def work(settings: Settings) -> None:
    """Run the stages after calls beside a server, until SIGINT or SIGTERM."""
    asyncio.run(_work(settings))


def _refuse_stand_in_beside_a_carrier(settings: Settings, demo: bool) -> None:
    """Browsers may be sent to a stand-in where all of the carrier is one, and nowhere else."""
    if not demo:
        raise SettingsError(
            "CALLREEL_SOFTPHONE_LOCAL_SIGNAL is for demo mode; remove it, or browsers would not reach the carrier"
        )
    if urlsplit(settings.carrier_api_url).hostname not in LOOPBACK_HOSTS:
        raise SettingsError(
            "CALLREEL_SOFTPHONE_LOCAL_SIGNAL names a stand-in, CALLREEL_CARRIER_API_URL does not; set both or neither"
        )


async def _serve(settings: Settings, demo: bool, demo_sign_in: bool) -> None:
    async with _ground(settings, server=True) as ground, AsyncExitStack() as stack:
        apart = settings.media_workers > 0
        engine = await begun_engine(
            settings, Purpose.LIVE, ground.hints, 1 if apart else settings.engine_workers, stack
        )
        if apart:
            await engine.host.close()  # the workers have engines of their own; what it can do is known now
        recovery = Recovery(
            ground.database, ground.announcer, ground.clock, settings.objects_dir, engine.able.name,
            ground.peers.dead, alone=ground.database.dialect == "sqlite", spool=spool_of(ground.blobs),
        )  # fmt: skip
        recovered = await asyncio.to_thread(recovery.at_start)
        if recovered:
            log.warning("closed %d calls that a dead process left", recovered)
        await stack.enter_async_context(_running_stages(ground))
        dispatcher = Dispatcher(ground.database, ground.durable, ground.clock)
        reconciler = _reconciler(ground)
        live = await stack.enter_async_context(
            live_side(
                settings,
                engine,
                ground.database,
                ground.announcer,
                ground.bridge,
                ground.process,
                ground.blobs,
            )  # fmt: skip
        )
        media = await stack.enter_async_context(_media(settings, ground.database, live))
        lead = Lead(ground.database)
        health = _health(ground, live.calls, media)
        metrics = Metrics(
            ground.database, ground.blobs, live.counters, health, ground.clock, lambda: _figures(live, media),
            stages=ground.stage_times,
            engines=_engine_load(ground.final, None if media else engine),
        )  # fmt: skip
        silent = SilentCalls(ground.database, ground.carrier, ground.clock, _leg_ended(ground, live.calls))
        sync = LayerSync(ground.database, settings.objects_dir, settings.sync_every_s)
        app = web_app(
            ground, engine, live.calls, dispatcher, live.counters, health, metrics, demo, demo_sign_in
        )
        await stack.enter_async_context(
            tasks(
                dispatcher.run(),
                sync.run(),
                health.run(),
                lead.run(),
                recovery.run(lambda: lead.ours),
                reconciler.run(lambda: lead.ours),
                silent.run(lambda: lead.ours),
                _upkeep(ground).run(lambda: lead.ours),
                archiving(settings, ground.database, ground.blobs, ground.clock).run(lambda: lead.ours),
                erasing(settings, ground.database, ground.blobs, ground.carrier, ground.clock).run(
                    lambda: lead.ours
                ),
            )  # fmt: skip
        )
        config = uvicorn.Config(
            app, settings.host, settings.port, log_config=None, access_log=False, timeout_graceful_shutdown=5,
            http=one_port(media.take if media else in_this_process(live.open_media)), ws="websockets-sansio", ws_max_size=1 << 20, ws_ping_interval=20,
            ws_ping_timeout=20, lifespan="off", server_header=False, proxy_headers=False,
        )  # fmt: skip
        log.info("listening on http://%s:%d", settings.host, settings.port)
        if demo_sign_in or not demo:
            await _tell_first_link(ground)
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be looked through while calls go on
        await _Server(config, Draining(live, media), settings.drain_s, before_exit=ground.bus.close).serve()


def transcribe_again(
    settings: Settings,
    spec: str,
    choose: Callable[[Connection], Sequence[CallId]],
    tell: Callable[[again.Run, again.Progress], None],
) -> tuple[again.Run, again.Progress]:
    """Hear the chosen calls again by engine `spec` and answer how it went, telling it every second meanwhile.

    A run of that engine that was cut off goes on first; calls that it has are not begun twice. Other processes of the
    installation help, and go on when this one ends.
    """
    return asyncio.run(_transcribe_again(settings, spec, choose, tell))


async def _transcribe_again(
    settings: Settings,
    spec: str,
    choose: Callable[[Connection], Sequence[CallId]],
    tell: Callable[[again.Run, again.Progress], None],
) -> tuple[again.Run, again.Progress]:
    apart = settings.model_copy(update={"work_queues": {}})  # the run brings an engine of its own
    async with _ground(apart, server=False) as ground, _running_stages(ground, again_only=True):
        run = await asyncio.to_thread(again.unfinished_run, ground.durable, spec)
        run = run or again.Run.at(ground.clock.now(), spec)
        with ground.database.read() as conn:
            chosen = choose(conn)
        await asyncio.to_thread(again.begin, ground.durable, run, chosen)
        while True:
            progress = await asyncio.to_thread(again.progress, ground.durable, run)
            tell(run, progress)
            if not progress.waiting:
                return run, progress
            await asyncio.sleep(AGAIN_LOOK_S)


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with _ground(settings, server=False) as ground, _running_stages(ground):
        log.info("working on %s", ", ".join(settings.work_queues))
        await stop.wait()


def _hear_other_processes(bridge: Bridge, live_calls: LiveCalls) -> None:
    """What the carrier told to another process of calls that are here."""
    bridge.on(Word.LEG_ENDED, lambda subject: live_calls.leg_ended(CallId(subject)))
    bridge.on(Word.STREAM_ENDED, live_calls.stream_ended)
    bridge.on(Word.TAKEN, lambda subject: live_calls.taken_elsewhere(CallId(subject)))


async def _tell_first_link(ground: Ground) -> None:
    """Without anybody who may sign in, say once how the first administrator does."""
    link = await asyncio.to_thread(first_link, ground.database, ground.clock, ground.settings.public_url)
    if link:
        log.warning(
            "nobody can sign in yet; the first administrator begins here, once, within a day: %s", link
        )


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
    restreaming = Restreaming(database, _access(settings), answer_options(settings), clock, new_token)
    live_calls = LiveCalls(
        database, announcer, clock, counters, transcription,
        LiveOptions(
            settings.objects_dir, settings.block_ms, max_calls=settings.max_calls, spool=spool_of(blobs),
            hand_over=database.dialect == "postgresql",
        ),
        Custody(database, announcer, clock, process),
        ask_for_stream=restreaming.ask if settings.restart_streams else None,
        taken=lambda call_id: bridge.say(Word.TAKEN, call_id),
    )  # fmt: skip
    live_calls.bind(asyncio.get_running_loop())
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
async def _media(
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

    command = (sys.executable, "-m", "callreel.media_app")
    workers = MediaWorkers(settings.media_workers, command, live.counters, died=ask_again)
    try:
        await workers.start()
        log.info("%d media workers take the sockets", settings.media_workers)
        yield workers
    finally:
        await workers.close()


@dataclass(frozen=True, slots=True)
class Draining:
    """Ending without cutting calls: no new ones, and how many go on."""

    live: LiveSide
    media: MediaWorkers | None

    def begin(self) -> None:
        self.live.calls.drain()
        if self.media is not None:
            self.media.drain()

    @property
    def calls(self) -> int:
        return self.live.calls.count + (self.media.calls if self.media is not None else 0)


def _figures(live: LiveSide, media: MediaWorkers | None) -> LiveFigures:
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


def _engine_load(final: BegunEngine | None, live: BegunEngine | None) -> dict[str, EngineLoad]:
    """The engine processes of this process, by what they are for. Media workers have their own."""
    begun = {"live": live, "final": final}
    return {use: engine.host for use, engine in begun.items() if engine is not None}


class _Server(uvicorn.Server):
    """Lets the calls that go on end first, while their callbacks and pages are still served. A second signal cuts that
    short. Then ends the live event streams before it waits for open connections, which would never end by themselves.
    """

    def __init__(
        self, config: uvicorn.Config, draining: Draining, drain_s: float, before_exit: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._draining = draining
        self._drain_s = drain_s
        self._before_exit = before_exit

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._drain()
        self._before_exit()
        await super().shutdown(sockets)

    async def _drain(self) -> None:
        self._draining.begin()
        if self._draining.calls:
            log.info("waiting %g s at most for %d calls to end", self._drain_s, self._draining.calls)
        until_s = time.monotonic() + self._drain_s
        while self._draining.calls and time.monotonic() < until_s and len(self._captured_signals) < 2:  # noqa: ASYNC110  # a signal sets no event
            await asyncio.sleep(DRAIN_LOOK_S)

    @contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        """As the library's, but a stop by signal is an orderly end: the signal is not raised again."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def traced(settings: Settings, name: str, stack: AsyncExitStack) -> None:
    """Send the traces of the process of this name where the settings say, until `stack` is left."""
    if settings.otel_endpoint:
        stack.callback(export_to(settings.otel_endpoint, name))


@asynccontextmanager
async def _ground(settings: Settings, *, server: bool) -> AsyncIterator[Ground]:
    """Open everything that both kinds of process need; the order of closing is the reverse."""
    transcribing = settings.work_queues.get(TRANSCRIBE_QUEUE, 0)
    for purpose in [*([Purpose.LIVE] if server else []), *([Purpose.FINAL] if transcribing else [])]:
        choice = (await asyncio.to_thread(engine_for, settings, purpose)).choice
        await asyncio.to_thread(registry.prepare, choice, FetchLog(choice.name))
    blobs = blob_store(settings)
    blobs.check_writable()
    await asyncio.to_thread(_probe, blobs)
    presence = Presence(settings.data_dir / "processes")
    async with AsyncExitStack() as stack:
        stack.callback(presence.leave)
        database = Database.open(settings.app_database_url)
        stack.callback(database.close)
        alone = database.dialect == "sqlite"
        if server and alone:
            presence.enter_as_server()
        await asyncio.to_thread(database.migrate)
        await asyncio.to_thread(index_older, database)
        bus, clock = EventBus(), Clock()
        carrier = CarrierRecordings(_access(settings))
        stack.callback(carrier.close)
        hints = await asyncio.to_thread(hints_of, settings, database)
        final = (
            await begun_engine(settings, Purpose.FINAL, hints, transcribing, stack) if transcribing else None
        )
        name = new_name()
        traced(settings, name, stack)
        durable = Durable(settings.durable_database_url, name)
        presence.enter(name)
        heartbeat = Heartbeat(database, name, "server" if server else "worker", clock)
        await asyncio.to_thread(heartbeat.beat)  # before any work is taken
        stack.callback(_leave, heartbeat)
        peers = Peers(presence, None if alone else heartbeat)
        bridge = Bridge(bus, link(settings, name), name)
        await stack.enter_async_context(tasks(bridge.run()))
        announcer = Announcer(database, bus, clock)
        spool = spool_of(blobs)
        moving = Moving(database, blobs, clock, spool) if spool else None
        yield Ground(
            settings, database, blobs, bus, announcer, clock, carrier, durable, heartbeat, peers, bridge, final,
            hints, StageTimes(), moving,
        )  # fmt: skip


def blob_store(settings: Settings) -> BlobStore:
    """Where audio is kept: a folder, or an object store with the data folder as its spool. Raises SettingsError."""
    url = settings.object_store_url
    if url is None or not is_object_store(url):
        return BlobStore(settings.objects_dir)
    secret = settings.object_store_secret
    objects = open_object_store(
        url, settings.object_store_options, key_id=settings.object_store_key_id,
        secret=secret.get_secret_value() if secret else None, timeout_s=settings.object_store_timeout_s,
    )  # fmt: skip
    return BlobStore(settings.objects_dir, objects)


def spool_of(blobs: BlobStore) -> str | None:
    """What this machine's spool is called; None where files lie in their place at once."""
    return spool_name(blobs.root) if blobs.objects else None


def _probe(blobs: BlobStore) -> None:
    """Say at the start when the object store cannot be used. Calls are taken all the same: they grow on the spool."""
    if blobs.objects is None:
        return
    try:
        blobs.objects.probe()
    except StoreError as error:
        log.error("%s; recordings stay on the spool until it can", error)


def _queues(settings: Settings, again_only: bool) -> dict[str, int]:
    """How much of each queue this process works on at once."""
    if again_only:
        return {again.QUEUE: 1}
    at_once = dict(settings.work_queues)
    if TRANSCRIBE_QUEUE in at_once:
        at_once[WHOLE_QUEUE] = at_once[TRANSCRIBE_QUEUE]
        at_once[again.QUEUE] = 1
    return at_once


def link(settings: Settings, name: str) -> Link:
    """The way to the other processes of this installation."""
    if settings.app_database_url.startswith("sqlite:"):
        return LocalLink(settings.data_dir / "processes", name)
    return PostgresLink(settings.app_database_url)


@asynccontextmanager
async def _running_stages(ground: Ground, *, again_only: bool = False) -> AsyncIterator[None]:
    """The durable workflows, and taking up what dead processes of this machine left.

    `again_only` takes up nothing but calls that are to be transcribed again.
    """
    loop = asyncio.get_running_loop()
    settings = ground.settings
    pool = EnginePool(lambda spec: _begun_again(settings, spec, ground.hints))

    def wait(work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    def transcribing_with(
        able: Capabilities, why: str, decode: Callable[[Samples], Sequence[HeardWord]]
    ) -> Transcribing:
        return Transcribing(
            ground.database, ground.blobs, ground.announcer, decode=decode, engine=able, why=why,
            new_detector=SileroDetector, segmenter=SegmenterOptions(min_silence_ms=800),
        )  # fmt: skip

    def transcribing_again(spec: str) -> Transcribing:
        engine = wait(pool.engine(spec))
        return transcribing_with(engine.able, engine.why, lambda samples: wait(pool.decode(spec, samples)))

    def decode(samples: Samples) -> Sequence[HeardWord]:
        if ground.final is None:
            raise EngineError("this process transcribes nothing after calls")
        return wait(ground.final.host.decode(samples))

    fetching = Fetching(
        ground.database, ground.blobs, ground.announcer, ground.carrier, ground.clock,
        FetchOptions(settings.fetch_attempts),
    )  # fmt: skip
    if ground.final is not None:
        transcribing = transcribing_with(ground.final.able, ground.final.why, decode)
    else:
        selected = await asyncio.to_thread(engine_for, settings, Purpose.FINAL)
        transcribing = transcribing_with(survey(selected.choice).capabilities, selected.why, decode)
    both = settings.stream_track == "both_tracks" and settings.recording_track == "both"
    judging = Judging(
        ground.database, ground.blobs, ground.announcer, ground.clock,
        Limits(late_stream_ms=settings.late_stream_ms), tracks=2 if both else 1, record=settings.record,
    )  # fmt: skip
    Stages(ground.database, ground.announcer, fetching, transcribing, judging, ground.stage_times).register(
        ground.durable
    )
    again.Again(transcribing_again).register(ground.durable)
    await asyncio.to_thread(ground.durable.launch, _queues(settings, again_only))
    try:
        moving = (ground.moving.run(),) if ground.moving else ()
        async with tasks(_adopt(ground), ground.heartbeat.run(), pool.run(), *moving):
            yield
    finally:
        await asyncio.to_thread(ground.durable.close)
        await pool.close()


def _leave(heartbeat: Heartbeat) -> None:
    try:
        heartbeat.leave()
    except StoreError as error:
        log.warning("the end of this process could not be noted: %s", error)


async def _adopt(ground: Ground) -> None:
    while True:
        try:
            taken = await asyncio.to_thread(ground.durable.adopt, ground.peers.dead)
            if taken:
                log.warning("took up %d unfinished pieces of work of a dead process", taken)
            again = await asyncio.to_thread(ground.durable.revive)
            if again:
                log.warning("queued %d pieces of work again that this process had taken up and lost", again)
        except Exception:
            log.exception("looking for unfinished work failed; trying again")
        await asyncio.sleep(ADOPT_EVERY_S)


@asynccontextmanager
async def tasks(*work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Own background tasks: they end with the context."""
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def begun_engine(
    settings: Settings, purpose: Purpose, hints: Sequence[str], workers: int, stack: AsyncExitStack
) -> BegunEngine:
    """The engine for `purpose` in its processes, with another to stand in; the log says which and why."""
    selected = await asyncio.to_thread(engine_for, settings, purpose, hints)
    able = await asyncio.to_thread(registry.prepare, selected.choice, FetchLog(selected.choice.name))
    other = await asyncio.to_thread(standing_in, settings, selected.choice, purpose, hints)
    host: AnyHost = EngineHost(selected.choice, workers)
    if other is not None:
        host = FailoverHost(
            partial(EngineHost, selected.choice, workers), partial(EngineHost, other, workers)
        )
    stack.push_async_callback(host.close)
    await host.start()
    log.info("engine of the %s transcript: %s %s (%s)", purpose, able.name, able.model, selected.why)
    return BegunEngine(host, able, selected.why)


async def _begun_again(settings: Settings, spec: str, hints: Sequence[str]) -> BegunEngine:
    """An engine that was asked for by a run over calls again; nobody stands in, since its words are the point."""
    choice = engine_by_spec(settings, spec, hints)
    able = await asyncio.to_thread(registry.prepare, choice, FetchLog(choice.name))
    host = EngineHost(choice, 1)
    await host.start()
    return BegunEngine(host, able, "asked for by callreel transcribe --again")


def hints_of(settings: Settings, database: Database) -> list[str]:
    """Words that engines should expect: the settings', people's and the technicians' names."""
    with database.read() as conn:
        return vocabulary.hints(conn, settings.vocabulary)


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


def _leg_ended(ground: Ground, live_calls: LiveCalls) -> Callable[[CallId], None]:
    """What is done when the carrier says that a leg is over: its call may be another process's."""

    def leg_ended(call_id: CallId) -> None:
        live_calls.leg_ended(call_id)
        ground.bridge.say(Word.LEG_ENDED, call_id)

    return leg_ended


def _reconciler(ground: Ground) -> Reconciler:
    settings = ground.settings
    when = LookAgain(settings.recording_grace_s, settings.recording_deadline_s)
    return Reconciler(
        ground.database, ground.announcer, ground.carrier, ground.clock, when, record=settings.record
    )


def _health(ground: Ground, live_calls: LiveCalls, media: MediaWorkers | None) -> Health:
    room = enough_room(ground.blobs.free_bytes, ground.settings.min_free_mb << 20)
    checks = {
        "database": ground.heartbeat.trouble,
        "folder": works(ground.blobs.check_writable),
        "room": room,
        "stopping": lambda: "the server stops and takes no new calls" if live_calls.draining else None,
    }
    if media is not None:
        checks["media"] = media.trouble
    lesser = {"objects": ground.moving.trouble} if ground.moving else {}
    return Health(ground.clock, checks, lesser)


def _upkeep(ground: Ground) -> Upkeep:
    listing = CarrierList(ground.database, ground.announcer, ground.carrier, ground.clock)
    days = delete_after_days(ground.settings)
    deletion = Deletion(ground.database, ground.blobs, ground.carrier, ground.clock, after_days=days)
    return Upkeep(
        ground.database, ground.clock, listing, deletion,
        unfinished=lambda: {found.workflow_id for found in ground.durable.unfinished()},
        days=ground.settings.reconcile_days, usable=ground.carrier.usable,
    )  # fmt: skip


def archiving(settings: Settings, database: Database, blobs: BlobStore, clock: Clock) -> Archiving:
    """The policy of the settings."""
    after = {
        "never": None,
        "after_verified": QUIET,
        "after_days": timedelta(days=settings.archive_after_days),
    }
    return Archiving(
        database,
        blobs,
        clock,
        after=after[settings.archive],
        only_trusted=settings.archive == "after_verified",
    )


def erasing(
    settings: Settings, database: Database, blobs: BlobStore, carrier: CarrierRecordings, clock: Clock
) -> Erasing:
    """The policy of the settings."""
    days = settings.erase_after_days
    after = None if days is None else timedelta(days=days)
    return Erasing(database, blobs, carrier, clock, after=after)


def delete_after_days(settings: Settings) -> int | None:
    """How many days after its verdict a recording is deleted at the carrier; None is never."""
    return settings.delete_after_days if settings.delete_at_carrier == "after_days" else None


@dataclass(frozen=True, slots=True)
class AtRest:
    """Rows, files and the carrier for a command beside the server, which takes no calls and runs no stages."""

    database: Database
    blobs: BlobStore
    announcer: Announcer
    carrier: CarrierRecordings
    clock: Clock


@contextmanager
def at_rest(settings: Settings) -> Iterator[AtRest]:
    """Open what a command needs. Raises StoreError."""
    database, clock = Database.open(settings.app_database_url), Clock()
    carrier = CarrierRecordings(_access(settings))
    try:
        database.migrate()
        announcer = Announcer(database, EventBus(), clock)
        yield AtRest(database, blob_store(settings), announcer, carrier, clock)
    finally:
        carrier.close()
        database.close()


def web_app(
    ground: Ground,
    engine: BegunEngine,
    live_calls: LiveCalls,
    dispatcher: Dispatcher,
    counters: Counters,
    health: Health,
    metrics: Metrics,
    demo: bool,
    demo_sign_in: bool,
) -> FastAPI:
    """Every route of the server but the media socket, which `one_port` takes before it."""
    settings = ground.settings
    check = signature_check(settings)
    answering = Answering(
        ground.database, ground.announcer, answer_options(settings), ground.clock,
        new_call_id=lambda: secrets.token_hex(6), new_token=new_token, owner=ground.process,
    )  # fmt: skip

    def stream_ended(stream_sid: str) -> None:
        live_calls.stream_ended(stream_sid)
        ground.bridge.say(Word.STREAM_ENDED, stream_sid)

    intake = CallbackIntake(
        ground.clock, recording_changed=dispatcher.wake, leg_ended=_leg_ended(ground, live_calls),
        stream_ended=stream_ended,
    )  # fmt: skip
    commits = GroupCommit(ground.database, ground.announcer)
    routers = (carrier_router(check, settings.public_url, answering, intake, commits, counters),)
    options = WebOptions(
        demo=demo,
        demo_sign_in=demo_sign_in,
        secure_cookies=settings.public_url.startswith("https:"),
        role_names={Role.AGENT: settings.agent_name, Role.TECHNICIAN: settings.technician_name},
        engine_name=engine.able.name,
        engine_rough=engine.able.rough,
        engines=lambda: _engines_told(settings, {Purpose.LIVE: engine, Purpose.FINAL: ground.final}),
        english=settings.engine_language == "en",
        prices=settings.prices,
        public_url=settings.public_url,
        softphone=softphone_options(settings),
        dial_policy=answer_options(settings).dial_policy,
        demo_identity=settings.incoming_agent,
        settings=shown_settings(settings),
        missing=carrier_missing(settings),
    )
    return create_app(
        database=ground.database,
        blobs=ground.blobs,
        bus=ground.bus,
        options=options,
        routers=routers,
        health=health,
        metrics=metrics,
    )


def shown_settings(settings: Settings) -> list[ShownSetting]:
    """Every setting in force as the page of settings shows it; secrets are masked already."""
    return [
        ShownSetting(line.section, line.env, line.value_shown, line.source, line.meaning)
        for line in describe(settings)
    ]


def carrier_missing(settings: Settings) -> list[str]:
    """What the carrier cannot do without and is not set: by name and in words."""
    missing = softphone_options(settings).missing
    if settings.auth_token is None and not settings.shared_keys:
        missing.append("TWILIO_AUTH_TOKEN, the account's auth token: without it no webhook can be trusted")
    if urlsplit(settings.public_url).hostname in LOOPBACK_HOSTS and not settings.softphone_local_signal:
        missing.append("CALLREEL_PUBLIC_URL, the address under which the carrier reaches this server")
    return missing


def _engines_told(settings: Settings, begun: Mapping[Purpose, BegunEngine | None]) -> dict[str, Json]:
    """What `GET /api/engines` answers: who hears, why, who stands in now, and what each can do."""
    told: dict[str, Json] = {}
    for purpose, engine in begun.items():
        if engine is None:
            told[purpose.value] = None  # other processes of the installation do it
            continue
        trouble = engine.host.why if isinstance(engine.host, FailoverHost) else ""
        told[purpose.value] = {
            "engine": engine.able.name,
            "model": engine.able.model,
            "why": engine.why,
            "stands_in": engine.host.capabilities.name if trouble else "",
            "trouble": trouble,
        }
    return {**told, "engines": [facts(one) for one in surveyed(settings)]}


def softphone_options(settings: Settings) -> SoftphoneOptions:
    """What browsers need to place calls; what is not set is empty."""
    secret = settings.api_key_secret
    return SoftphoneOptions(
        account_sid=settings.account_sid or "",
        api_key_sid=settings.api_key_sid or "",
        api_key_secret=secret.get_secret_value() if secret else "",
        application_sid=settings.twiml_app_sid or "",
        caller_id=settings.caller_id or "",
        token_ttl_s=settings.access_token_ttl_s,
        local_signal=settings.softphone_local_signal,
    )


def signature_check(settings: Settings) -> SignatureCheck:
    """Checks the carrier's signatures with the configured secrets; without any, nothing is valid."""
    token = settings.auth_token.get_secret_value() if settings.auth_token else ""
    return SignatureCheck(token, {sid: key.get_secret_value() for sid, key in settings.shared_keys.items()})


def answer_options(settings: Settings) -> AnswerOptions:
    """What the TwiML says, from the settings."""
    countries, prefixes = frozenset(settings.dial_countries), settings.dial_prefixes
    policy = (
        DialPolicy.for_caller_id(settings.caller_id, countries, prefixes)
        if settings.caller_id
        else DialPolicy(countries, prefixes)
    )
    return AnswerOptions(
        public_url=settings.public_url,
        stream_url=settings.stream_url,
        caller_id=settings.caller_id or "",
        incoming_agent=settings.incoming_agent,
        dial_policy=policy,
        stream_track=settings.stream_track,
        record=settings.record,
        recording_channels=settings.recording_channels,
        recording_track=settings.recording_track,
        recording_trim=settings.recording_trim,
        recording_events=settings.recording_events,
        callback_retries=settings.callback_retries,
        callback_retry_policy=settings.callback_retry_policy,
        answer_on_bridge=settings.answer_on_bridge,
        swap_tracks=settings.swap_tracks,
        token_ttl_s=settings.media_token_ttl_s,
    )


def _access(settings: Settings) -> CarrierAccess:
    """An API key if there is one, else the account's own token, which is for trying things out."""
    key, token = settings.api_key_secret, settings.auth_token
    username = settings.api_key_sid if key else settings.account_sid
    secret = key or token
    return CarrierAccess(
        settings.carrier_api_url, settings.account_sid or "", username or "",
        secret.get_secret_value() if secret else "", settings.fetch_timeout_s,
    )  # fmt: skip
