"""Two engines as one: when the first fails, the second takes over, until the first works again.

It has the face of `host.EngineHost`, of which it runs two; the second is begun when it is needed. A job that the first
cannot do is given to the second at once, so no segment is lost; after two such jobs in a row, all go to the second. In
the background the first is then tried with a second of noise, after 15 s, 30 s … 5 minutes, and comes back when it
answers. What the second heard says so (`Heard.by`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from itertools import chain, repeat

import numpy as np

from callreel.asr.engine import Capabilities, Heard, RecognizedWord, language_of
from callreel.asr.languages import LanguageError
from callreel.asr.workers.host import EngineHost
from callreel.audio.samples import ASR_HZ, Samples
from callreel.domain.errors import EngineError

log = logging.getLogger(__name__)

PATIENCE = 2
"""So many jobs in a row may fail before the first engine is left."""

RETRY_S = (15.0, 30.0, 60.0, 120.0, 300.0)


class FailoverHost:
    """For one event loop. `first` and `second` make hosts that are not started: one that failed to is of no more use."""

    def __init__(
        self,
        first: Callable[[], EngineHost],
        second: Callable[[], EngineHost],
        *,
        retry_s: Sequence[float] = RETRY_S,
    ) -> None:
        self._new_first = first
        self._new_second = second
        self._retry_s = retry_s
        self._first: EngineHost | None = None
        self._second: EngineHost | None = None
        self._failures = 0
        self._beginning = asyncio.Lock()
        self._recovering: asyncio.Task[None] | None = None
        self._on_free: list[Callable[[], None]] = []
        self._closed = False
        self.why = ""
        """Why the second engine stands in; empty while the first works."""

    @property
    def standing_in(self) -> bool:
        return bool(self.why)

    @property
    def capabilities(self) -> Capabilities:
        """Of the engine that hears now."""
        return self._now.capabilities

    @property
    def workers(self) -> int:
        return self._now.workers

    @property
    def idle(self) -> int:
        return self._now.idle

    @property
    def streams(self) -> int:
        return self._now.streams

    @property
    def restarts(self) -> int:
        return sum(host.restarts for host in self._hosts)

    @property
    def pids(self) -> list[int]:
        return [pid for host in self._hosts for pid in host.pids]

    async def start(self) -> None:
        """Load the first engine, or the second where that fails. Raises EngineError when both do."""
        try:
            self._first = await self._started(self._new_first)
        except EngineError as error:
            await self._take_over(str(error))

    async def decode(
        self, samples16k: Samples, *, partial: bool = False, language: str = ""
    ) -> list[RecognizedWord]:
        """As `EngineHost.decode`; raises EngineError when neither engine can."""
        return await self._ask(lambda host: host.decode(samples16k, partial=partial, language=language))

    async def decode_many(
        self, segments: Sequence[Samples], *, language: str = ""
    ) -> list[list[RecognizedWord]]:
        """As `EngineHost.decode_many`. Segments that an engine fails at are all given to the other."""
        return await self._ask_about(lambda host: host.decode_many(segments, language=language))

    async def hear(
        self,
        key: Hashable,
        samples16k: Samples,
        *,
        final: bool = False,
        cheap: bool = False,
        language: str = "",
    ) -> list[RecognizedWord]:
        """As `EngineHost.hear`. A segment whose engine fails is given to the other from its beginning."""
        return await self._ask(
            lambda host: host.hear(key, samples16k, final=final, cheap=cheap, language=language)
        )

    def free_for(self, key: Hashable) -> bool:
        return self._now.free_for(key)

    def forget(self, key: Hashable) -> None:
        for host in self._hosts:
            host.forget(key)

    def on_free(self, then: Callable[[], None]) -> None:
        self._on_free.append(then)
        for host in self._hosts:
            host.on_free(then)

    async def close(self) -> None:
        """End both. Unfinished jobs end with EngineError."""
        self._closed = True
        if self._recovering is not None:
            self._recovering.cancel()
            await asyncio.gather(self._recovering, return_exceptions=True)
        for host in self._hosts:
            await host.close()

    @property
    def _hosts(self) -> list[EngineHost]:
        return [host for host in (self._first, self._second) if host is not None]

    @property
    def _now(self) -> EngineHost:
        host = self._second if self.standing_in else self._first
        if host is None:
            raise RuntimeError("the engine host has not been started")
        return host

    async def _ask(
        self, ask: Callable[[EngineHost], Awaitable[list[RecognizedWord]]]
    ) -> list[RecognizedWord]:
        async def about_one(host: EngineHost) -> list[list[RecognizedWord]]:
            return [await ask(host)]

        return (await self._ask_about(about_one))[0]

    async def _ask_about(
        self, ask: Callable[[EngineHost], Awaitable[list[list[RecognizedWord]]]]
    ) -> list[list[RecognizedWord]]:
        first = self._first
        if first is not None and not self.standing_in:
            try:
                heard = await ask(first)
            except LanguageError:
                raise  # nothing is wrong with it
            except EngineError as error:
                await self._failed(str(error))
            else:
                self._failures = 0
                return heard
        second = await self._other()
        by = second.capabilities.name
        return [Heard(words, by=by, language=language_of(words)) for words in await ask(second)]

    async def _failed(self, why: str) -> None:
        if self._closed:
            raise EngineError(why)
        self._failures += 1
        log.warning("a segment goes to the other engine: %s", why)
        if self._failures >= PATIENCE and not self.standing_in:
            await self._take_over(why)

    async def _take_over(self, why: str) -> None:
        second = await self._other()
        if self.standing_in:
            return
        self.why = why
        log.error("engine %s stands in: %s", second.capabilities.name, why)
        self._recovering = asyncio.create_task(self._recover(), name="engine-recovery")
        self._tell_free()

    async def _other(self) -> EngineHost:
        async with self._beginning:
            if self._second is None:
                self._second = await self._started(self._new_second)
            return self._second

    async def _recover(self) -> None:
        for wait_s in chain(self._retry_s, repeat(self._retry_s[-1])):
            await asyncio.sleep(wait_s)
            try:
                await self._probe()
            except EngineError as error:
                log.info("the first engine does not work yet: %s", error)
            else:
                return

    async def _probe(self) -> None:
        """Raises EngineError if the first engine does not answer; else it is the one that hears again."""
        host = self._first or await self._started(self._new_first)
        noise = np.random.default_rng(0).standard_normal(ASR_HZ) * 300
        try:
            await host.decode(noise.astype(np.int16))
        except EngineError:
            if self._first is None:
                await host.close()
            raise
        self._first = host
        self._failures = 0
        self.why = ""
        log.warning("engine %s works again", host.capabilities.name)
        self._tell_free()

    async def _started(self, new: Callable[[], EngineHost]) -> EngineHost:
        host = new()
        for then in self._on_free:
            host.on_free(then)
        await host.start()
        return host

    def _tell_free(self) -> None:
        for then in self._on_free:
            then()


AnyHost = EngineHost | FailoverHost
"""What hears: one engine, or one with another behind it."""
