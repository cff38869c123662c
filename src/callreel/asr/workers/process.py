"""One engine process and our end of its socket.

It knows neither jobs that are given again nor other processes: `host` does. It is a plain child process and not one of
`multiprocessing`, which would import the program's own main module, and with it the web side, in each child.
On Linux the kernel ends the process together with the thread that began it, which is the event loop's.
"""

import asyncio
import os
import socket
import subprocess
import sys

import msgspec

from callreel.asr.engine import Capabilities, Heard
from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers import wire
from callreel.domain.errors import EngineError

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


class ProcessDiedError(Exception):
    """The process ended, or was ended because it took too long, before it answered. It is of no more use."""


class EngineProcess:
    """Made by `begin`. One question at a time; whoever gives up waiting for an answer must `kill` it."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def begin(cls, choice: EngineChoice, timeout_s: float) -> tuple["EngineProcess", Capabilities]:
        """A process with its engine loaded. Raises EngineError with the engine's own reason if that fails."""
        try:
            process = await cls._spawn()
        except OSError as error:
            raise EngineError(f"an engine process could not be started: {error.strerror}") from error
        try:
            reply = await process._exchange(wire.Begin(choice.name, dict(choice.options)), timeout_s)
        except ProcessDiedError as died:
            raise EngineError(f"engine {choice.name!r} could not be started: its process {died}") from died
        except BaseException:
            await process.kill()
            raise
        if isinstance(reply, wire.Ready):
            return process, reply.capabilities
        await process.kill()
        raise EngineError(
            reply.reason if isinstance(reply, wire.Failed) else "the engine process spoke out of turn"
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    async def ask(self, request: wire.Ask | wire.Feed, timeout_s: float) -> list[Heard]:
        """Words in each segment that is asked about. Raises ProcessDiedError, and EngineError if the engine says it cannot."""
        reply = await self._exchange(request, timeout_s)
        match reply:
            case wire.Answer(job=answered, heard=heard) if answered == request.job:
                return [Heard(one.words, language=one.language) for one in heard]
            case wire.Failed(job=answered, reason=reason) if answered == request.job:
                raise EngineError(reason)
        await self.kill()
        raise ProcessDiedError("spoke out of turn")

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
            raise ProcessDiedError("spoke out of turn") from error


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
