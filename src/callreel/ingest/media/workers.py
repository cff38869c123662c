"""The server's end of `--media-workers`: processes that serve the media sockets, so that no page or report stalls audio.

The server accepts every connection on its one port. A connection that asks for the media path is handed to the worker
with the fewest calls (`ingest/media/fd_passing`), and its call stays with that process. A worker that dies is restarted
with exponential backoff; its calls are treated as any dead process's calls (`ingest/recovery`).
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from callreel.domain.errors import CallreelError
from callreel.ingest.media import fd_passing
from callreel.ingest.media.fd_passing import WorkerStatus
from callreel.runtime.counters import Counters
from callreel.runtime.retry import Backoff

log = logging.getLogger(__name__)

START_S = 90.0
STOP_S = 20.0
BACKOFF = Backoff(first_s=1.0, longest_s=30.0)
STEADY_S = 60.0
"""A worker that lived for so long and dies is restarted without delay."""
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


@dataclass(slots=True, eq=False)
class _Worker:
    number: int
    control: socket.socket
    process: asyncio.subprocess.Process
    began_s: float
    status: WorkerStatus | None = None
    """None until its first report: it takes no connections before."""
    handed: int = 0

    @property
    def load(self) -> int:
        """Its calls, and connections on their way to it."""
        return self.status.calls + self.handed - self.status.taken if self.status else 0


class MediaWorkers:
    """`count` processes of one server. Lives in its event loop.

    `command` starts one; the number of its end of the socket pair is appended. `died(name)` is called when one ends
    without `close`, with its process's name in the installation.
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
        self._started = False
        self._closing = False
        self._draining = False

    async def start(self) -> None:
        """Start all and wait until they take calls. Raises CallreelError when one does not."""
        self._keepers = [
            asyncio.create_task(self._keep_running(number), name=f"media worker {number}")
            for number in range(1, self._count + 1)
        ]
        until_s = time.monotonic() + START_S
        while len(self.status) < self._count:
            if any(keeper.done() for keeper in self._keepers) or time.monotonic() > until_s:
                raise CallreelError("a media worker could not be started; the log says why")
            await asyncio.sleep(0.05)
        self._started = True

    def take(self, transport: asyncio.Transport, request: bytes, connections: set[Any]) -> None:
        """Hand over a connection with the request that was read from it; answer 503 when no worker takes it."""
        transport.pause_reading()
        fd = transport.get_extra_info("socket").fileno()
        for worker in sorted(self._ready(), key=lambda worker: worker.load):
            try:
                fd_passing.send_connection(worker.control, fd, request)
            except OSError as error:
                log.warning("media worker %d takes no connection: %s", worker.number, error.strerror)
                continue
            worker.handed += 1
            transport.abort()  # our descriptor alone: the worker has its own
            return
        self._counters.add("sockets_refused")
        log.error("media socket refused: no media worker runs")
        transport.write(_BUSY)
        transport.close()

    @property
    def status(self) -> dict[int, WorkerStatus]:
        """Of each running worker, by its number."""
        return {worker.number: worker.status for worker in self._ready() if worker.status}

    @property
    def calls(self) -> int:
        """Live calls of all workers. While draining, one that has not reported since counts as one call at least."""
        return sum(
            max(worker.load, self._draining and not (worker.status and worker.status.draining))
            for worker in self._ready()
        )

    def failure(self) -> str | None:
        """What is wrong with them, for the health check."""
        running = len(self.status)
        if running == self._count or self._draining:
            return None
        return f"{running} of {self._count} media workers run; the log says why the others ended"

    def drain(self) -> None:
        """Make all refuse new calls; live ones continue."""
        self._draining = True
        for worker in self._ready():
            try:
                fd_passing.send_drain(worker.control)
            except OSError:
                log.warning("media worker %d cannot be drained: its socket is closed", worker.number)

    async def close(self) -> None:
        """Stop all: each closes its streams and files. Kill those that do not end in time."""
        self._closing = True
        for worker in self._workers.values():
            worker.control.shutdown(socket.SHUT_RDWR)
        _, late = await asyncio.wait(self._keepers, timeout=STOP_S) if self._keepers else (set(), set())
        for worker in self._workers.values():
            if worker.process.returncode is None:
                log.error("media worker %d did not stop within %g s; killed", worker.number, STOP_S)
                worker.process.kill()
        await asyncio.gather(*late, return_exceptions=True)

    def _ready(self) -> list[_Worker]:
        return [worker for worker in self._workers.values() if worker.status is not None]

    async def _keep_running(self, number: int) -> None:
        """Run worker `number`, restarting it until `close`."""
        failures = 0
        while True:
            worker = self._workers[number] = await self._spawn(number)
            code = await worker.process.wait()
            asyncio.get_running_loop().remove_reader(worker.control.fileno())
            worker.control.close()
            del self._workers[number]
            if self._closing:
                return
            log.error("media worker %d ended %s; restarting it", number, _how(code))
            if worker.status is not None:
                self._died(worker.status.name)
            elif not self._started:
                return
            self._counters.add("media_workers_restarted")
            if time.monotonic() - worker.began_s > STEADY_S:
                failures = 0
            else:
                failures += 1
                await asyncio.sleep(BACKOFF.after_s(failures))

    async def _spawn(self, number: int) -> _Worker:
        ours, theirs = fd_passing.socket_pair()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, str(theirs.fileno()), pass_fds=(theirs.fileno(),)
            )
        finally:
            theirs.close()
        worker = _Worker(number, ours, process, time.monotonic())
        asyncio.get_running_loop().add_reader(ours.fileno(), self._receive_status, worker)
        return worker

    def _receive_status(self, worker: _Worker) -> None:
        try:
            status = fd_passing.receive_status(worker.control)
        except BlockingIOError:
            return
        if status is None:
            asyncio.get_running_loop().remove_reader(worker.control.fileno())
            return  # `_keep_running` waits for the end of its process
        before = worker.status.counted if worker.status else {}
        for name, number in status.counted.items():
            self._counters.add(name, number - before.get(name, 0))
        if worker.status is None and self._draining:
            fd_passing.send_drain(worker.control)
        worker.status = status


def _how(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
