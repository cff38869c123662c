"""HTTP and media on one port: Uvicorn serves all but one path, whose upgrades get a protocol of their own.

ASGI costs 13 us a message before anything is done with it; handing the connection over costs nothing afterwards
(docs/performance.md). The hand-over is the one that Uvicorn makes itself for a WebSocket.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from callreel.web.media_protocol import OpenMedia

MEDIA_PATH = "/twilio/media-stream"


def one_port(open_media: OpenMedia) -> type[H11Protocol]:
    """Uvicorn's `http` protocol class, with `open_media` for upgrades of the media path."""

    class OnePort(H11Protocol):
        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            if self.scope["path"] != MEDIA_PATH:
                super().handle_websocket_upgrade(event)
                return
            self.connections.discard(self)
            protocol = open_media(self.connections)
            self.transport.set_protocol(protocol)
            protocol.connection_made(self.transport)
            give(protocol, _as_received(event))

    return OnePort


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
