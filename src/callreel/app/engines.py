"""Which engines a process starts, with which custom vocabulary, and what the API reports of them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

from callreel.asr.engine import WorkerEngine
from callreel.asr.engines import registry
from callreel.asr.engines.fetch_log import FetchLog
from callreel.asr.engines.survey import Purpose, facts
from callreel.asr.workers.failover import FailoverEngine
from callreel.asr.workers.host import FINAL_NICE, LIVE_NICE, EngineHost
from callreel.asr.workers.pool import StartedEngine
from callreel.domain.events import Json
from callreel.ops.metrics import EngineLoad
from callreel.settings import Settings
from callreel.settings.engines import engine_by_spec, engine_for, fallback_for, surveyed
from callreel.store.db.database import Database
from callreel.store.transcripts import vocabulary

log = logging.getLogger(__name__)


def engine_load(final: StartedEngine | None, live: StartedEngine | None) -> dict[str, EngineLoad]:
    """The engine hosts of this process by purpose. Media workers have their own."""
    started = {"live": live, "final": final}
    return {purpose: engine.host for purpose, engine in started.items() if engine is not None}


async def start_engine(
    settings: Settings, purpose: Purpose, hints: Sequence[str], workers: int, stack: AsyncExitStack
) -> StartedEngine:
    """Start the engine for `purpose` with its fallback engine; the log says which and why."""
    selected = await asyncio.to_thread(engine_for, settings, purpose, hints)
    capabilities = await asyncio.to_thread(registry.prepare, selected.choice, FetchLog(selected.choice.name))
    other = await asyncio.to_thread(fallback_for, settings, selected.choice, purpose, hints)
    nice = LIVE_NICE if purpose is Purpose.LIVE else FINAL_NICE
    host: WorkerEngine = EngineHost(selected.choice, workers, nice=nice)
    if other is not None:
        host = FailoverEngine(
            partial(EngineHost, selected.choice, workers, nice=nice),
            partial(EngineHost, other, workers, nice=nice),
        )
    stack.push_async_callback(host.close)
    await host.start()
    log.info(
        "engine started transcript=%s engine=%s model=%s reason=%s",
        purpose,
        capabilities.name,
        capabilities.model,
        selected.reason,
    )
    return StartedEngine(host, capabilities, selected.reason)


async def start_requested_engine(settings: Settings, spec: str, hints: Sequence[str]) -> StartedEngine:
    """Start the engine of a repeated transcription. It has no fallback: only this engine's words are wanted."""
    choice = engine_by_spec(settings, spec, hints)
    capabilities = await asyncio.to_thread(registry.prepare, choice, FetchLog(choice.name))
    host = EngineHost(choice, 1, nice=FINAL_NICE)
    await host.start()
    return StartedEngine(host, capabilities, "requested by callreel transcribe --again")


def hints_of(settings: Settings, database: Database) -> list[str]:
    """The custom vocabulary: from the settings, from supervisors, and the technicians' names."""
    with database.read() as conn:
        return vocabulary.hints(conn, settings.vocabulary)


def engine_report(settings: Settings, started: Mapping[Purpose, StartedEngine | None]) -> dict[str, Json]:
    """The response of `GET /api/v1/engines`: the engines in use with their reasons and fallbacks, and all capabilities."""
    report: dict[str, Json] = {}
    for purpose, engine in started.items():
        if engine is None:
            report[purpose.value] = None  # other processes of the installation transcribe
            continue
        failure = engine.host.failure if isinstance(engine.host, FailoverEngine) else ""
        report[purpose.value] = {
            "engine": engine.capabilities.name,
            "model": engine.capabilities.model,
            "reason": engine.reason,
            "fallback": engine.host.capabilities.name if failure else "",
            "error": failure,
        }
    return {**report, "engines": [facts(one) for one in surveyed(settings)]}
