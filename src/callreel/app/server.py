"""`callreel serve`: one process with pages, webhooks, media sockets and, by default, the stages after a call."""

import asyncio
import gc
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from callreel.app.analysing import chat_server
from callreel.app.engines import engine_load, start_engine
from callreel.app.live import LiveSide, leg_ended, live_gauges, live_side, media_side
from callreel.app.runtime import Runtime, open_runtime, spool_of, tasks
from callreel.app.schedules import audit_upkeep_of, scheduled_jobs
from callreel.app.web import changed_settings, web_app
from callreel.app.workflows import running_workflows
from callreel.asr.engines.survey import Purpose
from callreel.asr.workers.pool import StartedEngine
from callreel.cluster.event_relay import PeerMessage
from callreel.cluster.leader_election import ELECT_EVERY_S, LeaderElection
from callreel.domain.errors import SettingsError
from callreel.ingest.call_registry import CallRegistry
from callreel.ingest.layer_sync import sync_growing_layers
from callreel.ingest.media.protocol import TakeConnection, take_here
from callreel.ingest.media.workers import MediaWorkers
from callreel.ingest.pause_control import SWEEP_EVERY_S as PAUSE_SWEEP_EVERY_S
from callreel.ingest.recovery import CHECK_EVERY_S as RECOVERY_EVERY_S
from callreel.ingest.recovery import Recovery
from callreel.ingest.stale_calls import CHECK_EVERY_S as STALE_CHECK_EVERY_S
from callreel.ingest.stale_calls import StaleCalls
from callreel.live.transcript import save_live_transcript
from callreel.ops.health import CHECK_EVERY_S, Health, check_runs, disk_space_check
from callreel.ops.metrics import Metrics
from callreel.postcall.webhooks import alert_recorder
from callreel.postcall.workflows import SWEEP_EVERY_S, Dispatcher
from callreel.retention.stopped_recording import SWEEP_EVERY_S as STOPPED_SWEEP_EVERY_S
from callreel.runtime.loopback import is_loopback
from callreel.runtime.periodic import PeriodicJob
from callreel.settings import MEDIA_PATH, Settings
from callreel.store.files.data_folder import check_writable, free_bytes
from callreel.web.auth.welcome import first_link
from callreel.web.connection_limits import ConnectionLimits, connections_within, raise_open_files
from callreel.web.uvicorn_server import DrainingServer, http_with_media

log = logging.getLogger(__name__)


def serve(settings: Settings, *, demo: bool = False, demo_sign_in: bool = False) -> None:
    """Run the server until SIGINT or SIGTERM. Raises CallreelError if it cannot start.

    `demo` listens on loopback only and requires no sign-in; `demo_sign_in` requires it all the same.
    """
    if demo and not is_loopback(settings.host):
        raise SettingsError(f"demo mode listens on loopback only, not on {settings.host}")
    if settings.softphone_signalling_address:
        _refuse_stand_in_beside_a_carrier(settings, demo)
    asyncio.run(_serve(settings, demo, demo_sign_in))


def _refuse_stand_in_beside_a_carrier(settings: Settings, demo: bool) -> None:
    """Browsers may connect to a stand-in carrier only if the server uses the stand-in for everything else too."""
    if not demo:
        raise SettingsError(
            "CALLREEL_SOFTPHONE_SIGNALLING_ADDRESS is for demo mode; remove it, or browsers would not reach the carrier"
        )
    if not is_loopback(urlsplit(settings.carrier_api_url).hostname):
        raise SettingsError(
            "CALLREEL_SOFTPHONE_SIGNALLING_ADDRESS names a stand-in, CALLREEL_CARRIER_API_URL does not; set both or neither"
        )


async def _serve(settings: Settings, demo: bool, demo_sign_in: bool) -> None:
    async with open_runtime(settings, server=True) as runtime, AsyncExitStack() as stack:
        engine = await _live_engine(settings, runtime, stack)
        recovery = _recovery(runtime, engine.capabilities.name)
        await asyncio.to_thread(recovery.at_start)
        await asyncio.to_thread(
            audit_upkeep_of(settings, runtime).compare_settings, changed_settings(settings)
        )
        await stack.enter_async_context(running_workflows(runtime, server=True))
        dispatcher = Dispatcher(runtime.database, runtime.durable, runtime.clock)
        dispatch = PeriodicJob(
            name="dispatch", job=dispatcher.sweep, interval_s=SWEEP_EVERY_S, immediately=True
        )
        live = await stack.enter_async_context(
            live_side(
                settings, engine, runtime.database, runtime.publisher, runtime.commits, runtime.relay, runtime.process,
                runtime.blobs,
            )
        )  # fmt: skip
        live.transcription.transcript_stored = dispatch.wake
        runtime.relay.on(PeerMessage.WORK_ORDERED, lambda _: dispatch.wake())
        runtime.relay.on(PeerMessage.ACCESS_CHANGED, lambda _: runtime.bus.resync())
        media = await stack.enter_async_context(media_side(settings, runtime.database, live))
        election = LeaderElection(runtime.database)
        stack.callback(election.resign)
        health = _health(runtime, live.registry, media)
        metrics = Metrics(
            runtime.database, runtime.blobs, live.counters, health, runtime.clock, lambda: live_gauges(live, media),
            stages=runtime.stage_times, work=runtime.durable,
            engines=engine_load(runtime.final, None if media else engine),
        )  # fmt: skip
        chat = chat_server(settings)
        if chat is not None:
            stack.callback(chat.close)
        app = web_app(
            runtime, engine, live, dispatch, health, metrics, demo=demo, demo_sign_in=demo_sign_in, chat=chat
        )
        jobs = [
            dispatch,
            PeriodicJob(name="health", job=health.run_checks, interval_s=CHECK_EVERY_S, immediately=True),
            PeriodicJob(
                name="leader election", job=election.elect, interval_s=ELECT_EVERY_S, immediately=True
            ),
            *_capture_jobs(runtime, recovery, live, lambda: election.leads),
            *scheduled_jobs(runtime, dispatcher, lambda: election.leads),
        ]
        await stack.enter_async_context(tasks(*(job.run() for job in jobs)))
        config = _uvicorn_config(app, settings, media.take if media else take_here(live.open_media))
        log.info("listening on http://%s:%d", settings.host, settings.port)
        if demo_sign_in or not demo:
            await _log_first_link(runtime)
        gc.collect()
        gc.freeze()  # garbage collections during calls then skip the objects that live as long as the process
        await DrainingServer(
            config, Draining(live, media), settings.drain_timeout_s, before_exit=runtime.bus.close
        ).serve()


