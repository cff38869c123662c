"""The media socket on picows: a thin driver of `ingest/media/session`, with no ASGI between a message and its call.

The handshake's signature is checked before the upgrade (a wrong one is answered with 403). Then one task per socket
carries out the session's commands and watches the deadlines; frames bypass the task. picows implements the wire
(RFC 6455): it unmasks, answers pings and sends pings while a socket is idle.

picows makes a `WSProtocol` for each connection of its own server and documents it for nothing else. Here it is given a
connection that another server accepted, so picows is pinned to one version (docs/dependencies.md, "Private attributes
used") and `tests/ingest/test_media_socket.py` goes through a real socket.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from callreel.ingest.call_registry import LiveStream
from callreel.ingest.fact_queue import FactQueue
from callreel.ingest.media.batched_reader import BatchedReader
from callreel.ingest.media.frame_source import BatchedSource, FrameSource
from callreel.ingest.media.session import (
    NORMAL,
    POLICY,
    RESTARTING,
    TRY_AGAIN,
    Command,
    End,
    MediaSession,
    Open,
)
from callreel.ingest.stream_lifecycle import StreamLifecycle
from callreel.runtime.counters import Counters
from callreel.store.calls.streams import EndedBy
from callreel.twilio.signature import SignatureCheck
from callreel.twilio.stream import MAX_MESSAGE_BYTES

log = logging.getLogger(__name__)
_picows_log = logging.getLogger("picows")
_picows_log.setLevel(logging.WARNING)  # below that it logs every connection with its address

_TEXT, _BINARY, _CLOSE, _MORE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CLOSE, WSMsgType.CONTINUATION
_PING_S = 20
_HANDSHAKE_S = 5
_CLOSE_S = 5.0
_READ_BYTES = 16_384
_MAX_FRAME_BYTES = 2 * MAX_MESSAGE_BYTES
"""picows closes the socket at a larger WebSocket frame. A message over `MAX_MESSAGE_BYTES` is counted and skipped."""
MASKED = "masked"
"""Instead of a digit that was pressed during a pause, and of a message that may contain one."""
_SPOKEN = frozenset({"digit", "body"})
_IDLE_CHECKS = 4
"""Checks per idle timeout: a stream ends at most a quarter later than the timeout."""

Connections: TypeAlias = set[Any]
"""The server's open connections; it calls `shutdown` on each when it stops, and waits until they are gone."""
OpenMedia: TypeAlias = Callable[[Connections], asyncio.BufferedProtocol]
TakeConnection: TypeAlias = Callable[[asyncio.Transport, bytes, Connections], None]
"""Takes over a connection, given its upgrade request as bytes and the server's open connections."""


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """How long a socket may be silent: before its `start`, and afterwards."""

    start_deadline_s: float = 10.0
    idle_s: float = 30.0


def media_protocol(
    check: SignatureCheck,
    stream_url: str,
    streams: StreamLifecycle,
    facts: FactQueue,
    counters: Counters,
    limits: SocketLimits,
    *,
    block_s: float = 0.16,
) -> OpenMedia:
    """A function that makes the protocol of one connection, which is then given its upgrade request.

    `stream_url`: the public `wss` address that the TwiML names and the carrier signs. `block_s`: how often the sockets
    of calls without live transcription are read.
    """
    reader = BatchedReader(block_s)

    def open_media(connections: Connections) -> asyncio.BufferedProtocol:
        def admit(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
            headers = {name: request.headers[name] for name in request.headers}
            if fault := check.fault(stream_url, None, headers):
                counters.add("sockets_refused")
                log.warning("media socket refused expected_url=%s reason=%s", stream_url, fault)
                return WSUpgradeResponseWithListener(
                    WSUpgradeResponse.create_error_response(HTTPStatus.FORBIDDEN), None
                )
            socket = MediaSocket(streams, facts, counters, limits, connections, reader)
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(), socket)

        protocol: asyncio.BufferedProtocol = WSProtocol(
            None, None, False, admit, _picows_log, True, _HANDSHAKE_S, True, _PING_S, _PING_S,
            WSAutoPingStrategy.PING_WHEN_IDLE, True, _MAX_FRAME_BYTES, None, _READ_BYTES,
        )  # fmt: skip
        return protocol

    return open_media


def take_here(open_media: OpenMedia) -> TakeConnection:
    """Serve the connection in this process."""

    def take(transport: asyncio.Transport, request: bytes, connections: Connections) -> None:
        protocol = open_media(connections)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        feed(protocol, request)

    return take


