"""Two engines as one: when the first fails, the second takes over until the first works again.

A decorator around two `WorkerEngine`s; the second is started when it is needed. A job at which the first fails goes to the
second at once, so no segment is lost; after two failures in a row all jobs do. The first is then probed in the background,
after waits that double from 15 s to 5 minutes (`runtime/retry`), and takes over again when it answers. Results of the second name it
(`Transcription.fallback_engine`).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import count

from callreel.asr.engine import Capabilities, Transcription, WorkerEngine
from callreel.asr.languages import LanguageError
from callreel.asr.workers.model_check import noise
from callreel.audio.samples import Samples
from callreel.domain.errors import EngineError
from callreel.runtime.retry import Backoff

log = logging.getLogger(__name__)

FAILURES_BEFORE_SWITCH = 2
BACKOFF = Backoff(first_s=15.0, longest_s=300.0)


class FailoverEngine:
    """A `WorkerEngine`. `first` and `second` make engines that are not started: one that failed to cannot be reused."""

    def __init__(
        self,
        first: Callable[[], WorkerEngine],
        second: Callable[[], WorkerEngine],
        *,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._new_first = first
        self._new_second = second
        self._backoff = backoff
        self._first: WorkerEngine | None = None
        self._second: WorkerEngine | None = None
        self._failures = 0
        self._starting = asyncio.Lock()
        self._recovery: asyncio.Task[None] | None = None
        self._closed = False
        self.failure = ""
        """Why the second engine decodes; empty while the first works."""

    @property
    def capabilities(self) -> Capabilities:
        return self._current.capabilities

    @property
    def workers(self) -> int:
        return self._current.workers

    @property
    def idle(self) -> int:
        return self._current.idle

    @property
    def restarts(self) -> int:
        return sum(engine.restarts for engine in self._engines)

    @property
    def pids(self) -> list[int]:
        return [pid for engine in self._engines for pid in engine.pids]

    async def start(self) -> None:
        """Load the first engine, or the second where that fails. Raises EngineError when both do."""
        try:
            self._first = await _started(self._new_first)
        except EngineError as error:
            await self._switch(str(error))

    async def decode(
        self, segments: Sequence[Samples], *, partial: bool = False, language: str = ""
    ) -> list[Transcription]:
        """Raises EngineError when neither engine can decode the segments."""
        if self._first is not None and not self.failure:
            try:
                results = await self._first.decode(segments, partial=partial, language=language)
            except LanguageError:
                raise  # the engine works
            except EngineError as error:
                await self._failed(str(error))
            else:
                self._failures = 0
                return results
        second = await self._fallback()
        name = second.capabilities.name
        return [
            Transcription(words, language=words.language, fallback_engine=name)
            for words in await second.decode(segments, partial=partial, language=language)
        ]

    async def close(self) -> None:
        self._closed = True
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        for engine in self._engines:
            await engine.close()

    @property
    def _engines(self) -> list[WorkerEngine]:
        return [engine for engine in (self._first, self._second) if engine is not None]

    @property
    def _current(self) -> WorkerEngine:
        engine = self._second if self.failure else self._first
        if engine is None:
            raise RuntimeError("the engine has not been started")
        return engine

    async def _failed(self, reason: str) -> None:
        if self._closed:
            raise EngineError(reason)
        self._failures += 1
        log.warning("segment given to the fallback engine reason=%s", reason)
        if self._failures >= FAILURES_BEFORE_SWITCH and not self.failure:
            await self._switch(reason)

    async def _switch(self, reason: str) -> None:
        second = await self._fallback()
        if self.failure:
            return
        self.failure = reason
        log.error("fallback engine active engine=%s reason=%s", second.capabilities.name, reason)
        self._recovery = asyncio.create_task(self._recover(), name="engine-recovery")

    async def _fallback(self) -> WorkerEngine:
        async with self._starting:
            if self._second is None:
                self._second = await _started(self._new_second)
            return self._second

    async def _recover(self) -> None:
        for failure in count(1):
            await asyncio.sleep(self._backoff.after_s(failure))
            try:
                await self._probe()
            except EngineError as error:
                log.info("engine probe failed reason=%s", error)
            else:
                return

    async def _probe(self) -> None:
        """Raises EngineError if the first engine does not answer; else it decodes again."""
        engine = self._first or await _started(self._new_first)
        try:
            await engine.decode([noise()])
        except EngineError:
            if self._first is None:
                await engine.close()
            raise
        self._first = engine
        self._failures = 0
        self.failure = ""
        log.warning("engine recovered engine=%s", engine.capabilities.name)


async def _started(new: Callable[[], WorkerEngine]) -> WorkerEngine:
    engine = new()
    await engine.start()
    return engine
