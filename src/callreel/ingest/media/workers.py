"""The server's side of `--media-workers`: processes that have the media sockets, so that no page or report stalls audio.

The server answers on its one port as ever. A connection that asks for the media path is handed to the worker with the
fewest calls (`handing_over`), and its call is bound to that process. One that dies is started again at once, then after
longer and longer; its calls are what any dead process's calls are (`services/recovery`).
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from callreel.domain.errors import CallreelError
from callreel.ingest.media import fd_passing
from callreel.ingest.media.fd_passing import Figures
from callreel.runtime.counters import Counters

log = logging.getLogger(__name__)

START_S = 90.0
STOP_S = 20.0
AGAIN_S, AGAIN_MOST_S = 0.5, 30.0
STEADY_S = 60.0
"""A worker that lived for so long and dies is started at once again."""
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


@dataclass(slots=True)
class _Worker:
    number: int
    control: socket.socket
    process: asyncio.subprocess.Process
    began_s: float
    figures: Figures | None = None
    handed: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def load(self) -> int:
        """Its calls, and connections on their way to it."""
        return self.figures.calls + self.handed - self.figures.taken if self.figures else 0

    @property
    def drains(self) -> bool:
        """Whether it has told so; what it told before is old."""
        return self.figures is not None and self.figures.draining


class MediaWorkers:
    """`count` processes of one server. Lives in its event loop.

    `command` starts one; the number of its end of the socket pair is appended. `died(name)` is told of one that ended
    without being asked to, with the name it had among the installation's processes.
    """

    def __init__(
        self,
        count: int,
        command: Sequence[str],
        counters: Counters,
        died: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._count = count
        self._command = tuple(command)
        self._counters = counters
        self._died = died
        self._workers: dict[int, _Worker] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._started = asyncio.Event()
        self._closing = False
        self._draining = False

    async def start(self) -> None:
        """Start all and wait until they take calls. Raises CallreelError when one does not."""
        self._keepers = [
            asyncio.create_task(self._keep(number), name=f"media worker {number}")
            for number in range(1, self._count + 1)
        ]
        until_s = time.monotonic() + START_S
        while len(self.figures) < self._count:
            if any(keeper.done() for keeper in self._keepers) or time.monotonic() > until_s:
                raise CallreelError("a media worker could not be started; the log says why")
            await asyncio.sleep(0.05)
        self._started.set()

    def take(self, transport: asyncio.Transport, request: bytes, connections: set[Any]) -> None:
        """Hand a connection over with the request that was read from it; 503 when nobody can take it."""
        transport.pause_reading()
        fd = transport.get_extra_info("socket").fileno()
        for worker in sorted(self._ready(), key=lambda worker: worker.load):
            try:
                fd_passing.hand_over(worker.control, fd, request)
            except OSError as error:
                log.warning("media worker %d takes nothing: %s", worker.number, error.strerror)
                continue
            worker.handed += 1
            transport.abort()  # our end alone: the worker has its own
            return
        self._counters.add("sockets_refused")
        log.error("no media worker is there for a socket")
        transport.write(_BUSY)
        transport.close()

    @property
    def figures(self) -> dict[int, Figures]:
        """Of each worker that is there, by its number."""
        return {worker.number: worker.figures for worker in self._ready() if worker.figures}

    @property
    def calls(self) -> int:
        """Calls that go on in them; of a worker that is to drain and has not told yet what goes on, one at least."""
        return sum(max(worker.load, self._draining and not worker.drains) for worker in self._ready())

    def trouble(self) -> str | None:
        """What is wrong with them, for the health check."""
        there = len(self.figures)
        if there == self._count or self._draining:
            return None
        return f"{there} of {self._count} media workers run; the log says why the others ended"

    def drain(self) -> None:
        """Let all take no more new calls; those that live go on."""
        self._draining = True
        for worker in self._ready():
            try:
                fd_passing.ask_to_drain(worker.control)
            except OSError:
                log.warning("media worker %d cannot be told to drain", worker.number)

    async def close(self) -> None:
        """End all in order: each closes its streams and files. Those that do not are killed."""
        self._closing = True
        for worker in self._workers.values():
            worker.control.shutdown(socket.SHUT_RDWR)
        _, late = await asyncio.wait(self._keepers, timeout=STOP_S) if self._keepers else (set(), set())
        for worker in self._workers.values():
            if worker.process.returncode is None:
                log.error("media worker %d does not end; it is killed", worker.number)
                worker.process.kill()
        await asyncio.gather(*late, return_exceptions=True)

    def _ready(self) -> list[_Worker]:
        return [worker for worker in self._workers.values() if worker.figures is not None]

    async def _keep(self, number: int) -> None:
        """Have worker `number` run until `close`."""
        wait_s = AGAIN_S
        while True:
            worker = await self._spawn(number)
            self._workers[number] = worker
            code = await worker.process.wait()
            self._forget(worker)
            if self._closing:
                return
            name = worker.figures.name if worker.figures else None
            log.error("media worker %d ended %s; it is started again", number, _how(code))
            if not self._started.is_set() and name is None:
                return
            self._counters.add("media_workers_restarted")
            if name is not None:
                self._died(name)
            lived_s = time.monotonic() - worker.began_s
            wait_s = AGAIN_S if lived_s > STEADY_S else min(wait_s * 2, AGAIN_MOST_S)
            await asyncio.sleep(0 if lived_s > STEADY_S else wait_s)

    async def _spawn(self, number: int) -> _Worker:
        ours, theirs = fd_passing.pair()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, str(theirs.fileno()), pass_fds=(theirs.fileno(),)
            )
        finally:
            theirs.close()
        worker = _Worker(number, ours, process, time.monotonic())
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear, worker)
        return worker

    def _hear(self, worker: _Worker) -> None:
        try:
            figures = fd_passing.reported(worker.control)
        except BlockingIOError:
            return
        if figures is None:
            asyncio.get_running_loop().remove_reader(worker.control.fileno())
            return  # its end, which `_keep` waits for
        before = worker.figures.counted if worker.figures else {}
        for name, number in figures.counted.items():
            self._counters.add(name, number - before.get(name, 0))
        if worker.figures is None and self._draining:
            fd_passing.ask_to_drain(worker.control)
        worker.figures = figures

    def _forget(self, worker: _Worker) -> None:
        asyncio.get_running_loop().remove_reader(worker.control.fileno())
        worker.control.close()
        if self._workers.get(worker.number) is worker:
            del self._workers[worker.number]


def _how(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
