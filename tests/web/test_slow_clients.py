"""Slow and many clients on the public port: half-sent requests end in time, and callbacks are answered meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from callreel.web.connection_limits import FEWEST, ConnectionLimits, OpenConnections, connections_within
from callreel.web.uvicorn_server import http_with_media
from tests.web.carrier_side import LEG, carrier_side, signed

CALLBACK = "/twilio/call-status"
HALF_HEAD = b"POST /twilio/call-status HTTP/1.1\r\nHost: calls.example\r\nX-Half: "
HALF_BODY = (
    b"POST /twilio/call-status HTTP/1.1\r\nHost: calls.example\r\nContent-Length: 5000\r\n\r\nCallSid="
)
QUICK = ConnectionLimits(request_s=0.3, body_s=0.3, stalled_s=0.3)


@asynccontextmanager
async def listening(limits: ConnectionLimits) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    """The carrier's routes on a real port."""
    with carrier_side() as side:
        app = side.client.app
        assert isinstance(app, FastAPI)
        app.get("/large")(lambda: PlainTextResponse(b" " * (32 << 20)))
        http = http_with_media("/media", lambda transport, request, connections: transport.close(), limits)
        config = uvicorn.Config(
            app, "127.0.0.1", 0, http=http, ws="websockets-sansio", lifespan="off", log_config=None
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        try:
            yield server, server.servers[0].sockets[0].getsockname()[1]
        finally:
            await server.shutdown()


def connections_of(server: uvicorn.Server) -> int:
    return len(server.server_state.connections)


@dataclass(slots=True)
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_closed(self) -> bytes:
        """What the server sent before it closed the connection."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


@asynccontextmanager
async def clients(port: int, number: int) -> AsyncIterator[list[Client]]:
    opened = [Client(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(number)]
    try:
        yield opened
    finally:
        for client in opened:
            client.writer.transport.abort()


async def call_back(port: int) -> bytes:
    """The status line of a signed callback's answer."""
    body = urlencode(LEG).encode()
    head = [f"POST {CALLBACK} HTTP/1.1", "Host: calls.example", f"Content-Length: {len(body)}", "Connection: close",
            "Content-Type: application/x-www-form-urlencoded"]  # fmt: skip
    head += [f"{name}: {value}" for name, value in signed(CALLBACK, LEG).items()]
    async with clients(port, 1) as (carrier,):
        await carrier.send("\r\n".join([*head, "", ""]).encode() + body)
        return (await carrier.until_closed()).partition(b"\r\n")[0]


@pytest.mark.parametrize("half", [b"", b"G", HALF_HEAD, HALF_BODY])
async def test_half_sent_requests_are_closed_while_a_callback_is_answered(half: bytes) -> None:
    async with listening(QUICK) as (_, port), clients(port, 40) as slow:
        for client in slow:
            await client.send(half)
        assert await call_back(port) == b"HTTP/1.1 204 No Content"
        await asyncio.gather(*(client.until_closed() for client in slow))


async def test_drip_of_bytes_does_not_extend_the_deadline() -> None:
    async with listening(QUICK) as (_, port), clients(port, 1) as (slow,):
        await slow.send(HALF_HEAD)

        async def drip() -> None:
            while True:
                await slow.send(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        await slow.until_closed()
        dripping.cancel()


@pytest.mark.parametrize(
    "head", [b"GET /?q=", b"GET /calls/", b"GET / HTTP/1.1\r\nHost: calls.example\r\nCookie: a="]
)
async def test_megabyte_in_address_or_header_is_refused(head: bytes) -> None:
    async with listening(ConnectionLimits()) as (_, port), clients(port, 1) as (client,):
        try:
            await client.send(head + b"x" * (1 << 20))
        except ConnectionError:
            return  # closed before it had read all
        assert (await client.until_closed()).partition(b"\r\n")[0] in (b"", b"HTTP/1.1 400 Bad Request")


async def test_half_sent_requests_make_room_for_a_callback_at_the_cap() -> None:
    patient = ConnectionLimits(most=20)
    async with listening(patient) as (_, port), clients(port, 40) as slow:
        for client in slow[20:]:
            await client.send(HALF_HEAD)
        await asyncio.gather(*(client.until_closed() for client in slow[:20]))  # the oldest made room
        assert await call_back(port) == b"HTTP/1.1 204 No Content"


async def test_second_request_on_a_connection_has_a_deadline_of_its_own() -> None:
    async with listening(QUICK) as (_, port), clients(port, 1) as (client,):
        await client.send(b"GET /none HTTP/1.1\r\nHost: calls.example\r\n\r\n" + HALF_HEAD)
        answer = await client.until_closed()
        assert answer.startswith(b"HTTP/1.1 404") and answer.count(b"HTTP/1.1") == 1


async def test_idle_connection_outlives_the_deadline_of_a_head() -> None:
    """A client that keeps a connection is not closed between two requests, while its second request may be on its way."""
    async with listening(QUICK) as (_, port), clients(port, 2) as (kept, half):
        await kept.send(b"GET /none HTTP/1.1\r\nHost: calls.example\r\n\r\n")
        assert (await kept.reader.readuntil(b"}}")).startswith(b"HTTP/1.1 404")
        await half.send(HALF_HEAD)
        await half.until_closed()
        await kept.send(b"GET /none HTTP/1.1\r\nHost: calls.example\r\nConnection: close\r\n\r\n")
        assert (await kept.until_closed()).startswith(b"HTTP/1.1 404")


async def test_reader_that_stalls_is_closed() -> None:
    async with listening(QUICK) as (server, port), clients(port, 1) as (client,):
        await client.send(b"GET /large HTTP/1.1\r\nHost: calls.example\r\n\r\n")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # the transport of a socket has it
        async with asyncio.timeout(10):
            while not connections_of(server):  # noqa: ASYNC110  # uvicorn has no event for it
                await asyncio.sleep(0.01)
            while connections_of(server):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await client.until_closed()) < 32 << 20


class Waiting:
    """A connection that records whether it was closed."""

    closed = False

    def expire(self) -> None:
        self.closed = True


def test_connections_are_limited_by_address_but_not_of_proxies() -> None:
    opened = OpenConnections(ConnectionLimits(most=100, most_per_address=2, proxies=("10.0.0.0/24",)))

    def admitted(host: str, number: int) -> int:
        return sum(opened.admit(Waiting(), (host, port)) for port in range(number))

    assert admitted("192.0.2.1", 5) == 2
    assert admitted("2001:db8::1", 2) == 2 and admitted("2001:db8::2", 1) == 0, "one network"
    assert admitted("10.0.0.9", 5) == admitted("127.0.0.1", 5) == 5
    assert opened.admit(Waiting(), None), "a socket of this machine"


def test_connections_that_serve_a_request_are_not_closed_for_others() -> None:
    opened = OpenConnections(ConnectionLimits(most=2))
    first, second, third, fourth = (Waiting() for _ in range(4))
    for connection in (first, second):
        assert opened.admit(connection, ("127.0.0.1", 1))
        opened.mark(connection, waiting=True)
    opened.mark(first, waiting=False)
    assert opened.admit(third, ("127.0.0.1", 1)) and second.closed and not first.closed
    assert not opened.admit(fourth, ("127.0.0.1", 1)), "all serve"
    opened.release(first)
    assert opened.admit(fourth, ("127.0.0.1", 1))


def test_file_descriptors_of_calls_are_reserved() -> None:
    assert connections_within(20_000, 2_000, 1_000) == 2_000
    assert connections_within(7_000, 2_000, 1_000) == 7_000 - 6_000 - 256
    assert connections_within(1_024, 2_000, 1_000) == FEWEST
