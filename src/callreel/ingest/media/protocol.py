"""The media socket on picows: a thin driver of `media_socket.MediaSession`, without ASGI between a message and its call.

The signature of the handshake is checked before the upgrade (a wrong one gets 403). Then one task a socket carries out
what the session asks for and keeps the deadlines; frames pass it by. Behaviour of the wire is RFC 6455's; picows
unmasks, answers pings and sends some of its own when nothing comes.

picows' `WSProtocol` is what its own server uses for each connection; it is not documented for others, so picows is pinned
to one version and `tests/web/test_media_socket.py` goes through a real socket.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias, cast

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

from callreel.ingest.live_calls import LiveCalls, LiveStream
from callreel.ingest.media.batched_reader import BatchedReader, Turn
from callreel.ingest.media.session import (
    NORMAL,
    POLICY,
    RESTARTING,
    TRY_AGAIN,
    Command,
    End,
    MediaSession,
    Note,
    Open,
)
from callreel.runtime.counters import Counters
from callreel.store.calls.streams import EndedBy
from callreel.twilio.signature import SignatureCheck
from callreel.twilio.stream import MAX_MESSAGE_BYTES

log = logging.getLogger(__name__)
_wire = logging.getLogger("picows")
_wire.setLevel(logging.WARNING)  # it tells of every connection otherwise, with addresses

_TEXT, _BINARY, _CLOSE, _MORE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CLOSE, WSMsgType.CONTINUATION
_PING_S = 20
_HANDSHAKE_S = 5
_CLOSE_S = 5.0
_READ_BYTES = 16_384
_MOST_READS = 16
"""How often a socket is read at its turn while it has more than fits at once."""
_FILLED = 85
"""Percent of picows' buffer that are filled at once: it doubles its buffer when 90 are, and never lets go of it."""
_LOOKS = 4
"""How often in an idle time it is looked whether something came: a stream ends up to a quarter later than that time."""

Connections: TypeAlias = set[Any]
"""The server's open connections; it calls `shutdown` on each when it stops, and waits until they are gone."""
OpenMedia: TypeAlias = Callable[[Connections], asyncio.BufferedProtocol]


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """How long a socket may say nothing: before its `start`, and afterwards."""

    start_deadline_s: float = 10.0
    idle_s: float = 30.0


def media_protocol(
    check: SignatureCheck,
    stream_url: str,
    live_calls: LiveCalls,
    counters: Counters,
    limits: SocketLimits,
    *,
    block_s: float = 0.16,
) -> OpenMedia:
    """Makes the protocol of one connection, which is then given its upgrade request.

    `stream_url` is the public `wss` address that the TwiML names and the carrier signs. `block_s`: how often the sockets
    of calls are read that nobody listens to.
    """
    reading_round = BatchedReader(block_s)

    def open_media(connections: Connections) -> asyncio.BufferedProtocol:
        def admit(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
            if not check.valid(stream_url, None, _joined(request)):
                counters.add("sockets_refused")
                log.warning("refused a media socket: its signature is missing or wrong")
                return WSUpgradeResponseWithListener(
                    WSUpgradeResponse.create_error_response(HTTPStatus.FORBIDDEN), None
                )
            socket = MediaSocket(live_calls, counters, limits, connections, reading_round)
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(), socket)

        protocol: asyncio.BufferedProtocol = WSProtocol(
            None, None, False, admit, _wire, True, _HANDSHAKE_S, True, _PING_S, _PING_S,
            WSAutoPingStrategy.PING_WHEN_IDLE, True, 2 * MAX_MESSAGE_BYTES, None, _READ_BYTES,
        )  # fmt: skip
        return protocol

    return open_media


def _joined(request: WSUpgradeRequest) -> Mapping[str, str]:
    return {name: request.headers[name] for name in request.headers}


