"""HTTP and media on one port: Uvicorn serves all but one path, whose upgrades are taken by somebody else.

ASGI costs 13 us a message before anything is done with it; handing the connection over costs nothing afterwards
(docs/performance.md). It gets a protocol of its own here, as Uvicorn makes it itself for a WebSocket, or goes to another
process (`media_workers`).
"""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from callreel.ingest.media.protocol import Connections, OpenMedia

MEDIA_PATH = "/twilio/media-stream"


Take: TypeAlias = Callable[[asyncio.Transport, bytes, Connections], None]
"""Takes a connection, given its upgrade request as bytes and the server's set of open connections."""


def one_port(take: Take) -> type[H11Protocol]:
    """Uvicorn's `http` protocol class, with `take` for upgrades of the media path."""

    class OnePort(H11Protocol):
        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            if self.scope["path"] != MEDIA_PATH:
                super().handle_websocket_upgrade(event)
                return
            self.connections.discard(self)
            take(self.transport, _as_received(event), self.connections)

    return OnePort


def in_this_process(open_media: OpenMedia) -> Take:
    """The connection stays here."""

    def take(transport: asyncio.Transport, request: bytes, connections: Connections) -> None:
        protocol = open_media(connections)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        give(protocol, request)

    return take


def give(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    """Let `protocol` read `data` as if it had come from its transport."""
    while data:
        room = memoryview(protocol.get_buffer(len(data)))
        size = min(room.nbytes, len(data))
        room[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]


def _as_received(request: h11.Request) -> bytes:
    head = b"%b %b HTTP/1.1\r\n" % (request.method, request.target)
    return head + b"".join(b"%b: %b\r\n" % (name, value) for name, value in request.headers) + b"\r\n"
