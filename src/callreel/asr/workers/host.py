"""The engine processes of this machine, as one thing that decodes.

It gives jobs to free processes in the order it is asked, starts a process anew when it dies, and gives its unfinished
job again. An open segment of a streaming engine stays with the process that follows it. It does not choose between
jobs: `speech.queue` does. The server's event loop never waits for an engine.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from callreel.asr.engine import Capabilities, Heard, RecognizedWord
from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers.process import EngineProcess, ProcessDiedError
from callreel.asr.workers.worker_slot import DecodeRequest, WorkerSlot
from callreel.audio.samples import Samples
from callreel.domain.errors import EngineError

logger = logging.getLogger(__name__)

_TRIES = 2


class EngineHost:
    """`workers` processes, each with the chosen engine loaded. For one event loop.

    A job whose process does not answer within `job_timeout_s` (for each segment), or dies of it, is given to a fresh process once.
    """

    def __init__(
        self,
        choice: EngineChoice,
        workers: int,
        *,
        start_timeout_s: float = 60,
        job_timeout_s: float = 120,
    ) -> None:
        if workers < 1:
            raise ValueError(f"an engine host needs at least 1 worker, not {workers}")
        self._choice = choice
        self._start_timeout_s = start_timeout_s
        self._job_timeout_s = job_timeout_s
        self._seats = [WorkerSlot(busy=True) for _ in range(workers)]
        self._waiting: list[tuple[WorkerSlot | None, asyncio.Future[WorkerSlot]]] = []
        self._on_free: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: set[asyncio.Future[list[Heard]]] = set()
        self._capabilities: Capabilities | None = None
        self._jobs = 0
        self._closed = False
        self.restarts = 0

    @property
    def capabilities(self) -> Capabilities:
        """Of the loaded engine; known once the host has started."""
        if self._capabilities is None:
            raise RuntimeError("the engine host has not been started")
        return self._capabilities

    @property
    def workers(self) -> int:
        return len(self._seats)

    @property
    def idle(self) -> int:
        """How many processes are free for a job now."""
        return 0 if self._closed else sum(not seat.busy for seat in self._seats)

    @property
    def streams(self) -> int:
        """How many open segments are followed now."""
        return sum(seat.streams for seat in self._seats)

    @property
    def pids(self) -> list[int]:
        """Process ids of the processes that are there now."""
        return [seat.process.pid for seat in self._seats if seat.process is not None]

    async def start(self) -> None:
        """Load the engine in all processes. Raises EngineError with the engine's reason, and leaves none running."""
        starts = [asyncio.create_task(self._fill(seat)) for seat in self._seats]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await self.close()
            raise
        for seat in self._seats:
            self._release(seat)

    async def decode(
        self, samples16k: Samples, *, partial: bool = False, language: str = ""
    ) -> list[RecognizedWord]:
        """Words in 16 kHz mono samples (int16, shape [n]), waiting for a free process if need be.

        Raises EngineError if the engine cannot decode them, or if two processes died of them, LanguageError if it does
        not hear the `language` that is asked for. Giving up waiting (cancelling) is safe: the process goes on and its
        answer is thrown away.
        """
        asked = self.capabilities.asked_for(language)
        return (await self._ask(DecodeRequest(samples16k, partial, language=asked)))[0]

    async def decode_many(
        self, segments: Sequence[Samples], *, language: str = ""
    ) -> list[list[RecognizedWord]]:
        """As `decode` for each whole segment, as many at once as the engine likes: one answer for each, in their order."""
        asked, at_once = self.capabilities.asked_for(language), self.capabilities.batch
        heard: list[list[RecognizedWord]] = []
        for at in range(0, len(segments), at_once):
            first, *more = segments[at : at + at_once]
            heard += await self._ask(DecodeRequest(first, partial=False, language=asked, more=tuple(more)))
        return heard

    async def hear(
        self,
        key: Hashable,
        samples16k: npt.NDArray[np.int16],
        *,
        final: bool = False,
        cheap: bool = False,
        language: str = "",
    ) -> list[RecognizedWord]:
        """Words in all there is so far of segment `key`, or of the whole of it (`final`). Else as `decode`.

        A streaming engine with room for one more open segment is given only what it has not had yet; another engine
        decodes all of it each time, with cheaper settings for a final too if `cheap`. Ask in order about a segment, and
        `forget` it when its final is not wanted.
        """
        asked = self.capabilities.asked_for(language)
        followed = self.capabilities.streams > 0 and not asked
        question = DecodeRequest(samples16k, not final, key if followed else None, cheap, asked)
        return (await self._ask(question))[0]

    def free_for(self, key: Hashable) -> bool:
        """Whether a question about segment `key` would find its process free now."""
        seat = self._following(key)
        return self.idle > 0 if seat is None else not seat.busy

    def forget(self, key: Hashable) -> None:
        """Nobody will ask about segment `key` again."""
        for seat in self._seats:
            seat.forget(key)

    def on_free(self, then: Callable[[], None]) -> None:
        """Call `then`, on the event loop, whenever a process has become free."""
        self._on_free.append(then)

    async def close(self) -> None:
        """End all processes and wait until they are gone. Unfinished jobs end with EngineError."""
        self._closed = True
        closed = EngineError("the engine host was closed")
        for _, waiter in self._waiting:
            _fail(waiter, closed)
        for answer in self._answers:
            _fail(answer, closed)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(_empty(seat) for seat in self._seats))

    async def _ask(self, question: DecodeRequest) -> list[Heard]:
        if self._capabilities is None or self._closed:
            raise EngineError("the engine host is not running")
        seat = await self._take(question.key)
        seat.expect(question, self._capabilities.streams)
        self._jobs += 1
        answer: asyncio.Future[list[Heard]] = asyncio.get_running_loop().create_future()
        self._own(self._serve(seat, self._jobs, question, answer))
        self._answers.add(answer)
        try:
            return await answer
        finally:
            self._answers.discard(answer)

    def _following(self, key: Hashable) -> WorkerSlot | None:
        return next((seat for seat in self._seats if key is not None and seat.follows(key)), None)

    async def _take(self, key: Hashable) -> WorkerSlot:
        """The process that follows segment `key`, else the free one that follows the fewest, else the next free one."""
        wanted = self._following(key)
        seats = self._seats if wanted is None else [wanted]
        free = min((seat for seat in seats if not seat.busy), key=lambda seat: seat.streams, default=None)
        if free is not None:
            free.busy = True
            return free
        waiter: asyncio.Future[WorkerSlot] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, waiter))
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._release(waiter.result())
            raise
        finally:
            self._waiting = [entry for entry in self._waiting if entry[1] is not waiter]

    def _release(self, seat: WorkerSlot) -> None:
        """Give the seat to who has waited longest for it, or for any; else it is free."""
        for wanted, waiter in self._waiting:
            if wanted in (None, seat) and not waiter.done():
                waiter.set_result(seat)
                return
        seat.busy = False
        for then in self._on_free:
            then()

    async def _serve(
        self, seat: WorkerSlot, job: int, question: DecodeRequest, answer: asyncio.Future[list[Heard]]
    ) -> None:
        heard: list[Heard] = []
        failure: EngineError | None = None
        try:
            heard = await self._try(seat, job, question)
        except EngineError as error:
            failure = error
        except Exception as error:
            logger.exception("an engine process could not be asked")
            failure = EngineError(f"the engine could not be asked: {type(error).__name__}")
        if seat.process is not None and seat.process.alive:
            self._release(seat)  # first, so that whoever gets the answer finds it free
            _give(answer, heard, failure)
            return
        _give(answer, heard, failure)
        await self._heal(seat)
        if not self._closed:
            self._release(seat)

    async def _try(self, seat: WorkerSlot, job: int, question: DecodeRequest) -> list[Heard]:
        reason = ""
        for _ in range(_TRIES):
            process = await self._living(seat)
            seat.expect(question, self.capabilities.streams)
            request = seat.request(job, question)
            try:
                heard = await process.ask(request, self._job_timeout_s * (1 + len(question.more)))
            except EngineError:
                seat.failed(question)
                raise
            except ProcessDiedError as died:
                seat.renew(None)
                reason = str(died)
                logger.warning(
                    "an engine process %s", reason, extra={"engine": self._choice.name, "job": job}
                )
            else:
                seat.answered(question)
                return heard
        raise EngineError(f"the audio could not be decoded in {_TRIES} tries: the engine process {reason}")

    async def _living(self, seat: WorkerSlot) -> EngineProcess:
        """The seat's process, started anew if it is not alive."""
        if seat.process is not None and seat.process.alive:
            return seat.process
        await _empty(seat)
        self.restarts += 1
        return await self._fill(seat)

    async def _heal(self, seat: WorkerSlot) -> None:
        """Be ready for the next job. If that fails, the job finds out and says so."""
        try:
            await self._living(seat)
        except EngineError as error:
            logger.error("an engine process could not be started anew: %s", error)

    async def _fill(self, seat: WorkerSlot) -> EngineProcess:
        process, self._capabilities = await EngineProcess.begin(self._choice, self._start_timeout_s)
        seat.renew(process)
        return process

    def _own(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _empty(seat: WorkerSlot) -> None:
    if seat.process is not None:
        process = seat.process
        seat.renew(None)
        await process.kill()


def _give(answer: asyncio.Future[list[Heard]], heard: list[Heard], failure: EngineError | None) -> None:
    if failure is not None:
        _fail(answer, failure)
    elif not answer.done():
        answer.set_result(heard)


def _fail(waiting: asyncio.Future[Any], error: EngineError) -> None:
    if not waiting.done():
        waiting.set_exception(error)