class MediaSocket(WSListener):
    """One socket of the carrier's, from the upgrade until it is closed. Lives in one event loop."""

    __slots__ = (
        "_asked",
        "_connections",
        "_fd",
        "_limits",
        "_live_calls",
        "_news",
        "_outside",
        "_parts",
        "_protocol",
        "_read",
        "_reading_round",
        "_session",
        "_stream",
        "_task",
        "_transport",
        "_turn",
    )

    def __init__(
        self,
        live_calls: LiveCalls,
        counters: Counters,
        limits: SocketLimits,
        connections: Connections,
        reading_round: BatchedReader,
    ) -> None:
        self._live_calls = live_calls
        self._reading_round = reading_round
        self._turn: Turn | None = None
        self._limits = limits
        self._connections = connections
        self._session = MediaSession(counters)
        self._asked: Command | None = None
        self._outside: End | None = None
        """What ends the stream besides its messages: a socket that is gone, a stop of ours or a word of the carrier's."""
        self._news = asyncio.Event()
        self._parts = bytearray()
        self._read: list[bytes] | None = None
        """The messages of a read that goes on; None while each is taken in by itself."""
        self._stream: LiveStream | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._fd = transport.underlying_transport.get_extra_info("socket").fileno()
        self._protocol = cast(asyncio.BufferedProtocol, transport.underlying_transport.get_protocol())
        self._connections.add(self)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="media socket")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """The frames' way. Nothing but the session stands between a message and its lane."""
        if frame.msg_type is not _TEXT or not frame.fin:
            self._other(transport, frame)
        elif self._read is not None:
            self._read.append(frame.get_payload_as_bytes())
        else:
            self._heed(self._session.receive(frame.get_payload_as_bytes()))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._end_turn()
        self._end(End(EndedBy.SOCKET, NORMAL))

    def shutdown(self) -> None:
        """The server stops."""
        self._end(End(EndedBy.SERVER, RESTARTING))

    def _other(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if self._read:
            self._take_in()
        if kind is _CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(_code_in_return(frame.get_close_code()))
            transport.disconnect()
        elif kind in (_TEXT, _BINARY, _MORE):
            self._parts += frame.get_payload_as_bytes()[: MAX_MESSAGE_BYTES + 1]
            if frame.fin or len(self._parts) > MAX_MESSAGE_BYTES:
                message, self._parts = bytes(self._parts), bytearray()
                self._heed(self._session.receive(message))

    def _take_in(self) -> None:
        """What was read so far."""
        assert self._read is not None
        messages, self._read = self._read, []
        self._heed(self._session.receive_all(messages))

    def _heed(self, command: Command | None) -> None:
        if command is None:
            return
        if not isinstance(command, End):
            self._end_turn()
            self._transport.underlying_transport.pause_reading()
        self._asked = command
        self._news.set()

    def _end(self, end: End) -> None:
        if self._outside is None:
            self._outside = end
            self._news.set()

    async def _run(self) -> None:
        end = End(EndedBy.SOCKET, NORMAL)
        try:
            end = await self._until_end()
        except Exception:
            log.exception("a media socket failed")
        finally:
            if self._stream is not None:
                self._read_on()  # what has come until now is its call's, what comes after is nobody's
                self._session.over(end)
                await self._live_calls.close_stream(self._stream, end.ended_by)
            await self._close(end.close_code)
            self._connections.discard(self)

    async def _until_end(self) -> End:
        await self._until_started()
        if self._stream is None:
            return await self._next_end()
        hanging_on = asyncio.create_task(self._until_carrier_says_over(self._stream))
        try:
            return await self._next_end()
        finally:
            hanging_on.cancel()

    async def _until_started(self) -> None:
        """Until the stream has joined its call, or an end is known."""
        try:
            async with asyncio.timeout(self._limits.start_deadline_s):
                await self._news.wait()
        except TimeoutError:
            self._end(self._session.refused(POLICY, f"no start within {self._limits.start_deadline_s:g} s"))
        command = self._take()
        if isinstance(command, Open):
            await self._open(command)
        elif command is not None:
            self._asked = command

    async def _open(self, command: Open) -> None:
        if not self._live_calls.has_room_for(command.started):
            self._asked = self._session.refused(TRY_AGAIN, "this process has as many calls as it may")
            return
        self._stream = await self._live_calls.open_stream(command.started)
        if self._stream is None:
            self._asked = self._session.refused(
                POLICY, "its token is missing, spent, expired or another call's"
            )
            return
        self._session.opened(self._stream.place)
        self._go_on()

    async def _next_end(self) -> End:
        while True:
            command = self._take()
            if isinstance(command, End):
                return command
            if isinstance(command, Note):
                await asyncio.to_thread(self._live_calls.note_fact, command.kind, command.data, self._stream)
                self._go_on()
            else:
                await self._until_news()

    def _take(self) -> Command | None:
        """What is to be done next: what the messages ask for comes before what ends them."""
        command, self._asked = self._asked or self._outside, None
        self._news.clear()
        return command

    def _go_on(self) -> None:
        self._asked = self._session.proceed()
        if isinstance(self._asked, Note) or self._transport.is_disconnected:
            return
        if self._stream is not None and self._stream.may_wait:
            self._turn = self._reading_round.add(self._read_on)  # the transport's own reading stays paused
        else:
            self._transport.underlying_transport.resume_reading()

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._turn.end()
            self._turn = None

    def _read_on(self) -> None:
        """Take in what the socket holds, and write it. Its end and its faults are the transport's to find."""
        if self._turn is None:
            return
        for _ in range(_MOST_READS):
            room = memoryview(self._protocol.get_buffer(-1))
            room = room[: room.nbytes * _FILLED // 100]
            try:
                size = os.readv(self._fd, [room])
            except BlockingIOError:
                break
            except OSError:
                size = 0
            if not size:
                self._end_turn()
                self._transport.underlying_transport.resume_reading()
                break
            self._read = []
            self._protocol.buffer_updated(size)
            if self._read:
                self._take_in()
            self._read = None
            if size < room.nbytes or self._turn is None:
                break
        else:
            asyncio.get_running_loop().call_soon(self._read_on)  # there is more; others first

    async def _until_news(self) -> None:
        """Wait for something to do; a stream that says nothing for its idle time is over."""
        for _ in range(_LOOKS):
            self._session.heard = False
            try:
                async with asyncio.timeout(self._limits.idle_s / _LOOKS):
                    await self._news.wait()
                    return
            except TimeoutError:
                if self._session.heard:
                    return
        log.warning("a media stream fell silent for %g s", self._limits.idle_s)
        self._end(self._session.over(End(EndedBy.SOCKET, NORMAL)))

    async def _until_carrier_says_over(self, stream: LiveStream) -> None:
        await stream.ended.wait()
        self._end(End(EndedBy.STATUS, NORMAL))

    async def _close(self, code: int) -> None:
        """Say why and wait for the other side to close; cut it off when it does not."""
        transport = self._transport
        self._end_turn()
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


def _code_in_return(code: WSCloseCode) -> WSCloseCode:
    return WSCloseCode.OK if code is WSCloseCode.NO_INFO else code
