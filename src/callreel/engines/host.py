"""The engine processes of this machine, as one thing that decodes.

It gives jobs to free processes in the order it is asked, starts a process anew when it dies, and gives its unfinished
job again. It does not choose between jobs: `speech.queue` does. The server's event loop never waits for an engine.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from callreel.domain.errors import EngineError
from callreel.engines.process import EngineProcess, ProcessDiedError
from callreel.engines.registry import EngineChoice
from callreel.speech.engine import Capabilities, HeardWord

logger = logging.getLogger(__name__)

_TRIES = 2


@dataclass(slots=True, eq=False)
class _Seat:
    """Place for one process. Empty after a start that failed; the next job then tries again."""

    process: EngineProcess | None = None


class EngineHost:
    """`workers` processes, each with the chosen engine loaded. For one event loop.

    A job that its process does not answer within `job_timeout_s`, or dies of, is given to a fresh process once.
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
        self._seats = [_Seat() for _ in range(workers)]
        self._free: asyncio.Queue[_Seat | None] = asyncio.Queue()  # None: closed
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: set[asyncio.Future[list[HeardWord]]] = set()
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
        return 0 if self._closed else self._free.qsize()

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
            self._free.put_nowait(seat)

    async def decode(self, samples16k: npt.NDArray[np.int16], *, partial: bool = False) -> list[HeardWord]:
        """Words in 16 kHz mono samples (int16, shape [n]), waiting for a free process if need be.

        Raises EngineError if the engine cannot decode them, or if two processes died of them. Giving up waiting
        (cancelling) is safe: the process goes on and its answer is thrown away.
        """
        if self._capabilities is None or self._closed:
            raise EngineError("the engine host is not running")
        seat = await self._free.get()
        if seat is None:
            self._free.put_nowait(None)  # for whoever else waits
            raise EngineError("the engine host was closed")
        self._jobs += 1
        answer: asyncio.Future[list[HeardWord]] = asyncio.get_running_loop().create_future()
        samples = np.ascontiguousarray(samples16k, np.int16).tobytes()
        self._own(self._serve(seat, self._jobs, samples, partial, answer))
        self._answers.add(answer)
        try:
            return await answer
        finally:
            self._answers.discard(answer)

    async def close(self) -> None:
        """End all processes and wait until they are gone. Unfinished jobs end with EngineError."""
        self._closed = True
        self._free.put_nowait(None)
        for answer in self._answers:
            _fail(answer, EngineError("the engine host was closed"))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(_empty(seat) for seat in self._seats))

    async def _serve(
        self,
        seat: _Seat,
        job: int,
        samples: bytes,
        partial: bool,
        answer: asyncio.Future[list[HeardWord]],
    ) -> None:
        try:
            words = await self._try(seat, job, samples, partial)
            if not answer.done():
                answer.set_result(words)
        except EngineError as error:
            _fail(answer, error)
        except Exception as error:
            logger.exception("an engine process could not be asked")
            _fail(answer, EngineError(f"the engine could not be asked: {type(error).__name__}"))
        await self._heal(seat)
        if not self._closed:
            self._free.put_nowait(seat)

    async def _try(self, seat: _Seat, job: int, samples: bytes, partial: bool) -> list[HeardWord]:
        reason = ""
        for _ in range(_TRIES):
            process = await self._living(seat)
            try:
                return await process.ask(job, samples, partial=partial, timeout_s=self._job_timeout_s)
            except ProcessDiedError as died:
                reason = str(died)
                logger.warning(
                    "an engine process %s", reason, extra={"engine": self._choice.name, "job": job}
                )
        raise EngineError(f"the audio could not be decoded in {_TRIES} tries: the engine process {reason}")

    async def _living(self, seat: _Seat) -> EngineProcess:
        """The seat's process, started anew if it is not alive."""
        if seat.process is not None and seat.process.alive:
            return seat.process
        await _empty(seat)
        self.restarts += 1
        return await self._fill(seat)

    async def _heal(self, seat: _Seat) -> None:
        """Be ready for the next job. If that fails, the job finds out and says so."""
        try:
            await self._living(seat)
        except EngineError as error:
            logger.error("an engine process could not be started anew: %s", error)

    async def _fill(self, seat: _Seat) -> EngineProcess:
        seat.process, self._capabilities = await EngineProcess.begin(self._choice, self._start_timeout_s)
        return seat.process

    def _own(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _empty(seat: _Seat) -> None:
    if seat.process is not None:
        process, seat.process = seat.process, None
        await process.kill()


def _fail(answer: asyncio.Future[list[HeardWord]], error: EngineError) -> None:
    if not answer.done():
        answer.set_exception(error)
