"""The server's side against small programs in the place of workers."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from callreel.domain.errors import CallreelError
from callreel.ingest.media import fd_passing
from callreel.ingest.media.fd_passing import WorkerStatus
from callreel.ingest.media.workers import MediaWorkers
from callreel.runtime.counters import Counters
from tests.support.installation import eventually

WORKER = """
import os, socket, sys
from callreel.ingest.media import fd_passing
from callreel.ingest.media.fd_passing import WorkerStatus
control = socket.socket(fileno=int(sys.argv[-1]))
taken, kept = 0, []
def report(**more):
    name = f"worker-{os.getpid()}"
    fd_passing.send_status(control, WorkerStatus(name, calls=taken, taken=taken, counted={"seen": taken}, **more))
report()
while (message := fd_passing.receive(control)) is not None:
    fd, request = message
    if fd is None:
        report(draining=True)
        continue
    taken += 1
    if request == b"die":
        os.abort()
    connection = socket.socket(fileno=fd)
    kept.append(connection)
    connection.sendall(f"{os.getpid()} has {request.decode()}".encode())
    report()
"""
COMMAND = (sys.executable, "-c", WORKER)


@asynccontextmanager
async def running(
    count: int, counters: Counters, died: list[str] | None = None
) -> AsyncIterator[MediaWorkers]:
    workers = MediaWorkers(count, COMMAND, counters, (died if died is not None else []).append)
    await workers.start()
    try:
        yield workers
    finally:
        await workers.close()


class Accepted:
    """A connection as a server's transport has it: `peer` is the other side."""

    def __init__(self) -> None:
        self.peer, self._ours = socket.socketpair()
        self.peer.settimeout(30)
        self.said = b""

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self._ours

    def pause_reading(self) -> None: ...

    def abort(self) -> None:
        self._ours.close()

    def write(self, data: bytes) -> None:
        self.said += data

    close = abort


async def handed(workers: MediaWorkers, request: bytes) -> str:
    """What the worker that got it says to the other side."""
    connection: Any = Accepted()
    workers.take(connection, request, set())
    answer: bytes = await asyncio.to_thread(connection.peer.recv, 100)
    return answer.decode()


async def test_connections_are_spread_over_the_workers() -> None:
    counters = Counters()
    async with running(2, counters) as workers:
        answers = [await handed(workers, b"a call") for _ in range(6)]
        assert all(answer.endswith("has a call") for answer in answers)
        pids = [answer.split()[0] for answer in answers]
        assert sorted(map(pids.count, set(pids))) == [3, 3]
        await eventually(lambda: workers.calls == counters.snapshot().get("seen") == 6, 30)
        assert workers.failure() is None


async def test_dead_worker_is_reported_and_restarted() -> None:
    counters, died = Counters(), list[str]()
    async with running(1, counters, died) as workers:
        name = workers.status[1].name
        connection: Any = Accepted()
        workers.take(connection, b"die", set())
        await eventually(workers.failure, 30)
        assert "0 of 1" in str(workers.failure())
        refused: Any = Accepted()
        workers.take(refused, b"a call", set())
        assert refused.said.startswith(b"HTTP/1.1 503 ")
        await eventually(lambda: workers.status, 30)
        assert died == [name] and workers.status[1].name != name
        assert counters.snapshot()["media_workers_restarted"] == 1
        assert (await handed(workers, b"a call")).endswith("has a call")


async def test_draining_waits_for_a_fresh_report_of_each_worker() -> None:
    async with running(2, Counters()) as workers:
        assert workers.calls == 0
        workers.drain()
        assert workers.calls == 2, "neither has reported since"
        await eventually(lambda: workers.calls == 0, 30)


async def test_worker_that_cannot_start_fails_at_once() -> None:
    workers = MediaWorkers(1, (sys.executable, "-c", "raise SystemExit(3)"), Counters())
    with pytest.raises(CallreelError, match="could not be started"):
        await workers.start()
    await workers.close()


def test_messages_arrive_whole_and_an_end_is_detected() -> None:
    ours, theirs = fd_passing.socket_pair()
    with ours, theirs:
        with pytest.raises(BlockingIOError):
            fd_passing.receive_status(ours)
        request = b"GET /twilio/media-stream HTTP/1.1\r\n" + b"x" * 60_000
        one, other = socket.socketpair()
        with one, other:
            fd_passing.send_connection(ours, other.fileno(), request)
        message = fd_passing.receive(theirs)
        assert message is not None and message[1] == request and message[0] is not None
        socket.socket(fileno=message[0]).close()
        fd_passing.send_drain(ours)
        assert fd_passing.receive(theirs) == (None, b"")
        status = WorkerStatus("a name", calls=3, counted={"sockets_refused": 1})
        fd_passing.send_status(theirs, status)
        assert fd_passing.receive_status(ours) == status
        theirs.shutdown(socket.SHUT_RDWR)
        assert fd_passing.receive_status(ours) is None
