"""The resources of every process of an installation: database, files, events, peers. Closed in the reverse order of opening."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from callreel.app.carrier import carrier_access
from callreel.app.encryption import keyring_of
from callreel.app.engines import hints_of, start_engine
from callreel.asr.engines import registry
from callreel.asr.engines.fetch_log import FetchLog
from callreel.asr.engines.survey import Purpose
from callreel.asr.workers.pool import StartedEngine
from callreel.carrier_client.client import CarrierRecordings
from callreel.cluster.event_bus import EventBus
from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.event_relay import EventRelay, Link
from callreel.cluster.failure_detector import FailureDetector, new_name
from callreel.cluster.group_commit import GroupCommit
from callreel.cluster.heartbeat import HEARTBEAT_EVERY_S, Heartbeat
from callreel.cluster.local_link import LocalLink
from callreel.cluster.postgres_link import PostgresLink
from callreel.cluster.process_lock import ProcessLock
from callreel.domain.errors import StoreError
from callreel.postcall.durable import DurableEngine
from callreel.postcall.transcription import DECODES_AT_ONCE
from callreel.postcall.workflows import TRANSCRIBE_QUEUE
from callreel.retention.offload import Offloader
from callreel.runtime.clock import Clock
from callreel.runtime.periodic import PeriodicJob
from callreel.runtime.stage_times import StageTimes
from callreel.runtime.tracing import export_to
from callreel.settings import Settings
from callreel.settings.engines import engine_for
from callreel.store.db.database import Database
from callreel.store.files import folders
from callreel.store.files.blobs import BlobStore
from callreel.store.files.data_folder import check_writable
from callreel.store.files.object_store import is_object_store, open_object_store
from callreel.store.files.spool import spool_name
from callreel.store.files.temporary_files import remove_stale_parts

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Runtime:
    """The resources that the server and a worker have in common."""

    settings: Settings
    database: Database
    blobs: BlobStore
    bus: EventBus
    publisher: EventPublisher
    commits: GroupCommit
    """One per process, so that writes of all its parts share transactions."""
    clock: Clock
    carrier: CarrierRecordings
    durable: DurableEngine
    heartbeat: Heartbeat
    peers: FailureDetector
    relay: EventRelay
    final: StartedEngine | None
    """The engine of final transcripts; None if this process makes none."""
    hints: Sequence[str]
    stage_times: StageTimes
    offloader: Offloader | None

    @property
    def process(self) -> str:
        """The name of this process, by which its peers refer to it."""
        return self.heartbeat.name


def traced(settings: Settings, name: str, stack: AsyncExitStack) -> None:
    """Export the traces of the process `name` to the configured endpoint until `stack` closes."""
    if settings.otel_endpoint:
        stack.callback(export_to(settings.otel_endpoint, name))


@asynccontextmanager
async def open_runtime(settings: Settings, *, server: bool) -> AsyncIterator[Runtime]:
    """Open the resources of a server (`server`) or a worker; closed in the reverse order."""
    transcribing = settings.work_queues.get(TRANSCRIBE_QUEUE, 0)
    for purpose in [*([Purpose.LIVE] if server else []), *([Purpose.FINAL] if transcribing else [])]:
        choice = (await asyncio.to_thread(engine_for, settings, purpose)).choice
        await asyncio.to_thread(registry.prepare, choice, FetchLog(choice.name))
    blobs = blob_store(settings)
    check_writable(blobs.root)
    for folder in folders.AUDIO:
        await asyncio.to_thread(remove_stale_parts, blobs.path(folder))
    await asyncio.to_thread(_probe, blobs)
    lock = ProcessLock(settings.data_dir / "processes")
    async with AsyncExitStack() as stack:
        stack.callback(lock.leave)
        database = Database.open(settings.app_database_url)
        stack.callback(database.close)
        one_server = database.dialect == "sqlite"
        if server and one_server:
            lock.enter_as_server()
        await asyncio.to_thread(database.migrate)
        blobs.keys = await asyncio.to_thread(keyring_of, settings, database)
        bus, clock = EventBus(), Clock()
        carrier = CarrierRecordings(carrier_access(settings))
        stack.callback(carrier.close)
        hints = await asyncio.to_thread(hints_of, settings, database)
        final = (
            await start_engine(
                settings,
                Purpose.FINAL,
                hints,
                max(transcribing, min(DECODES_AT_ONCE, settings.engine_workers)),
                stack,
            )
            if transcribing
            else None
        )
        name = new_name()
        traced(settings, name, stack)
        durable = DurableEngine(settings.durable_database_url, name)
        lock.enter(name)
        heartbeat = Heartbeat(database, name, "server" if server else "worker", clock)
        await asyncio.to_thread(heartbeat.beat)  # peers must see this process before it accepts work
        stack.callback(heartbeat.leave)
        peers = FailureDetector(lock, None if one_server else heartbeat)
        relay = EventRelay(bus, link(settings, name), name)
        await stack.enter_async_context(tasks(relay.run()))
        publisher = EventPublisher(database, bus, clock)
        spool = spool_of(blobs)
        offloader = Offloader(database, blobs, clock, spool) if spool else None
        yield Runtime(
            settings, database, blobs, bus, publisher, GroupCommit(database, publisher), clock, carrier, durable, heartbeat, peers, relay, final,
            hints, StageTimes(), offloader,
        )  # fmt: skip


def blob_store(settings: Settings) -> BlobStore:
    """The store of audio files: a folder, or an object store with the data folder as its spool. Raises SettingsError."""
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
    """The name of this machine's spool; None without an object store."""
    return spool_name(blobs.root) if blobs.objects else None


def _probe(blobs: BlobStore) -> None:
    """Log an unusable object store at startup. The process accepts calls all the same: their files stay on the spool."""
    if blobs.objects is None:
        return
    try:
        blobs.objects.probe()
    except StoreError as error:
        log.error("object store unusable, recordings stay on the spool: %s", error)


def link(settings: Settings, name: str) -> Link:
    """The transport to the other processes of this installation."""
    if settings.app_database_url.startswith("sqlite:"):
        return LocalLink(settings.data_dir / "processes", name)
    return PostgresLink(settings.app_database_url)


def heartbeats(heartbeat: Heartbeat) -> PeriodicJob:
    """The job that sends this process's heartbeats."""
    return PeriodicJob(name="heartbeat", job=heartbeat.beat, interval_s=HEARTBEAT_EVERY_S)


@asynccontextmanager
async def tasks(*work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run background tasks until the context ends, which cancels them."""
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
