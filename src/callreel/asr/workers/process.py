"""One worker process and our end of its socket.

It is a plain child process: `multiprocessing` would import the program's own main module, and with it the web side, in
each child. On Linux the kernel ends the process together with the thread that started it, the event loop's.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Sequence

import msgspec
import numpy as np

from callreel.asr.engine import Capabilities, Transcription
from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers import wire
from callreel.audio.samples import Samples
from callreel.domain.errors import EngineError

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


class ProcessDiedError(Exception):
    """The process ended, or was killed because it took too long, before it answered."""


class EngineProcess:
    """Made by `start`. One request at a time; a caller that gives up waiting for the answer must `kill` it."""

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
    async def start(cls, choice: EngineChoice, timeout_s: float) -> tuple["EngineProcess", Capabilities]:
        """A process with its engine loaded. Raises EngineError with the engine's own reason if that fails."""
        try:
            process = await cls._spawn()
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
    async def _spawn(cls) -> "EngineProcess":
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            try:
                return cls(_child(theirs.fileno()), reader, writer)
            except OSError:
                writer.transport.abort()
                raise

    async def _exchange(self, request: wire.Request, timeout_s: float) -> wire.Reply:
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(wire.pack(request))
                await self._writer.drain()
                (size_bytes,) = wire.LENGTH.unpack(await self._reader.readexactly(wire.LENGTH.size))
                return wire.reply(await self._reader.readexactly(size_bytes))
        except TimeoutError as error:
            await self.kill()
            raise ProcessDiedError(f"took longer than {timeout_s:g} s") from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            await self.kill()
            raise ProcessDiedError("ended before it answered") from error
        except msgspec.MsgspecError as error:
            await self.kill()
            raise ProcessDiedError("sent an unexpected reply") from error


def _child(descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "callreel.asr.workers.worker", str(descriptor), str(os.getpid())],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # an interrupt from the keyboard is for the host
        env={**os.environ, **_ONE_THREAD, **_QUIET, "PYTHONPATH": _import_path()},
    )


def _import_path() -> str:
    """What we can import, our children can; the folder they happen to run in does not count."""
    return os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