async def _live_engine(settings: Settings, runtime: Runtime, stack: AsyncExitStack) -> StartedEngine:
    has_workers = settings.media_workers > 0
    engine = await start_engine(
        settings, Purpose.LIVE, runtime.hints, 1 if has_workers else settings.engine_workers, stack
    )
    if has_workers:
        await engine.host.close()  # started for its capabilities only: each media worker runs its own
    return engine


def _recovery(runtime: Runtime, engine: str) -> Recovery:
    """Closes the calls of dead processes; `engine` names the live transcripts that are made of their segments."""
    return Recovery(
        runtime.database, runtime.commits, runtime.clock, runtime.blobs,
        lambda call_id: save_live_transcript(runtime.database, runtime.publisher, call_id, engine),
        runtime.peers.dead, single_machine=runtime.database.dialect == "sqlite", spool=spool_of(runtime.blobs),
    )  # fmt: skip


KEPT_ALIVE_S = 130
"""How long a connection may be idle between requests: longer than the 120 s after which Caddy closes one. A server that closes
first does so now and then while the next request is on its way, which the client sees as a reset."""


def _uvicorn_config(app: FastAPI, settings: Settings, take: TakeConnection) -> uvicorn.Config:
    return uvicorn.Config(
        app, settings.host, settings.port, log_config=None, access_log=False, timeout_graceful_shutdown=5, timeout_keep_alive=KEPT_ALIVE_S,
        http=http_with_media(MEDIA_PATH, take, _connection_limits(settings)), ws="websockets-sansio", ws_max_size=1 << 20, ws_ping_interval=20,
        ws_ping_timeout=20, lifespan="off", server_header=False, proxy_headers=False,
    )  # fmt: skip


def _connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        connections_within(raise_open_files(), settings.max_connections, settings.max_calls),
        settings.max_connections_per_address,
        settings.request_timeout_s,
        settings.body_timeout_s,
        proxies=settings.trusted_proxies,
    )


async def _log_first_link(runtime: Runtime) -> None:
    """Log the one-time link for the first administrator while there is no account."""
    if not runtime.settings.local_accounts:
        return
    link = await asyncio.to_thread(first_link, runtime.database, runtime.clock, runtime.settings.public_url)
    if link:
        log.warning(
            "there is no account yet; create the first administrator with this link, valid once and for a day: %s",
            link,
        )


@dataclass(frozen=True, slots=True)
class Draining:
    """Graceful shutdown: refuses new calls and counts the active ones."""

    live: LiveSide
    media: MediaWorkers | None

    def begin(self) -> None:
        self.live.registry.drain()
        if self.media is not None:
            self.media.drain()

    @property
    def calls(self) -> int:
        return self.live.registry.count + (self.media.calls if self.media is not None else 0)


def _capture_jobs(
    runtime: Runtime, recovery: Recovery, live: LiveSide, leads: Callable[[], bool]
) -> list[PeriodicJob]:
    """Periodic jobs for live calls. Each server syncs and closes its own files; the leader updates the rows."""
    settings = runtime.settings

    stale = StaleCalls(runtime.database, runtime.carrier, runtime.clock, leg_ended(runtime, live.ownership))

    def sync() -> None:
        sync_growing_layers(runtime.database, settings.objects_dir)

    return [
        PeriodicJob(name="layer sync", job=sync, interval_s=settings.sync_interval_s),
        PeriodicJob(name="recovery of files", job=recovery.close_files, interval_s=RECOVERY_EVERY_S),
        PeriodicJob(
            name="recovery of calls", job=recovery.close_calls, interval_s=RECOVERY_EVERY_S,
            enabled=leads,
        ),
        PeriodicJob(name="stale calls", job=stale.sweep, interval_s=STALE_CHECK_EVERY_S, enabled=leads),
        PeriodicJob(
            name="pauses at the carrier", job=live.pausing.sweep, interval_s=PAUSE_SWEEP_EVERY_S, enabled=leads,
        ),
        PeriodicJob(
            name="stopped recordings", job=live.stop.sweep, interval_s=STOPPED_SWEEP_EVERY_S, enabled=leads
        ),
        live.consented.sweeping,
    ]  # fmt: skip


def _health(runtime: Runtime, registry: CallRegistry, media: MediaWorkers | None) -> Health:
    disk_space = disk_space_check(lambda: free_bytes(runtime.blobs.root), runtime.settings.min_free_mb << 20)
    checks = {
        "database": runtime.heartbeat.failure,
        "folder": check_runs(lambda: check_writable(runtime.blobs.root)),
        "disk_space": disk_space,
        "stopping": lambda: "the server is stopping and accepts no new calls" if registry.draining else None,
    }
    if media is not None:
        checks["media"] = media.failure
    warnings = {"objects": runtime.offloader.failure} if runtime.offloader else {}
    return Health(runtime.clock, checks, warnings, alert_recorder(runtime.database, runtime.clock))
