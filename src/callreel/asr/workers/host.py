"""The worker processes of one engine on this machine.

Jobs go to free processes in the order they come. A process that dies is replaced and its unfinished job is decoded again.
Which job comes first is the decode queue's decision (`asr/decode_queue.py`). The event loop never waits for an engine.
"""

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np

from callreel.asr.engine import Capabilities, Transcription
from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers import wire
from callreel.audio.samples import Samples
from callreel.domain.errors import EngineError

log = logging.getLogger(__name__)

_TRIES = 2
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

T = TypeVar("T")
LIVE_NICE, FINAL_NICE = 5, 7
"""Priorities of engine processes: capture comes before words, and words during a call before those after it."""


class ProcessDiedError(Exception):
    """The process ended, or was killed because it took too long, before it answered."""


class EngineProcess:
    """One worker process and our end of its socket, made by `start`. One request at a time; a caller that gives up waiting
    for the answer must `kill` it.

    It is a plain child process: `multiprocessing` would import the program's own main module, and with it the web side, in
    each child. On Linux the kernel ends the process together with the thread that started it, the event loop's.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._jobs = 0

    @classmethod
    async def start(
        cls, choice: EngineChoice, timeout_s: float, nice: int
    ) -> tuple["EngineProcess", Capabilities]:
        """A process with its engine loaded. Raises EngineError with the engine's own reason if that fails."""
        try:
            process = await cls._spawn(nice)
        except OSError as error:
            raise EngineError(f"an engine process could not be started: {error.strerror}") from error
        try:
            reply = await process._exchange(wire.Load(choice.name, dict(choice.options)), timeout_s)
        except ProcessDiedError as died:
            raise EngineError(f"engine {choice.name!r} could not be started: its process {died}") from died
        except BaseException:
            await process.kill()
            raise
        if isinstance(reply, wire.Ready):
            return process, reply.capabilities
        await process.kill()
        raise EngineError(
            reply.reason
            if isinstance(reply, wire.Failed)
            else "protocol error: unexpected reply from the engine process"
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    async def decode(
        self, segments: Sequence[Samples], *, partial: bool, language: str, timeout_s: float
    ) -> list[Transcription]:
        """One result a segment. Raises ProcessDiedError, and EngineError if the engine reports a failure."""
        self._jobs += 1
        audio = [np.ascontiguousarray(samples, np.int16).tobytes() for samples in segments]
        reply = await self._exchange(wire.Decode(self._jobs, audio, partial, language), timeout_s)
        match reply:
            case wire.Decoded(job=self._jobs, results=results):
                return [Transcription(one.words, language=one.language) for one in results]
            case wire.Failed(job=self._jobs, reason=reason):
                raise EngineError(reason)
        await self.kill()
        raise ProcessDiedError("sent an unexpected reply")

    async def kill(self) -> None:
        """End the process and wait until it is gone. It holds nothing that could be lost."""
        self._writer.transport.abort()
        self._process.kill()
        await asyncio.shield(asyncio.to_thread(self._process.wait))

    @classmethod
    async def _spawn(cls, nice: int) -> "EngineProcess":
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            try:
                return cls(_child(theirs.fileno(), nice), reader, writer)
            except OSError:
                writer.transport.abort()
                raise

    async def _exchange(self, request: wire.Request, timeout_s: float) -> wire.Reply:
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(wire.pack(request))
                await self._writer.drain()
                (size_bytes,) = wire.LENGTH.unpack(await self._reader.readexactly(wire.LENGTH.size))
                return wire.decode_reply(await self._reader.readexactly(size_bytes))
        except TimeoutError as error:
            await self.kill()
            raise ProcessDiedError(f"took longer than {timeout_s:g} s") from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            await self.kill()
            raise ProcessDiedError("ended before it answered") from error
        except msgspec.MsgspecError as error:
            await self.kill()
            raise ProcessDiedError("sent an unexpected reply") from error


@dataclass(slots=True, eq=False)
class _Slot:
    """The place of one process; empty after a start that failed. The next job then tries again."""

    process: EngineProcess | None = None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.alive


class EngineHost:
    """A `WorkerEngine`: `workers` processes, each with the chosen engine loaded.

    A job whose process does not answer within `job_timeout_s` for each segment, or dies, is given to a fresh process once.
    """

    def __init__(
        self,
        choice: EngineChoice,
        workers: int,
        *,
        start_timeout_s: float = 60,
        job_timeout_s: float = 120,
        nice: int = LIVE_NICE,
    ) -> None:
        if workers < 1:
            raise ValueError(f"an engine host needs at least 1 worker, not {workers}")
        self._choice = choice
        self._start_timeout_s = start_timeout_s
        self._job_timeout_s = job_timeout_s
        self._nice = nice
        self._slots = [_Slot() for _ in range(workers)]
        self._free: asyncio.Queue[_Slot | None] = asyncio.Queue()  # None: closed
        self._tasks: set[asyncio.Task[object]] = set()
        self._capabilities: Capabilities | None = None
        self._closed = False
        self.restarts = 0

    @property
    def capabilities(self) -> Capabilities:
        if self._capabilities is None:
            raise RuntimeError("the engine host has not been started")
        return self._capabilities

    @property
    def workers(self) -> int:
        return len(self._slots)

    @property
    def idle(self) -> int:
        return 0 if self._closed else self._free.qsize()

    @property
    def pids(self) -> list[int]:
        return [slot.process.pid for slot in self._slots if slot.process is not None]

    async def start(self) -> None:
        """Load the engine in all processes. Raises EngineError with the engine's reason, and leaves none running."""
        starts = [asyncio.create_task(self._fill(slot)) for slot in self._slots]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await self.close()
            raise
        for slot in self._slots:
            self._free.put_nowait(slot)

    async def decode(
        self, segments: Sequence[Samples], *, partial: bool = False, language: str = ""
    ) -> list[Transcription]:
        if self._capabilities is None or self._closed:
            raise EngineError("the engine host is not running")
        option, at_once = self._capabilities.language_option(language), self._capabilities.batch
        answers: list[Transcription] = []
        for at in range(0, len(segments), at_once):
            slot = await self._free.get()
            if slot is None:
                self._free.put_nowait(None)  # for the next one that waits
                raise EngineError("the engine host was closed")
            job = self._own(self._decode_in(slot, segments[at : at + at_once], partial, option))
            try:
                answers += await asyncio.shield(job)
            except asyncio.CancelledError:
                if job.cancelled():
                    raise EngineError("the engine host was closed") from None
                raise
        return answers

    async def close(self) -> None:
        self._closed = True
        self._free.put_nowait(None)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(_empty(slot) for slot in self._slots))

    async def _decode_in(
        self, slot: _Slot, segments: Sequence[Samples], partial: bool, language: str
    ) -> list[Transcription]:
        timeout_s = self._job_timeout_s * len(segments)
        reason = ""
        try:
            for _ in range(_TRIES):
                process = await self._running(slot)
                try:
                    return await process.decode(
                        segments, partial=partial, language=language, timeout_s=timeout_s
                    )
                except ProcessDiedError as died:
                    slot.process = None
                    reason = str(died)
                    log.warning("engine process lost engine=%s reason=%s", self._choice.name, reason)
            raise EngineError(
                f"the audio could not be decoded in {_TRIES} tries: the engine process {reason}"
            )
        finally:
            if slot.alive:
                self._free.put_nowait(slot)
            elif not self._closed:
                self._own(self._replace(slot))

    async def _running(self, slot: _Slot) -> EngineProcess:
        """The slot's process, started again if it is not alive."""
        if slot.process is None or not slot.process.alive:
            await _empty(slot)
            self.restarts += 1
            return await self._fill(slot)
        return slot.process

    async def _replace(self, slot: _Slot) -> None:
        """Be ready for the next job. If that fails, the job tries again and reports why."""
        try:
            await self._running(slot)
        except EngineError as error:
            log.error("engine process not restarted engine=%s reason=%s", self._choice.name, error)
        self._free.put_nowait(slot)

    async def _fill(self, slot: _Slot) -> EngineProcess:
        slot.process, self._capabilities = await EngineProcess.start(
            self._choice, self._start_timeout_s, self._nice
        )
        return slot.process

    def _own(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """A task that survives its caller; `close` ends it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may have given up


async def _empty(slot: _Slot) -> None:
    process, slot.process = slot.process, None
    if process is not None:
        await process.kill()


def _child(descriptor: int, nice: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-m",
            "callreel.asr.workers.worker",
            *map(str, (descriptor, os.getpid(), nice)),
        ],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # an interrupt from the keyboard is for the host
        env={**os.environ, **_ONE_THREAD, **_QUIET, "PYTHONPATH": _import_path()},
    )


def _import_path() -> str:
    """What we can import, our children can; the folder they happen to run in does not count."""
    return os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
