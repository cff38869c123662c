"""Engines by name that start with their first job and end when idle.

For work beside the live and the final transcript, whose engines start with the server and stay.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from callreel.asr.engine import Capabilities, Transcription, WorkerEngine
from callreel.audio.samples import Samples

log = logging.getLogger(__name__)

IDLE_S = 120.0
_CHECK_S = 20.0


@dataclass(frozen=True, slots=True)
class StartedEngine:
    """A running engine. `capabilities` and `reason` are those of the selected engine, also while its fallback decodes."""

    host: WorkerEngine
    capabilities: Capabilities
    reason: str


@dataclass(slots=True)
class _Pooled:
    engine: StartedEngine
    used_s: float
    jobs: int = 0


class EnginePool:
    """For one event loop. `start` starts the named engine."""

    def __init__(self, start: Callable[[str], Awaitable[StartedEngine]], *, idle_s: float = IDLE_S) -> None:
        self._start = start
        self._idle_s = idle_s
        self._pooled: dict[str, _Pooled] = {}
        self._starting = asyncio.Lock()

    @property
    def names(self) -> set[str]:
        """Engines that run now."""
        return set(self._pooled)

    async def engine(self, name: str) -> StartedEngine:
        """The named engine, started if need be. Raises EngineError with its reason."""
        return (await self._get(name)).engine

    async def decode(
        self, name: str, segments: Sequence[Samples], *, language: str = ""
    ) -> list[Transcription]:
        """As `WorkerEngine.decode`."""
        pooled = await self._get(name)
        pooled.jobs += 1
        try:
            return await pooled.engine.host.decode(segments, language=language)
        finally:
            pooled.jobs -= 1
            pooled.used_s = time.monotonic()

    async def run(self) -> None:
        """End idle engines, until cancelled."""
        while True:
            await asyncio.sleep(min(_CHECK_S, self._idle_s))
            before_s = time.monotonic() - self._idle_s
            for name, pooled in list(self._pooled.items()):
                if not pooled.jobs and pooled.used_s < before_s:
                    del self._pooled[name]
                    log.info("engine stopped reason=idle engine=%s", name)
                    await pooled.engine.host.close()

    async def close(self) -> None:
        """End all."""
        while self._pooled:
            _, pooled = self._pooled.popitem()
            await pooled.engine.host.close()

    async def _get(self, name: str) -> _Pooled:
        async with self._starting:
            if name not in self._pooled:
                self._pooled[name] = _Pooled(await self._start(name), time.monotonic())
        pooled = self._pooled[name]
        pooled.used_s = time.monotonic()
        return pooled