def feed(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    """Give `protocol` bytes that were read before the connection was its own."""
    while data:
        room = memoryview(protocol.get_buffer(len(data)))
        size = min(room.nbytes, len(data))
        room[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]


class MediaSocket(WSListener):
    """One socket of the carrier, from the upgrade until it is closed. Lives in one event loop."""

    def __init__(
        self,
        streams: StreamLifecycle,
        facts: FactQueue,
        counters: Counters,
        limits: SocketLimits,
        connections: Connections,
        reader: BatchedReader,
    ) -> None:
        self._streams = streams
        self._facts = facts
        self._limits = limits
        self._connections = connections
        self._reader = reader
        self._session = MediaSession(counters, self._note)
        self._command: Command | None = None
        self._external_end: End | None = None
        """What ends the stream besides its messages: a lost socket, a server that stops, a report of the carrier."""
        self._changed = asyncio.Event()
        self._fragments = bytearray()
        self._stream: LiveStream | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._source = FrameSource(transport.underlying_transport, self._receive)
        self._connections.add(self)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="media socket")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Called for every frame: the hot path. Only the source and the session stand between a message and its lane."""
        if frame.msg_type is _TEXT and frame.fin:
            self._source.accept(frame.get_payload_as_bytes())
        else:
            self._on_other_frame(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._source.stop()
        self._end(End(EndedBy.SOCKET, NORMAL))

    def shutdown(self) -> None:
        """The server stops."""
        self._end(End(EndedBy.SERVER, RESTARTING))

    def _on_other_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        self._source.deliver()
        if kind is _CLOSE:
            if not transport.is_close_frame_sent:
                code = frame.get_close_code()
                transport.send_close(WSCloseCode.OK if code is WSCloseCode.NO_INFO else code)
            transport.disconnect()
        elif kind in (_TEXT, _BINARY, _MORE):
            # One byte over the limit is kept, so that the session sees that the message is too long.
            room = MAX_MESSAGE_BYTES + 1 - len(self._fragments)
            self._fragments += frame.get_payload_as_bytes()[:room]
            if frame.fin:
                message, self._fragments = bytes(self._fragments), bytearray()
                self._receive(message)

    def _receive(self, message: bytes) -> None:
        self._carry_out(self._session.receive(message))

    def _receive_all(self, messages: list[bytes]) -> None:
        self._carry_out(self._session.receive_all(messages))

    def _carry_out(self, command: Command | None) -> None:
        if command is None:
            return
        if isinstance(command, Open):
            self._transport.underlying_transport.pause_reading()
        self._command = command
        self._changed.set()

    def _note(self, kind: str, data: dict[str, str]) -> None:
        if self._stream is not None:
            call = self._stream.call
            if call.is_paused:
                data = {name: MASKED if name in _SPOKEN else value for name, value in data.items()}
            self._facts.put(call.id, call.leg_sid, kind, data)

    def _end(self, end: End) -> None:
        if self._external_end is None:
            self._external_end = end
            self._changed.set()

    async def _run(self) -> None:
        end = End(EndedBy.SOCKET, NORMAL)
        try:
            end = await self._until_end()
        except Exception:
            log.exception("media socket failed")
        finally:
            if self._stream is not None:
                self._source.drain()  # what has arrived belongs to the call; whatever arrives from now on is discarded
                self._session.discard()
                await self._stream.close(end.ended_by)
            await self._close(end.close_code)
            self._connections.discard(self)

    async def _until_end(self) -> End:
        try:
            async with asyncio.timeout(self._limits.start_deadline_s):
                await self._changed.wait()
        except TimeoutError:
            return self._session.reject(POLICY, f"no start within {self._limits.start_deadline_s:g} s")
        self._changed.clear()
        command, self._command = self._command, None
        if isinstance(command, Open):
            command = await self._open(command)
        # An end that the messages brought precedes any other: `stop` may be followed by a lost socket.
        if isinstance(command, End):
            return command
        if self._external_end is not None:
            return self._external_end
        return await self._until_end_of_stream()

    async def _open(self, command: Open) -> Command | None:
        if not self._streams.registry.has_room_for(command.started.leg_sid):
            return self._session.reject(TRY_AGAIN, "this process has as many calls as it may have")
        stream = self._stream = await self._streams.open(command.started)
        if stream is None:
            return self._session.reject(POLICY, "its token is missing, redeemed, expired or another call's")
        stream.on_end_request = lambda: self._end(End(EndedBy.STATUS, NORMAL))
        if stream.end_requested.is_set():
            stream.on_end_request()
        end = self._session.opened(stream.place)
        if not self._transport.is_disconnected:
            if not stream.transcribed:
                transport = self._transport.underlying_transport
                self._source = BatchedSource(self._reader, transport, self._receive_all)
            self._source.start()
        return end

    async def _until_end_of_stream(self) -> End:
        """Wait for an end; a stream that is silent for its idle timeout is over."""
        silent_checks = 0
        while silent_checks < _IDLE_CHECKS:
            self._session.received = False
            try:
                async with asyncio.timeout(self._limits.idle_s / _IDLE_CHECKS):
                    await self._changed.wait()
            except TimeoutError:
                silent_checks = 0 if self._session.received else silent_checks + 1
                continue
            end = self._command or self._external_end
            assert isinstance(end, End)
            return end
        log.warning("media stream idle for %g s", self._limits.idle_s)
        return End(EndedBy.SOCKET, NORMAL)

    async def _close(self, code: int) -> None:
        """Send the close code and wait for the other side to close; cut the connection when it does not."""
        transport = self._transport
        self._source.stop()
        if transport.is_disconnected:
            return
        if not transport.is_close_frame_sent:
            transport.send_close(WSCloseCode(code))
        transport.underlying_transport.resume_reading()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.shield(transport.wait_disconnected())
        except TimeoutError:
            transport.disconnect(graceful=False)
