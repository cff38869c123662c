"""The composition root of a media worker: a process of `callreel serve --media-workers` that serves media sockets alone.

    python -m callreel.app.media_worker FD

`callreel serve` starts it; FD is its end of a socket pair (`ingest/media/fd_passing`). It has its own live calls,
transcripts and speech engine. Pages, webhooks, workflows and scheduled jobs stay with the server. Both are processes of
one installation and communicate by the same relay and rows as servers on two machines.
"""

import asyncio
import gc
import logging
import socket
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial

from callreel.app.encryption import keyring_of
from callreel.app.engines import hints_of, start_engine
from callreel.app.live import LiveSide, live_side
from callreel.app.runtime import blob_store, heartbeats, link, tasks, traced
from callreel.asr.engines.survey import Purpose
from callreel.cluster.event_bus import EventBus
from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.event_relay import EventRelay, PeerMessage
from callreel.cluster.failure_detector import new_name
from callreel.cluster.group_commit import GroupCommit
from callreel.cluster.heartbeat import Heartbeat
from callreel.cluster.process_lock import ProcessLock
from callreel.domain.errors import CallreelError
from callreel.ingest.media.fd_passing import WorkerStatus
from callreel.ingest.media.worker_listener import WorkerListener
from callreel.runtime import log as logs
from callreel.runtime.clock import Clock
from callreel.settings import Settings, load_settings
from callreel.store.db.database import Database

log = logging.getLogger(__name__)


async def work(settings: Settings, control: socket.socket) -> None:
    """Serve connections from the server until it ends, then close the open ones. Raises CallreelError."""
    async with AsyncExitStack() as stack:
        database = Database.open(settings.app_database_url)
        stack.callback(database.close)
        keyring = await asyncio.to_thread(keyring_of, settings, database)
        lock = ProcessLock(settings.data_dir / "processes")
        stack.callback(lock.leave)
        name, bus = new_name(), EventBus()
        lock.enter(name)
        traced(settings, name, stack)
        heartbeat = Heartbeat(database, name, "media", Clock())
        await asyncio.to_thread(heartbeat.beat)  # peers must see this process before it accepts a call
        stack.callback(heartbeat.leave)
        relay = EventRelay(bus, link(settings, name), name)
        await stack.enter_async_context(tasks(relay.run(), heartbeats(heartbeat).run()))
        hints = await asyncio.to_thread(hints_of, settings, database)
        engine = await start_engine(settings, Purpose.LIVE, hints, settings.engine_workers, stack)
        publisher = EventPublisher(database, bus, Clock())
        blobs = blob_store(settings)
        blobs.keys = keyring
        live = await stack.enter_async_context(
            live_side(
                settings, engine, database, publisher, GroupCommit(database, publisher), relay, name, blobs
            )
        )
        live.transcription.transcript_stored = lambda: relay.send(PeerMessage.WORK_ORDERED, name)
        listener = WorkerListener(control, live.open_media, partial(_status, name, live), live.registry.drain)
        gc.collect()
        gc.freeze()  # garbage collections during calls then skip the objects that live as long as the process
        await listener.run()


def _status(name: str, live: LiveSide, taken: int) -> WorkerStatus:
    gauges = asdict(live.gauges())
    del gauges["media"]
    counted = live.counters.snapshot()
    return WorkerStatus(name, live.registry.count, taken, live.registry.draining, gauges, counted)


def main(fd: int) -> int:
    """Run the worker; returns the exit code."""
    settings = load_settings()
    logs.configure(level=settings.log_level, style=settings.log_format, secrets=settings.secrets)
    try:
        asyncio.run(work(settings, socket.socket(fileno=fd)))
    except CallreelError as error:
        log.error("media worker failed: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
