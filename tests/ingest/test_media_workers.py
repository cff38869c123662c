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
from callreel.ingest.media.fd_passing import Figures
from callreel.ingest.media.workers import MediaWorkers
from callreel.runtime.counters import Counters
from tests.support.installation import eventually

WORKER = """
import asyncio, json, os, socket, sys
from callreel.ingest.media import fd_passing as handing_over
from callreel.ingest.media.fd_passing import Connection, Drain, Figures
control = socket.socket(fileno=int(sys.argv[-1]))
taken, kept = 0, []
def tell(**more):
    name = f"worker-{os.getpid()}"
    handing_over.report(control, Figures(name, calls=taken, taken=taken, counted={"seen": taken}, **more))
tell()
while True:
    match handing_over.received(control):
        case None:
            break
        case Drain():
            tell(draining=True)
        case Connection(fd, request):
            taken += 1
            if request == b"die":
                os.abort()
            connection = socket.socket(fileno=fd)
            kept.append(connection)
            connection.sendall(f"{os.getpid()} has {request.decode()}".encode())
            tell()
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


def test_connections_are_spread_and_live_on_without_the_server() -> None:
    async def scene() -> None:
        counters = Counters()
        async with running(2, counters) as workers:
            answers = [await handed(workers, b"a call") for _ in range(6)]
            assert all(answer.endswith("has a call") for answer in answers)
            pids = [answer.split()[0] for answer in answers]
            assert sorted(map(pids.count, set(pids))) == [3, 3]
            await eventually(lambda: workers.calls == counters.snapshot().get("seen") == 6, 30)
            assert workers.trouble() is None

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_a_worker_that_dies_is_told_of_and_started_again() -> None:
    async def scene() -> None:
        counters, died = Counters(), list[str]()
        async with running(1, counters, died) as workers:
            name = workers.figures[1].name
            connection: Any = Accepted()
            workers.take(connection, b"die", set())
            await eventually(workers.trouble, 30)
            assert "0 of 1" in str(workers.trouble())
            nobody: Any = Accepted()
            workers.take(nobody, b"a call", set())
            assert nobody.said.startswith(b"HTTP/1.1 503 ")
            await eventually(lambda: workers.figures, 30)
            assert died == [name] and workers.figures[1].name != name
            assert counters.snapshot()["media_workers_restarted"] == 1
            assert (await handed(workers, b"a call")).endswith("has a call")

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_a_worker_that_drains_is_asked_what_goes_on_since_it_told() -> None:
    async def scene() -> None:
        async with running(2, Counters()) as workers:
            assert workers.calls == 0
            workers.drain()
            assert workers.calls == 2, "neither has told what began since"
            await eventually(lambda: workers.calls == 0, 30)

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_a_worker_that_cannot_start_is_told_at_once() -> None:
    async def scene() -> None:
        workers = MediaWorkers(1, (sys.executable, "-c", "raise SystemExit(3)"), Counters())
        with pytest.raises(CallreelError, match="could not be started"):
            await workers.start()
        await workers.close()

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_what_is_said_arrives_whole_and_an_end_is_noticed() -> None:
    ours, theirs = fd_passing.pair()
    with ours, theirs:
        with pytest.raises(BlockingIOError):
            fd_passing.reported(ours)
        request = b"GET /twilio/media-stream HTTP/1.1\r\n" + b"x" * 60_000
        one, other = socket.socketpair()
        with one, other:
            fd_passing.hand_over(ours, other.fileno(), request)
        word = fd_passing.received(theirs)
        assert isinstance(word, fd_passing.Connection) and word.request == request
        socket.socket(fileno=word.fd).close()
        fd_passing.ask_to_drain(ours)
        assert isinstance(fd_passing.received(theirs), fd_passing.Drain)
        figures = Figures("a name", calls=3, counted={"sockets_refused": 1})
        fd_passing.report(theirs, figures)
        assert fd_passing.reported(ours) == figures
        theirs.shutdown(socket.SHUT_RDWR)
        assert fd_passing.reported(ours) is None
