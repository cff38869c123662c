"""What Callreel needs of Uvicorn beyond its documented interface, in this one module.

HTTP and media share one port: Uvicorn serves every path but the media path, whose WebSocket upgrades another party takes
over with the whole connection. ASGI costs 13 us a message before anything is done with it; a connection that was taken
over costs nothing afterwards (docs/performance.md). And a server that stops first waits for its live calls to end.

Names used that Uvicorn does not document: docs/dependencies.md, "Private attributes used".
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, Protocol

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from callreel.web.connection_limits import DEFAULT, ConnectionLimits, OpenConnections

log = logging.getLogger(__name__)

DRAIN_POLL_S = 0.1


class LimitedHttp(H11Protocol):
    """Uvicorn's protocol, with deadlines for the head and the body of each request and a cap on connections.

    Uvicorn limits an idle connection only until its next byte (`timeout_keep_alive`). Here the deadline of a head starts when
    the connection opens or, after a response, with the first byte of the next head; only the last byte of the head ends it.
    """

    connection_limits: ConnectionLimits
    open_connections: OpenConnections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limited = True
        self._phase: object = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        if self.open_connections.admit(self, self.client):
            self._watch()
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch(kept_alive=not self.conn.trailing_data[0])

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self.loop.call_later(self.connection_limits.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave_limits()
        super().connection_lost(exc)

    def expire(self) -> None:
        """Close; what a client does not read within the time of a body is dropped."""
        self.transport.close()
        self._stall = self.loop.call_later(self.connection_limits.body_s, self.transport.abort)

    def leave_limits(self) -> None:
        """The connection was lost, or is no longer one for requests."""
        self._limited = False
        self.open_connections.release(self)
        for timer in (self._deadline, self._stall):
            if timer is not None:
                timer.cancel()

    def _watch(self, *, kept_alive: bool = False) -> None:
        """Start the deadline of what the client sends next; `kept_alive`: it need not send anything now."""
        if not self._limited:
            return
        phase = self.conn.their_state
        if phase is not self._phase:
            self._phase = phase
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
            self.open_connections.mark(self, waiting=phase is h11.IDLE)
        seconds = {h11.IDLE: self.connection_limits.request_s, h11.SEND_BODY: self.connection_limits.body_s}
        if self._deadline is None and phase in seconds and not kept_alive:
            self._deadline = self.loop.call_later(seconds[phase], self.expire)


def http_with_media(
    path: str,
    take: Callable[[asyncio.Transport, bytes, set[Any]], None],
    limits: ConnectionLimits = DEFAULT,
) -> type[H11Protocol]:
    """Uvicorn's `http` protocol class, which gives upgrades of `path` to `take` with the connection.

    `take(transport, request, connections)` also gets the upgrade request as bytes and the server's open connections.
    """
    opened = OpenConnections(limits)

    class HttpWithMedia(LimitedHttp):
        connection_limits = limits
        open_connections = opened

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            self.leave_limits()
            if self.scope["path"] != path:
                super().handle_websocket_upgrade(event)
                return
            self.connections.discard(self)
            take(self.transport, _as_received(event), self.connections)

    return HttpWithMedia


def _as_received(request: h11.Request) -> bytes:
    head = b"%b %b HTTP/1.1\r\n" % (request.method, request.target)
    return head + b"".join(b"%b: %b\r\n" % (name, value) for name, value in request.headers) + b"\r\n"


class Draining(Protocol):
    """What a server waits for before it stops."""

    def begin(self) -> None:
        """Refuse new calls."""
        ...

    @property
    def calls(self) -> int:
        """Calls that are still live."""
        ...


class DrainingServer(uvicorn.Server):
    """Waits for live calls to end before it stops, while callbacks and pages are still served.

    A second signal cuts the wait short. Then `before_exit` ends the live event streams, which never end by themselves:
    the library would wait for their connections.
    """

    def __init__(
        self, config: uvicorn.Config, draining: Draining, drain_s: float, before_exit: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._draining = draining
        self._drain_s = drain_s
        self._before_exit = before_exit

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._drain()
        self._before_exit()
        await super().shutdown(sockets)

    async def _drain(self) -> None:
        self._draining.begin()
        if self._draining.calls:
            log.info(
                "draining: waiting %g s at most for %d calls to end", self._drain_s, self._draining.calls
            )
        until_s = time.monotonic() + self._drain_s
        while self._draining.calls and time.monotonic() < until_s and len(self._captured_signals) < 2:  # noqa: ASYNC110  # a signal sets no event
            await asyncio.sleep(DRAIN_POLL_S)

    @contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        """As the library's, but a stop by signal is an orderly end: the signal is not raised again."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()
