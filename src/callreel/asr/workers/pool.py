"""Engines by name that are begun when somebody first asks for them, and ended when nobody has asked for a while.

For work beside the live and the final transcript, whose engines are begun with the server and stay.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from callreel.asr.engine import Capabilities, RecognizedWord
from callreel.asr.workers.failover import AnyHost

log = logging.getLogger(__name__)

IDLE_S = 120.0
_LOOK_S = 20.0


@dataclass(frozen=True, slots=True)
class BegunEngine:
    """An engine in its processes, what it can do and why it was taken. Its host may have another stand in."""

    host: AnyHost
    able: Capabilities
    why: str


@dataclass(slots=True)
class _Kept:
    engine: BegunEngine
    asked_s: float
    asking: int = 0


class EnginePool:
    """For one event loop. `begin` starts the named engine."""

    def __init__(self, begin: Callable[[str], Awaitable[BegunEngine]], *, idle_s: float = IDLE_S) -> None:
        self._begin = begin
        self._idle_s = idle_s
        self._kept: dict[str, _Kept] = {}
        self._beginning = asyncio.Lock()

    @property
    def names(self) -> set[str]:
        """Engines that are there now."""
        return set(self._kept)

    async def engine(self, name: str) -> BegunEngine:
        """The named engine, begun if need be. Raises EngineError with what it says is wrong."""
        return (await self._get(name)).engine

    async def decode_many(
        self, name: str, segments: Sequence[npt.NDArray[np.int16]], *, language: str = ""
    ) -> list[list[RecognizedWord]]:
        """As `EngineHost.decode_many`."""
        kept = await self._get(name)
        kept.asking += 1
        try:
            return await kept.engine.host.decode_many(segments, language=language)
        finally:
            kept.asking -= 1
            kept.asked_s = time.monotonic()

    async def run(self) -> None:
        """End those that are idle, until cancelled."""
        while True:
            await asyncio.sleep(min(_LOOK_S, self._idle_s))
            before_s = time.monotonic() - self._idle_s
            for name, kept in list(self._kept.items()):
                if not kept.asking and kept.asked_s < before_s:
                    del self._kept[name]
                    log.info("engine %s has nothing to do and is ended", name)
                    await kept.engine.host.close()

    async def close(self) -> None:
        """End all."""
        while self._kept:
            _, kept = self._kept.popitem()
            await kept.engine.host.close()

    async def _get(self, name: str) -> _Kept:
        async with self._beginning:
            if name not in self._kept:
                self._kept[name] = _Kept(await self._begin(name), time.monotonic())
        kept = self._kept[name]
        kept.asked_s = time.monotonic()
        return kept
