"""What every process of an installation stands on: database, files, events, peers. Opened in one order, closed in the reverse."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from callreel.app.carrier import carrier_access
from callreel.app.engines import begun_engine, hints_of
from callreel.domain.errors import StoreError
from callreel.engines import registry
from callreel.engines.fetch_log import FetchLog
from callreel.engines.pool import BegunEngine
from callreel.engines.survey import Purpose
from callreel.services.announce import Announcer
from callreel.services.bridge import Bridge, Link
from callreel.services.bus import EventBus
from callreel.services.checking import FOLDERS
from callreel.services.clock import Clock
from callreel.services.cloud import CarrierRecordings
from callreel.services.durable import Durable
from callreel.services.heartbeat import Heartbeat
from callreel.services.indexing import index_older
from callreel.services.moving import Moving
from callreel.services.peers import Peers, new_name
from callreel.services.presence import Presence
from callreel.services.stage_times import StageTimes
from callreel.services.stages import TRANSCRIBE_QUEUE
from callreel.services.tracing import export_to
from callreel.settings import Settings
from callreel.settings.engines import engine_for
from callreel.store.blobs import BlobStore
from callreel.store.database import Database
from callreel.store.local_link import LocalLink
from callreel.store.notify import PostgresLink
from callreel.store.object_store import is_object_store, open_object_store
from callreel.store.spool import spool_name

log = logging.getLogger(__name__)

T = TypeVar("T")


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


def traced(settings: Settings, name: str, stack: AsyncExitStack) -> None:
    """Send the traces of the process of this name where the settings say, until `stack` is left."""
    if settings.otel_endpoint:
        stack.callback(export_to(settings.otel_endpoint, name))


@asynccontextmanager
async def open_ground(settings: Settings, *, server: bool) -> AsyncIterator[Ground]:
    """Open everything that both kinds of process need; the order of closing is the reverse."""
    transcribing = settings.work_queues.get(TRANSCRIBE_QUEUE, 0)
    for purpose in [*([Purpose.LIVE] if server else []), *([Purpose.FINAL] if transcribing else [])]:
        choice = (await asyncio.to_thread(engine_for, settings, purpose)).choice
        await asyncio.to_thread(registry.prepare, choice, FetchLog(choice.name))
    blobs = blob_store(settings)
    blobs.check_writable()
    for folder in FOLDERS:
        await asyncio.to_thread(blobs.remove_left, folder)
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
        carrier = CarrierRecordings(carrier_access(settings))
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


def link(settings: Settings, name: str) -> Link:
    """The way to the other processes of this installation."""
    if settings.app_database_url.startswith("sqlite:"):
        return LocalLink(settings.data_dir / "processes", name)
    return PostgresLink(settings.app_database_url)


def _leave(heartbeat: Heartbeat) -> None:
    try:
        heartbeat.leave()
    except StoreError as error:
        log.warning("the end of this process could not be noted: %s", error)


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
